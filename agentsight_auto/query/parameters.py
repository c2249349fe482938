"""Read one parameter of a query: text, number, flag, moment or choice.

In: what a caller or a URL gave. Out: a plain Python value that every driver can bind.
Loses: nothing; what cannot be read is an `InvalidQueryException` with the parameter, the value and what is accepted.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Any

from agentsight_auto._clock import parse_moment, us_from_datetime
from agentsight_auto.exceptions import InvalidConversationDataException, InvalidQueryException

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_ENVIRONMENT_NAMES = {"prod": "production", "dev": "development"}
_ENVIRONMENT = re.compile(r"[a-z0-9-]{1,64}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LONGEST_NUMBER = 40
LARGEST_PAGE = 100
_EARLIEST_US, _LATEST_US = -86_400_000_000, 253_402_300_799_999_999
"""Nothing is stored outside 1970 to 9999; within these bounds every moment can be written in UTC."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


class AnyOf(tuple[str, ...]):
    """Several values of one filter: a conversation has to have exactly one of them. Only the dashboard asks so."""

    __slots__ = ()


def each(value: object) -> Sequence[Any]:
    """Return the values of a filter: those of `AnyOf`, or the one that it is."""
    return value if isinstance(value, AnyOf) else (value,)


def unreadable(name: str, value: object, accepted: str) -> InvalidQueryException:
    """Return the error for a parameter that cannot be read; `accepted` completes "Give ..."."""
    message = f"{name}: {shown(value)} cannot be read. Give {accepted}."
    return InvalidQueryException(message, response_data={name: [message]})


def shown(value: object) -> str:
    """Return a short `repr` for messages that no value can make fail or blow up."""
    if isinstance(value, int) and not isinstance(value, Enum) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    try:
        return _short.repr(value)
    except (ValueError, RecursionError):  # a huge int inside, which Python refuses to write in digits
        return f"a {type(value).__name__}"


def storable(value: str) -> str:
    """Return `value` as the store keeps it: NUL and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", value)


def read_text(name: str, value: object) -> str:
    """Read text; a whole number counts as its digits."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 128:
        return str(value)
    raise unreadable(name, value, "text")


def read_flag(name: str, value: object) -> bool:
    """Read a yes or no: a bool, 0 or 1, or true/false, yes/no, on/off, 1/0 as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return value == 1
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    raise unreadable(name, value, "true or false")


def read_whole_number(name: str, value: object) -> int:
    """Read a whole number of any size a caller can write down in 40 digits; larger ones keep only their sign."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        digits = value.strip()
        if re.fullmatch(r"[+-]?[0-9]+", digits):
            return int(digits) if len(digits) <= _LONGEST_NUMBER else int(digits[0] + "9" * _LONGEST_NUMBER)
    raise unreadable(name, value, "a whole number")


def read_moment_us(name: str, value: object) -> int:
    """Read a datetime, a date or ISO 8601 text as microseconds since 1970 (UTC).

    Without an offset it is local time; a date alone is its midnight.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, str | datetime):
        try:
            at_us = us_from_datetime(parse_moment(value))
            return min(max(at_us, _EARLIEST_US), _LATEST_US)
        except (ValueError, OverflowError, OSError):
            pass
    raise unreadable(name, value, "a datetime or ISO 8601 text such as 2026-11-21 or 2026-11-21T08:30:00+01:00")


def read_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Read one of a few words, in any case."""
    word = value.value if isinstance(value, Enum) else value
    if isinstance(word, str) and word.strip().lower() in choices:
        return word.strip().lower()
    raise unreadable(name, value, " or ".join(choices))


def read_environment(name: str, value: object) -> str:
    """Read an environment: production, development, prod, dev, or another slug, in any case."""
    word = value.value if isinstance(value, Enum) else value
    if isinstance(word, str):
        slug = word.strip().lower()
        slug = _ENVIRONMENT_NAMES.get(slug, slug)
        if _ENVIRONMENT.fullmatch(slug):
            return slug
    raise unreadable(name, value, "production, development or another slug of a-z, 0-9 and -")


def read_names(name: str, value: Any) -> list[str]:
    """Read a list of names: a list, or text with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, list | tuple | set | frozenset) and len(parts) <= 100:
        return [text for part in parts if (text := read_text(name, part).strip())]
    raise unreadable(name, value, "at most 100 names, as a list or as text with commas between them")


def read_id(value: object) -> int | str:
    """Check a conversation's id: text that is not blank, or an int; one beyond 64 bits becomes -1, which no row has."""
    if isinstance(value, str) and value.strip():
        return storable(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if 0 <= value < 2**63 else -1
    raise unreadable("conversation_id", value, "the text id, or the database id as an int")


def read_subject(conversation_id: object, customer_id: object) -> tuple[int | str | None, str | None]:
    """Check what an erasure is about: a conversation's id or a customer's, not both.

    Raises:
        InvalidQueryException: both, neither, or an empty one.
    """
    if (conversation_id is None) == (customer_id is None):
        raise InvalidQueryException("Give a conversation's id or a customer's id to erase, and not both.")
    if customer_id is None:
        return read_id(conversation_id), None
    customer = read_text("customer_id", customer_id)
    if not customer.strip():
        raise unreadable("customer_id", customer_id, "the id of a customer")
    return None, customer


def read_field(name: str, value: object, *, shortest: int = 0, longest: int = 255, trim: bool = False) -> str:
    """Check a text that an edit stores.

    Raises:
        InvalidQueryException: not text.
        InvalidConversationDataException: too short or too long.
    """
    text = read_text(name, value)
    text = text.strip() if trim else text
    if not shortest <= len(text) <= longest:
        message = f"{name}: {len(text)} characters cannot be stored. Give {shortest} to {longest}."
        raise InvalidConversationDataException(message)
    return text


def clamp_page_size(size: int) -> int:
    """Return a page size from 1 to 100."""
    return min(max(size, 1), LARGEST_PAGE)
