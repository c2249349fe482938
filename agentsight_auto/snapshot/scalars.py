"""The text of single values that JSON has no type for.

In: numbers beyond 64 bits, moments, decimals, UUIDs, classes and functions. Out: their text.
Loses: the digits of numbers beyond 4,000 bits; the offset of a moment whose time zone is written in Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import FunctionType
from typing import Any
from uuid import UUID

from .fields import type_name

_MAX_INT_BITS = 4000
_MAX_DECIMAL_BYTES = 4096


def int_text(value: int) -> str:
    """Return the digits of an exact int, or how many bits it has where they would be too many."""
    bits = value.bit_length()
    if bits <= _MAX_INT_BITS:
        try:
            return str(value)
        except ValueError:  # sys.set_int_max_str_digits() allows fewer digits
            pass
    return f"<int, {bits} bits>"


def class_text(kind: type) -> str:
    """Return the mark that stands for a class itself."""
    return f"<class {type_name(kind)}>"


def function_text(function: FunctionType) -> str:
    """Return the mark that stands for a function written in Python."""
    module = FunctionType.__dict__["__module__"].__get__(function)
    name = str.__str__(function.__qualname__)
    return f"<function {module}.{name}>" if type(module) is str else f"<function {name}>"


def _moment_text(moment: datetime | time) -> str:
    zone = moment.tzinfo
    if zone is None or type(zone) is timezone or _is_standard_zone(type(zone)):
        return moment.isoformat()
    return f"{moment.replace(tzinfo=None).isoformat()} <{type_name(type(zone))}>"


def _is_standard_zone(kind: type) -> bool:
    zoneinfo = sys.modules.get("zoneinfo")
    return zoneinfo is not None and kind is zoneinfo.ZoneInfo


def _decimal_text(value: Decimal) -> str:
    return str(value) if value.__sizeof__() <= _MAX_DECIMAL_BYTES else "<decimal.Decimal>"


TEXT_OF: dict[type, Callable[[Any], str]] = {
    datetime: _moment_text,
    time: _moment_text,
    date: date.isoformat,
    timedelta: str,
    timezone: str,
    Decimal: _decimal_text,
    UUID: str,
    complex: str,
}
"""How the exact types are written; to be asked only for classes whose metaclass is `type`, which hash without harm."""
