"""What users pass to the documented calls, read and checked.

In: any Python value. Out: texts, times and numbers that events hold; or the documented exception.
Loses: what exceeds the limits, which the recorded value says itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, TypedDict

from .._clock import parse_moment, us_from_datetime
from .._guard import guarded, shown, warn_at_most_once_a_minute
from .._setting_values import normalize_environment
from .._settings import Settings
from ..exceptions import InvalidConversationDataException, MissingConversationIdException
from ..snapshot import bounded_text, snapshot, snapshot_metadata

ID_CHARACTERS = 255
"""Longest text id and longest text field of a conversation. Source: the limits of the documented API."""


MOST_TOKENS = 2**53
_LONGEST_MS = 1e14
"""About 3,000 years: what is longer is no duration but a mistake of unit."""


_TEXT_FIELDS = frozenset({"customer_id", "customer_ip_address", "device", "source", "language", "name"})


class ConversationFields(TypedDict, total=False):
    """The documented fields of a conversation, as users pass them."""

    customer_id: object
    customer_ip_address: object
    device: object
    source: object
    language: object
    name: object
    environment: object
    metadata: object


def checked_conversation_id(value: object) -> str:
    """Return the id as text, for calls that may raise.

    Raises:
        MissingConversationIdException: None or blank.
        InvalidConversationDataException: longer than 255 characters.
    """
    text = "" if value is None else _identifying_text(value)
    if text is None:
        raise InvalidConversationDataException(
            f"A {type(value).__name__} has no text of its own to identify a conversation by. Pass a text."
        )
    text = text.strip()
    if not text:
        raise MissingConversationIdException
    if len(text) > ID_CHARACTERS:
        raise InvalidConversationDataException(
            f"The conversation id has {len(text)} characters; at most {ID_CHARACTERS} are allowed."
        )
    return text


def usable_conversation_id(value: object) -> str | None:
    """Return the id as text, for blocks, which never raise: too long an id is shortened, always in the same way."""
    if type(value) is str and len(value) <= ID_CHARACTERS and value.isascii() and "\0" not in value:
        return value.strip() or None  # what the rest comes to for most ids
    text = "" if value is None else (_identifying_text(value) or "").strip()
    if len(text) > ID_CHARACTERS:
        import hashlib  # noqa: PLC0415 - few ids are so long

        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        text = f"{text[: ID_CHARACTERS - 33]}-{digest}"
    return text or None


def conversation_fields(given: ConversationFields, settings: Settings, *, strict: bool) -> dict[str, Any]:
    """Return the fields of a `ConversationStarted` event.

    With `strict` an unknown environment and metadata that is no mapping raise InvalidConversationDataException;
    otherwise the environment of the settings and whatever can be kept are used, with a warning.
    """
    metadata = given.get("metadata")
    read: dict[str, Any] = {"environment": settings.environment}
    for name, value in given.items():
        if value is not None and name in _TEXT_FIELDS:
            is_plain = type(value) is str and len(value) <= ID_CHARACTERS and value.isascii() and "\0" not in value
            read[name] = value or None if is_plain else _plain_text(value)[:ID_CHARACTERS] or None
    environment = given.get("environment")
    if environment is not None:
        try:
            read["environment"] = normalize_environment(environment)
        except InvalidConversationDataException as error:
            if strict:
                raise
            warn_at_most_once_a_minute("environment", "agentsight-auto: %s", error)
    if metadata is not None:
        read["metadata"] = checked_metadata(metadata, settings) if strict else kept_metadata(metadata, settings)
    return read


def checked_metadata(metadata: object, settings: Settings) -> dict[str, Any] | None:
    """Return a bounded copy of a metadata document.

    Raises:
        InvalidConversationDataException: not a mapping.
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidConversationDataException(
            f"metadata must be a dict, not {type(metadata).__name__}. Pass for example metadata={{'plan': 'pro'}}."
        )
    return kept_metadata(metadata, settings)


def kept_metadata(metadata: object, settings: Settings) -> dict[str, Any] | None:
    """Return a bounded copy of whatever was given as metadata; None if there is none."""
    return (snapshot_metadata(metadata, settings.max_value_bytes) or None) if metadata is not None else None


def checked_text(value: object, what: str, error: type[Exception], limit_bytes: int) -> str:
    """Return a text that is not blank, bounded.

    Raises:
        Exception: of the type `error`, for anything but a text with something in it.
    """
    if type(value) is str and len(value) < limit_bytes >> 3 and not value.isspace() and value:
        return value  # its NULs and surrogates are seen to where all events pass
    if not isinstance(value, str):
        raise error(f"The {what} must be a text, not {type(value).__name__}.")
    if not value.strip():
        raise error(f"The {what} is blank. Pass a text with something in it.")
    return bounded_text(value, limit_bytes)


def token_counts(prompt: object, completion: object, total: object, embedding: object) -> tuple[int, int, int, int]:
    """Return the token counts of one usage; a total of 0 is prompt + completion.

    Raises:
        InvalidConversationDataException: not a whole number from 0 to 2**53.
    """
    if type(prompt) is not int or not 0 <= prompt <= MOST_TOKENS:
        prompt = _token_count("prompt", prompt)
    if type(completion) is not int or not 0 <= completion <= MOST_TOKENS:
        completion = _token_count("completion", completion)
    if type(total) is not int or not 0 <= total <= MOST_TOKENS:
        total = _token_count("total", total)
    if type(embedding) is not int or not 0 <= embedding <= MOST_TOKENS:
        embedding = _token_count("embedding", embedding)
    if not total and (total := prompt + completion) > MOST_TOKENS:
        _token_count("prompt_tokens + completion", total)
    return prompt, completion, total, embedding


def _token_count(name: str, value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise InvalidConversationDataException(
            f"{name}_tokens must be a whole number from 0 to 2**53, not {shown(value)}."
        )
    return int(value)


class Times(TypedDict):
    """The times of an action as an event holds them."""

    started_at_us: int
    ended_at_us: int
    duration_ms: float


def action_times(started_at: object, ended_at: object, duration_ms: object, now_us: int) -> Times:
    """Complete the times of an action: the third from two; a duration alone ended now; nothing is now and 0.

    Three that disagree are kept as given.

    Raises:
        InvalidConversationDataException: a time that cannot be read or a duration that is no number of at least 0.
    """
    start = _moment_us("started_at", started_at)
    end = _moment_us("ended_at", ended_at)
    duration = _duration("duration_ms", duration_ms)
    if start is None:
        end = now_us if end is None else end
        start = end - round((duration or 0.0) * 1000)
    elif end is None:
        end = now_us if duration is None else start + round(duration * 1000)
    if duration is None:
        duration = max(end - start, 0) / 1000
    return {"started_at_us": start, "ended_at_us": end, "duration_ms": duration}


def json_value(value: object, settings: Settings) -> Any:
    """Return a bounded copy of a value that is kept as JSON; text stays text; None stays None."""
    if isinstance(value, str):
        return bounded_text(value, settings.max_value_bytes)
    return snapshot(value, settings.max_value_bytes)


def _plain_text(value: object) -> str:
    return _identifying_text(value) or str(snapshot(value, 1024))


def _identifying_text(value: object) -> str | None:
    """Return the text by which an id is told from others: that of `str()`; None where it tells nothing or fails.

    Ids are few and short, and the user chose their type, so their own code runs here, unlike that of recorded values.
    """
    kind = type(value)
    if kind is str and len(value) <= ID_CHARACTERS and value.isascii() and "\0" not in value:  # type: ignore[arg-type, attr-defined, operator]
        return value  # type: ignore[return-value]
    if issubclass(kind, str):
        return bounded_text(value, 64 * 1024)
    if issubclass(kind, (bytes, bytearray)):
        return bounded_text(bytes(value).decode("utf-8", "backslashreplace"), 64 * 1024)  # type: ignore[call-overload]
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return None
    return bounded_text(_text_of(value) or "", 64 * 1024) or None


@guarded
def _text_of(value: object) -> str:
    return str(getattr(value, "value", value) if isinstance(value, Enum) else value)


def _moment_us(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, (str, datetime)):
            at_us = us_from_datetime(parse_moment(value))
            if at_us >= 0:
                return at_us
    except (ValueError, OverflowError, OSError):
        pass
    raise InvalidConversationDataException(
        f"{name} cannot be read: {shown(value)}. Pass a datetime or ISO 8601 text such as 2026-11-21T08:30:00Z."
    )


def _duration(name: str, value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, bool) and isinstance(value, (int, float)) and 0 <= value < _LONGEST_MS:
        return float(value)
    raise InvalidConversationDataException(f"{name} must be a number of milliseconds from 0, not {shown(value)}.")
