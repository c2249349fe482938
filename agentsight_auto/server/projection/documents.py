"""Read values of span attributes: text, numbers, and JSON that was written as text.

In: a value of an attribute, which may be anything. Out: a value that can be stored.
Loses: nothing; bare ``NaN`` and infinities become text, and text that is no JSON stays text.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from agentsight_auto.server.bodies import clean, storable
from agentsight_auto.server.errors import ApiError

_DEEPEST = 64


def read_document(value: object) -> Any:
    """Return what a JSON attribute says; text that cannot be read is returned as it is.

    >>> read_document('{"speed": NaN}')
    {'speed': 'NaN'}
    """
    if not isinstance(value, str):
        return value
    try:
        return clean(msgspec.json.decode(value), _DEEPEST)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ApiError):
        pass
    try:
        return clean(json.loads(value, parse_constant=str, parse_float=_number, parse_int=_whole), _DEEPEST)
    except (ValueError, RecursionError, ApiError):
        return storable(value)


def read_object(value: object) -> dict[str, Any] | None:
    """Return a JSON object, None for anything else."""
    document = read_document(value)
    return document if isinstance(document, dict) else None


def read_text(value: object) -> str | None:
    """Return text, None for nothing; anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def read_count(value: object) -> int:
    """Return a counter; what is none counts as 0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53 else 0


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _whole(text: str) -> int | str:
    return int(text) if len(text) < 20 and -(2**63) <= int(text) < 2**63 else text
