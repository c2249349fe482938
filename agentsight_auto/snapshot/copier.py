"""The walk through a value: every part of the copy pays from one budget, and nothing of the user's runs.

In: a value of any type and a budget in bytes. Out: its copy in JSON types, and whether something was left out.
Loses: what the budget does not reach, what is nested deeper than 32 levels, the insides of objects without fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from ..events import Json
from .names import MAX_NAME_CHARS, harmless_names, read_name
from .readers import Reader, reader_of
from .redaction import MASK, is_secret_name
from .scalars import int_text
from .text import cut_suffix, fit_text, sanitize_text

NESTED_TOO_DEEP = "<nested too deep>"
CYCLE = "<cycle>"

_MAX_DEPTH = 32
ROOM_BYTES = 96
"""What must be left for one more value: a number, a mark, or a container with the mark of a cut."""
_SCALAR_BYTES = 8
_NUMBER_BYTES = 16
_CONTAINER_BYTES = 28
_MARK_BYTES = 56
_HELD_PER_ITEM_BYTES = 128
"""What a value leaves to each of those after it, up to a quarter of what there is."""
_KEY_BYTES = 160
"""The work that a key takes that is neither text nor a number."""
_KEY_BUDGET_BYTES = 256
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_SHORT_INT = 10**6
_SHORT_CHARS = 15
"""Text that is shorter fits into `ROOM_BYTES` even if each character is written as an escape."""

_encode = msgspec.json.Encoder().encode


class Copier:
    """One copy in the making. `left` is what the budget still holds; `ROOM_BYTES` sees to it that it stays positive.

    `shape` and `length` tell of the outermost value, once something was cut; `within` is a container around it.
    """

    __slots__ = ("_open", "_readers", "is_cut", "left", "length", "shape")

    def __init__(self, budget_bytes: int, *, within: object = None) -> None:
        self.left = budget_bytes
        self.is_cut = False
        self.shape = ""
        self.length = 0
        self._open = set() if within is None else {id(within)}
        self._readers: dict[int, Reader] = {}

    def copy(self, value: Any) -> Json:
        """Return the copy of `value`, and pay for it."""
        kind = type(value)
        if kind is dict:
            return self._mapping(value, value.items(), len(value), "dict")
        if kind is list:
            return self._sequence(value, value, len(value), "list")
        if kind is str:
            return self._text(value, len(value))
        if kind is float:
            return self._float(value)
        if kind is int:
            if _MIN_INT <= value <= _MAX_INT:
                self.left -= _SCALAR_BYTES if -_SHORT_INT < value < _SHORT_INT else 21
                return value
            return self._word(int_text(value))
        if value is None or kind is bool:
            self.left -= _SCALAR_BYTES
            return value
        if kind is tuple:
            return self._sequence(value, _mask_pair(value), len(value), "tuple")
        return self._other(value, kind)

    def _float(self, value: float) -> Json:
        self.left -= _NUMBER_BYTES
        if math.isfinite(value):
            self.left -= max(len(_encode(value)) + 1 - _NUMBER_BYTES, 0)
            return value
        return self._word("Infinity" if value > 0 else "-Infinity" if value < 0 else "NaN")

    def _word(self, text: str) -> str:
        return self._text(text, len(text))

    def _text(self, text: str, length: int) -> str:
        """Return `text`, or its beginning where the budget ends; `length` is the whole length if `text` is a part."""
        if len(text) < self.left:
            if "\0" in text:
                text = sanitize_text(text)
            try:
                size = len(_encode(text)) + 1
            except UnicodeEncodeError:
                text = sanitize_text(text)
                size = len(_encode(text)) + 1
            if size <= self.left:
                self.left -= max(_SCALAR_BYTES, size)
                return text
        self.is_cut = True
        if not self._open:
            self.shape, self.length = "str", length
            return fit_text(text, self.left)
        suffix = cut_suffix(length, "characters")
        text = fit_text(text, self.left - len(suffix) - 4) + suffix
        self.left -= len(_encode(text)) + 1
        return text

    def _sequence(self, value: object, items: Iterable[Any], length: int, shape: str) -> Json:
        if (mark := self._enter(value)) is not None:
            return mark
        copy: list[Json] = []
        left, is_whole = self.left, False
        try:
            for item in items:
                if left < ROOM_BYTES:
                    break
                kind = type(item)
                if (kind is str and len(item) < _SHORT_CHARS and item.isascii() and "\0" not in item) or (
                    kind is float and item - item == 0.0
                ):
                    size = len(_encode(item)) + 1
                    left -= size if size > _SCALAR_BYTES else _SCALAR_BYTES  # noqa: FURB136 - half the time of max()
                elif (kind is int and -_SHORT_INT < item < _SHORT_INT) or item is None or kind is bool:
                    left -= _SCALAR_BYTES
                else:
                    held = self._hold(left, length - len(copy) - 1)
                    item = self.copy(item)  # noqa: PLW2901
                    left = self.left + held
                copy.append(item)
            else:
                is_whole = True
        except RuntimeError:  # another thread changes the container: what is there so far is taken
            pass
        if self._leave(value, shape, length, left, is_whole):
            copy.append(cut_suffix(length, "items"))
        return copy

    def _mapping(self, value: object, pairs: Iterable[tuple[Any, Any]], length: int, shape: str) -> Json:
        if (mark := self._enter(value)) is not None:
            return mark
        copy: dict[str, Json] = {}
        left, is_whole = self.left, False
        try:
            for key, item in pairs:
                cost = harmless_names.get(key) if type(key) is str else None
                if cost is None or key in copy:
                    key, cost, is_secret = name_of_key(key, copy)  # noqa: PLW2901
                    item = MASK if is_secret else item  # noqa: PLW2901
                left -= cost
                if left < ROOM_BYTES:
                    left += cost
                    break
                kind = type(item)
                if (kind is str and len(item) < _SHORT_CHARS and item.isascii() and "\0" not in item) or (
                    kind is float and item - item == 0.0
                ):
                    size = len(_encode(item)) + 1
                    left -= size if size > _SCALAR_BYTES else _SCALAR_BYTES  # noqa: FURB136 - half the time of max()
                elif (kind is int and -_SHORT_INT < item < _SHORT_INT) or item is None or kind is bool:
                    left -= _SCALAR_BYTES
                else:
                    held = self._hold(left, length - len(copy) - 1)
                    item = self.copy(item)  # noqa: PLW2901
                    left = self.left + held
                copy[key] = item
            else:
                is_whole = True
        except RuntimeError:  # another thread changes the container: what is there so far is taken
            pass
        if self._leave(value, shape, length, left, is_whole):
            copy["…"] = cut_suffix(length, "items")
        return copy

    def _enter(self, value: object) -> str | None:
        """Open a container and set aside the mark of a cut, or return what stands for one that cannot be opened."""
        opened = self._open
        if id(value) in opened:
            return self._word(CYCLE)
        if len(opened) >= _MAX_DEPTH:
            return self._word(NESTED_TOO_DEEP)
        opened.add(id(value))
        self.left -= _CONTAINER_BYTES + _MARK_BYTES
        return None

    def _leave(self, value: object, shape: str, length: int, left: int, is_whole: bool) -> bool:
        """Close a container; return whether a mark of the cut is to be added to its copy."""
        self._open.discard(id(value))
        self.left = left + _MARK_BYTES if is_whole else left
        if not is_whole:
            self.is_cut = True
        if self.is_cut and not self._open:
            self.shape, self.length = shape, length
        return not is_whole and bool(self._open)

    def _hold(self, left: int, siblings: int) -> int:
        """Keep some of what is left from the next value, so that a large one does not starve those after it."""
        held = _HELD_PER_ITEM_BYTES * siblings
        if held > left >> 2:  # noqa: PLR1730 - half the time of min()
            held = left >> 2
        self.left = left - held
        return held

    def _other(self, value: Any, kind: type) -> Json:
        reader = self._readers.get(id(kind))
        if reader is None:
            reader = self._readers[id(kind)] = reader_of(kind)  # it holds the type, so that its id stays its own
        self.left -= reader.cost
        form, content, length, shape = reader.read(value)
        if form == "pairs":
            return self._mapping(value, content, length, shape)
        if form == "items":
            return self._sequence(value, content, length, shape)
        if form == "value":
            return self.copy(content)
        return self._text(str.__getitem__(content, slice(0, max(self.left, 0) + 1)), length)


def name_of_key(key: Any, taken: dict[str, Json]) -> tuple[str, int, bool]:
    """Return the name that stands for a key of any type, its cost in bytes, and whether it marks a secret.

    Keys of several types may have the same text; a name that is taken gets a number.
    """
    kind = type(key)
    if kind is str:
        name, cost, is_secret = read_name(key)
    elif kind is int and _MIN_INT <= key <= _MAX_INT:
        name = str(key)
        cost, is_secret = len(name) + 16, False
    elif issubclass(kind, str):
        name, cost, is_secret = read_name(str.__getitem__(key, slice(0, MAX_NAME_CHARS + 1)))
        cost += _MARK_BYTES
    elif kind is bytes:
        name, cost, is_secret = read_name(key[: MAX_NAME_CHARS + 1].decode("latin-1"))
        cost += _MARK_BYTES
    else:
        copy = Copier(_KEY_BUDGET_BYTES).copy(key)
        name, cost, is_secret = read_name(copy if type(copy) is str else _encode(copy).decode())
        cost += _KEY_BYTES
    if name in taken:
        name = f"{name} ({len(taken) + 1})"
        cost += _NUMBER_BYTES
    return name, cost, is_secret


def _mask_pair(pair: tuple[Any, ...]) -> tuple[Any, ...]:
    """Mask the second of a pair like ``("Authorization", "Bearer ...")``, the form of headers in lists."""
    if len(pair) == 2 and type(pair[0]) is str and type(pair[1]) is str and is_secret_name(pair[0]):
        return pair[0], MASK
    return pair
