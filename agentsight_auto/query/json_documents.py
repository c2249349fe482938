"""Check a JSON document that a caller hands to an edit.

In: any Python value. Out: the same as plain JSON types, NUL and lone surrogates replaced by U+FFFD.
Loses: nothing; what cannot be written as JSON is an `InvalidQueryException` that names the place.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query.parameters import shown, storable

_DEEPEST = 64
_INTEGERS = range(-(2**63), 2**63)


def read_document(name: str, value: object) -> dict[str, Any]:
    """Return a JSON object that is safe to store.

    Raises:
        InvalidQueryException: not a dict, or something in it cannot be written as JSON: NaN, a set, bytes, a key that
            is not text, a whole number of more than 64 bits, more than 64 levels (a cycle has no end).
    """
    if not isinstance(value, dict):
        raise _unwritable(name, value, "Give a dict, {} for none")
    document: dict[str, Any] = _plain(name, value, 0)
    return document


def _plain(place: str, value: object, depth: int) -> Any:
    if depth > _DEEPEST:
        raise _unwritable(place[:100] + "...", value, f"Give at most {_DEEPEST} levels")
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int):
        if value in _INTEGERS:
            return int(value)
        raise _unwritable(place, value, "Give whole numbers of at most 64 bits; larger ones as text")
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise _unwritable(place, value, "JSON has no NaN and no infinity; give None")
    if isinstance(value, list | tuple):
        return [_plain(f"{place}[{index}]", item, depth + 1) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {_key(place, key): _plain(f"{place}.{key}", item, depth + 1) for key, item in value.items()}
    raise _unwritable(place, value, "Give text, numbers, true, false, None, lists and dicts")


def _key(place: str, key: object) -> str:
    if isinstance(key, str):
        return storable(key)
    raise _unwritable(place, key, "Give keys that are text")


def _unwritable(place: str, value: object, advice: str) -> InvalidQueryException:
    message = f"{storable(place)}: {type(value).__name__} {shown(value)} cannot be stored. {advice}."
    return InvalidQueryException(message, response_data={place.split(".", 1)[0]: [message]})
