"""How values are read that are not of JSON's own types, kind by kind.

In: the type of a value. Out: a function that tells what is to be copied in its place, and what the reading costs.
Loses: what an object's own code would add: ``__iter__``, ``__len__``, ``__str__`` and properties are not asked.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import FunctionType
from typing import Any, Literal, NamedTuple

from .error_text import describe_error
from .fields import MISSING, field_names, instance_dict, named_fields, read_slot, type_name
from .scalars import TEXT_OF, class_text, function_text

Form = Literal["text", "value", "items", "pairs"]
"""What stands for the value: a text, another value, a list of items, or a dict of pairs."""

Reading = tuple[Form, Any, int, str]
"""The form, what to copy, its length, and the name of its shape."""


class Reader(NamedTuple):
    """Read the values of one type; `cost` is the work of a reading in bytes of the budget."""

    kind: type
    read: Callable[[Any], Reading]
    cost: int


def reader_of(kind: type) -> Reader:
    """Return how values of this type are read."""
    if type(kind) is type:  # a metaclass of the user's may hash and compare as it likes
        write = TEXT_OF.get(kind)
        if write is not None:
            return Reader(kind, _written_by(write), 64)
    if issubclass(kind, tuple):
        names = field_names(kind)
        return Reader(kind, _tuple_items if names is None else _tuple_fields(names, kind), 32)
    for base, read, cost in _BASES:
        if issubclass(kind, base):
            return Reader(kind, read, cost)
    names = field_names(kind)
    if names is not None:
        return Reader(kind, _declared_fields(names, kind), 64)
    mark = f"<{type_name(kind)}>"
    if _is_path(kind):
        return Reader(kind, lambda path: _text(_path_text(path, kind) or mark), 64)
    return Reader(kind, lambda _: _text(mark), 48)


def _text(text: str) -> Reading:
    return "text", text, len(text), "str"


def _written_by(write: Callable[[Any], str]) -> Callable[[Any], Reading]:
    return lambda value: _text(write(value))


def _declared_fields(names: tuple[str, ...], kind: type) -> Callable[[Any], Reading]:
    shape = type_name(kind)
    return lambda value: ("pairs", named_fields(value, names, kind), len(names), shape)


def _tuple_fields(names: tuple[str, ...], kind: type) -> Callable[[Any], Reading]:
    shape = type_name(kind)

    def read(value: tuple[Any, ...]) -> Reading:
        if tuple.__len__(value) != len(names):
            return _tuple_items(value)
        return "pairs", zip(names, tuple.__iter__(value), strict=True), len(names), shape

    return read


def _tuple_items(value: Any) -> Reading:
    return "items", tuple.__iter__(value), tuple.__len__(value), "tuple"


def _enum_value(value: Any) -> Reading:
    kind = type(value)
    inner = instance_dict(value, kind).get("_value_", MISSING)
    return _text(f"<{type_name(kind)}>") if inner is MISSING else ("value", inner, 0, "")


def _items_of(base: Any) -> Callable[[Any], Reading]:
    iterate, count, shape = base.__iter__, base.__len__, base.__name__
    return lambda value: ("items", iterate(value), count(value), shape)


def _size_of(base: Any) -> Callable[[Any], Reading]:
    count = base.__len__
    return lambda value: _text(f"<bytes, {count(value)} bytes>")


def _memory_size(value: memoryview) -> Reading:
    try:
        return _text(f"<bytes, {value.nbytes} bytes>")
    except ValueError:  # it was released
        return _text("<memoryview>")


def _is_path(kind: type) -> bool:
    pathlib = sys.modules.get("pathlib")  # not imported for this
    return pathlib is not None and any(kind is getattr(pathlib, name, None) for name in _PATHS)


def _path_text(path: Any, kind: type) -> str | None:
    parts = read_slot(path, "_raw_paths", kind)
    if type(parts) is list and not all(type(part) is str for part in parts):  # text of a type of the user's
        return None
    return str(path)


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")

_ITEMS: tuple[Any, ...] = (list, set, frozenset, deque, type({}.keys()), type({}.values()), type({}.items()))

_BASES: tuple[tuple[type, Callable[[Any], Reading], int], ...] = (
    (Enum, _enum_value, 32),
    (dict, lambda value: ("pairs", dict.items(value), dict.__len__(value), "dict"), 24),
    *((base, _items_of(base), 24) for base in _ITEMS),
    (str, lambda value: ("text", value, str.__len__(value), "str"), 32),
    (int, lambda value: ("value", int.__int__(value), 0, ""), 32),
    (float, lambda value: ("value", float.__float__(value), 0, ""), 32),
    *((base, _size_of(base), 48) for base in (bytes, bytearray)),
    (memoryview, _memory_size, 64),
    (BaseException, lambda value: _text(describe_error(value)), 192),
    (type, lambda value: _text(class_text(value)), 64),
    (FunctionType, lambda value: _text(function_text(value)), 64),
)
"""Base types with their readings, in the order in which they are tried; and the cost of each."""
