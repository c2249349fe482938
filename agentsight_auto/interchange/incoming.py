"""One conversation on its way in: what a line says, as events.

In: facts in the order of the line, each with its time where the line tells it. Out: an `Incoming` with events.
Loses: nothing; what cannot be a conversation raises `BadConversation` with the reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from agentsight_auto._clock import parse_moment, us_from_datetime
from agentsight_auto._ids import derived_id
from agentsight_auto.events import AnyEvent
from agentsight_auto.snapshot import sanitize_text

STEP_US = 1000
"""Between facts that have no time of their own."""

MAX_AT_US = 253_370_764_800_000_000
"""The year 9999, the store's latest moment."""

_LONGEST_ID = 255
_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_TIME_KEYS = ("timestamp", "created_at", "created")
_PER_SECOND = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))
"""Numbers below these bounds are seconds, milliseconds, microseconds since 1970; beyond them nanoseconds."""


class BadConversation(ValueError):
    """A line is not a conversation; the text says what is wrong with it."""


class Fact(msgspec.Struct):
    """A recorded fact before it has a time: the event's type, its fields, and what names it in the conversation."""

    kind: type[AnyEvent]
    part: str
    at_us: int | None
    fields: dict[str, Any]
    event_id: str | None = None


class Incoming(msgspec.Struct, kw_only=True):
    """A conversation to import.

    `has_times`: the line told at least one time; else the events lie before the import in steps, and move to where they
    are in the store if they are there already. `place` is city, country and time zone.
    """

    conversation_id: str
    events: list[AnyEvent]
    has_times: bool
    is_marked: bool = False
    deleted_at_us: int | None = None
    place: tuple[str | None, str | None, str | None] | None = None


def read_id(value: Any, prefix: str = "") -> str:
    """Return the conversation id of a line: ``conversation_id``, else ``id``, else a hash of the content.

    Raises:
        BadConversation: the id is not text or a whole number, or longer than 255 characters.
    """
    for key in ("conversation_id", "id"):
        given = value.get(key) if isinstance(value, dict) else None
        if given is None or (isinstance(given, str) and not given.strip()):
            continue
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise BadConversation(f"{key} is not text but {_shown(given)}")
        text = prefix + sanitize_text(str(given).strip())
        if len(text) > _LONGEST_ID:
            raise BadConversation(f"{key} has {len(text)} characters; at most {_LONGEST_ID} are allowed")
        return text
    try:
        content = json.dumps(value, sort_keys=True)
    except RecursionError as error:
        raise BadConversation("nested too deeply") from error
    return f"{prefix}import_{hashlib.sha256(content.encode()).hexdigest()[:24]}"


def told_time(value: dict[str, Any]) -> tuple[str | None, int | None]:
    """Return the first key that tells a time, and the time in microseconds since 1970; None where none does."""
    for key in _TIME_KEYS:
        at_us = moment_us(value.get(key))
        if at_us is not None:
            return key, at_us
    return None, None


def moment_us(value: Any) -> int | None:
    """Read a Unix time (seconds to nanoseconds, by its size) or ISO 8601 text; None for what is no moment."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        if isinstance(value, str):
            at_us = us_from_datetime(parse_moment(value))
        elif isinstance(value, int | float):
            scale = next((scale for bound, scale in _PER_SECOND if abs(value) < bound), None)
            at_us = round(value * scale) if scale else int(value) // 1000
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return at_us if 0 <= at_us <= MAX_AT_US else None


def place_in_time(told: Sequence[int | None], start_us: int | None, now_us: int) -> list[int]:
    """Return a time for each fact: as told, but never before the fact ahead of it; in steps of 1 ms where untold.

    Where nothing is told, the last fact is now.
    """
    if not told:
        return []
    first = next((index for index, at_us in enumerate(told) if at_us is not None), None)
    begin_us = now_us - STEP_US * (len(told) - 1) if start_us is None else start_us
    if first is not None:
        before_first = (told[first] or 0) - STEP_US * first
        begin_us = before_first if start_us is None else min(start_us, before_first)
    times: list[int] = []
    for at_us in told:
        if not times:
            times.append(max(begin_us if at_us is None else at_us, 0))
        else:
            times.append(times[-1] + STEP_US if at_us is None else max(at_us, times[-1] + 1))
    return times


def make_events(
    conversation_id: str, facts: Sequence[Fact], times: Sequence[int], *, has_times: bool
) -> list[AnyEvent]:
    """Return the events of the facts, checked; an id that the line does not give follows from conversation and part.

    Raises:
        BadConversation: a field of the wrong type, or an event id that is none.
    """
    events = []
    wrong = next((fact for fact in facts if not _is_event_id(fact.event_id)), None)
    if wrong is not None:
        raise BadConversation(f"{wrong.part}: the event id is not 32 hex digits")
    for fact, at_us in zip(facts, times, strict=True):
        event_id = fact.event_id or derived_id(at_us if has_times else 0, conversation_id, fact.part)
        document = {"id": event_id, "conversation_id": conversation_id, "at_us": at_us, **fact.fields}
        try:
            events.append(msgspec.convert(document, fact.kind))
        except msgspec.ValidationError as error:
            raise BadConversation(f"{fact.part}: {error}") from error
    return events


def _is_event_id(given: object) -> bool:
    """Tell whether this is an event id, or nothing."""
    return given is None or (isinstance(given, str) and _EVENT_ID.fullmatch(given) is not None)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
