"""A bounded copy of any value, as JSON, made on the caller's thread without running the caller's code.

In: whatever a user's function was given or has returned. Out: None, bool, int, float, str, list or dict, copied.
Loses: what lies beyond the limit, which the copy says (``truncated``); what only an object's own code could tell;
the values of names that mark a secret.

The cost is bounded by the limit, never by the value: every value, name and container takes the length of its JSON, and
at least a few bytes, from one budget, and a container is left when the budget is used up. So a list of single digits
ends after about `limit_bytes` / 8 of them, one of objects after `limit_bytes` / 100. The JSON of a copy is at most
`limit_bytes` long, for limits from `MIN_VALUE_BYTES` up. A text that stays 400 bytes below the limit is whole; in a
container one part gets at least three quarters of the budget, so that a large one does not starve those after it.

The result is the value in JSON types, but for: tuples, sets, deques and views are lists; keys are text; NaN and the
infinities are the texts ``NaN``, ``Infinity``, ``-Infinity``; an int beyond 64 bits (signed) is its digits as text;
an enum member is its value; bytes are ``<bytes, N bytes>``; moments, decimals, UUIDs and paths are text; dataclasses,
attrs, pydantic, msgspec and named tuples are their fields; all else is ``<module.QualName>`` of its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .._guard import guarded
from ..events import Json
from .copier import NESTED_TOO_DEEP, ROOM_BYTES, Copier, name_of_key
from .error_text import describe_error
from .fields import type_name
from .names import harmless_names
from .redaction import MASK
from .text import cut_suffix, cut_text, fit_text, sanitize_text

__all__ = [
    "DEFAULT_TEXT_BYTES",
    "DEFAULT_VALUE_BYTES",
    "MIN_VALUE_BYTES",
    "QUICK_INT",
    "bounded_text",
    "describe_error",
    "safe_json",
    "sanitize_text",
    "snapshot",
    "snapshot_mapping",
    "snapshot_metadata",
]

DEFAULT_VALUE_BYTES = 16 * 1024
DEFAULT_TEXT_BYTES = 256 * 1024
MIN_VALUE_BYTES = 512

_WRAPPER_BYTES = 144
"""The longest ``{"truncated":true,"type":"...","length":...,"value":}``."""
_MAX_SHAPE_BYTES = 66
_MAX_ARGUMENTS = 256
_MAX_EVENT_DEPTH = 100
_QUICK_NAMES = 24
_QUICK_CHARS = 64
QUICK_INT = 2**53
"""Numbers nearer to zero are kept as they are, as are None, bools and texts of fewer characters than an eighth of
the limit in bytes; `ActionSpec.start`, `ActionFrame.finish` and `SmallCall` know this by heart."""

_encode = msgspec.json.Encoder().encode


def snapshot(value: Any, limit_bytes: int = DEFAULT_VALUE_BYTES) -> Json:
    """Return a copy of `value` whose JSON is at most `limit_bytes` long (at least `MIN_VALUE_BYTES` are granted).

    What had to be cut becomes ``{"truncated": true, "type": ..., "length": ..., "value": <the beginning>}``, where
    length is that of `value` itself; inside it the places of cuts are marked with ``… [truncated, N items]``.
    """
    kind = type(value)
    if (
        value is None
        or kind is bool
        or (kind is int and -QUICK_INT < value < QUICK_INT)
        or (kind is float and value - value == 0.0)
    ):
        return value
    if kind is str and len(value) < _QUICK_CHARS and value.isascii() and "\0" not in value:
        return value
    if kind is dict and len(value) <= _QUICK_NAMES and limit_bytes >= DEFAULT_VALUE_BYTES:
        copy = _flat_copy(value)
        if copy is not None:
            return copy
    try:
        copy = _bounded_copy(value, limit_bytes)
    except RecursionError:  # the user's own calls have left no room for ours
        return NESTED_TOO_DEEP
    return f"<{type_name(kind)}>" if copy is None else copy


def _flat_copy(value: dict[Any, Any]) -> dict[str, Json] | None:
    """Copy a small dict of short texts and small numbers, whatever they are well within the limit; else None."""
    copy = {}
    try:
        for key, item in value.items():
            if type(key) is not str or key not in harmless_names:
                return None
            kind = type(item)
            if kind is str:
                if len(item) >= _QUICK_CHARS or not item.isascii() or "\0" in item:
                    return None
            elif kind is int:
                if not -QUICK_INT < item < QUICK_INT:
                    return None
            elif item is not None and kind is not bool:
                return None
            copy[key] = item
    except RuntimeError:  # another thread changes the dict
        return None
    return copy


@guarded
def _bounded_copy(value: Any, limit_bytes: int) -> Json:
    copier = Copier(max(limit_bytes, MIN_VALUE_BYTES) - _WRAPPER_BYTES)
    copy = copier.copy(value)
    if not copier.is_cut:
        return copy
    shape = fit_text(copier.shape, _MAX_SHAPE_BYTES)
    return {"truncated": True, "type": shape, "length": copier.length, "value": copy}


def snapshot_mapping(
    items: Mapping[str, object] | Iterable[tuple[str, object]], limit_bytes: int = DEFAULT_VALUE_BYTES
) -> dict[str, Json]:
    """Return the copies of named values, such as the arguments of a call: each has its own limit, secrets are masked.

    More than 256 names are cut; the key ``…`` says so.
    """
    copies: dict[str, Json] = {}
    for name, value in items.items() if isinstance(items, Mapping) else items:
        if len(copies) >= _MAX_ARGUMENTS:
            copies["…"] = cut_suffix(_MAX_ARGUMENTS, "names are kept")
            break
        clean, _, is_secret = name_of_key(name, copies)
        copies[clean] = MASK if is_secret else snapshot(value, limit_bytes)
    return copies


def snapshot_metadata(value: Any, limit_bytes: int = DEFAULT_VALUE_BYTES) -> dict[str, Json] | None:
    """Return a copy of a metadata document; None stays None, and what is not a dict becomes ``{"value": ...}``.

    A document that is too large keeps as many whole keys as fit: ``{"truncated": true, "length": ..., ...}``.
    """
    if value is None:
        return None
    kind = type(value)
    if not issubclass(kind, dict):
        return {"value": snapshot(value, limit_bytes)}
    if kind is dict and len(value) <= _QUICK_NAMES and limit_bytes >= DEFAULT_VALUE_BYTES:
        copy = _flat_copy(value)
        if copy is not None:
            return copy
    try:
        document = _whole_keys(value, limit_bytes)
    except RecursionError:  # the user's own calls have left no room for ours
        document = None
    return {"truncated": True, "length": dict.__len__(value)} if document is None else document


@guarded
def _whole_keys(value: dict[Any, Any], limit_bytes: int) -> dict[str, Json]:
    """Copy key by key. A value that does not fit costs work but no room; each may spend half of the work left."""
    room = max(limit_bytes, MIN_VALUE_BYTES) - _WRAPPER_BYTES
    work = 2 * room
    copier = Copier(0, within=value)
    copies: dict[str, Json] = {}
    is_whole = True
    try:
        for key, item in dict.items(value):
            name, cost, is_secret = name_of_key(key, copies)
            allowed = min(room, work // 2)
            if allowed < ROOM_BYTES + cost:
                is_whole = False
                break
            copier.left = allowed - cost
            copier.is_cut = False
            copy = copier.copy(MASK if is_secret else item)
            work -= allowed - copier.left
            if copier.is_cut:
                is_whole = False
            else:
                room -= allowed - copier.left
                copies[name] = copy
    except RuntimeError:  # another thread changes the document
        is_whole = False
    return copies if is_whole else {**copies, "truncated": True, "length": dict.__len__(value)}


def bounded_text(text: Any, limit_bytes: int = DEFAULT_TEXT_BYTES) -> str:
    """Return clean text of at most `limit_bytes` bytes of UTF-8; what was cut ends in ``… [truncated, N characters]``.

    What is not text becomes the JSON of its snapshot.
    """
    kind = type(text)
    if kind is str:
        if len(text) <= limit_bytes and text.isascii() and "\0" not in text:
            return text  # type: ignore[no-any-return]
        return cut_text(text, limit_bytes)
    if issubclass(kind, str):
        length = str.__len__(text)
        return cut_text(str.__getitem__(text, slice(0, limit_bytes + 1)), limit_bytes, length)
    copy = snapshot(text, limit_bytes)
    return cut_text(copy if type(copy) is str else _encode(copy).decode(), limit_bytes)


def safe_json(event_like: Json) -> Json:
    """Return a deep copy with clean text, for what the encoder refused; what is not JSON becomes its snapshot.

    The cost is that of the whole document: it is for events, whose parts are bounded already.
    """
    return _safe(event_like, 0)


def _safe(value: Any, depth: int) -> Json:
    kind = type(value)
    if kind is str:
        return sanitize_text(value)
    if depth >= _MAX_EVENT_DEPTH:
        return NESTED_TOO_DEEP
    if kind is dict:
        return {name_of_key(key, {})[0]: _safe(item, depth + 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_safe(item, depth + 1) for item in value]
    return snapshot(value)
