"""Rewrite every text of an event, wherever it stands in it.

In: an event and what to do with a text. Out: an event of the same kind, id, conversation and times.
Loses: nothing of its own. What is kept as it is: ids, moments, numbers, and the fields that take one of a few words.

A field that an event gains later is rewritten without being named here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from agentsight_auto.events import AttachmentRef, Event, Feedback, Json
from agentsight_auto.snapshot import snapshot

E = TypeVar("E", bound=Event)

_KEPT = frozenset({"id", "conversation_id", "at_us", "parent_id", "sender", "sentiment", "environment"})
_KEPT_BY_KIND: dict[type, frozenset[str]] = {Feedback: frozenset({"source"})}
IDENTIFYING = frozenset({"customer_id", "customer_ip_address", "device", "source", "language"})
"""Fields by which conversations are told apart: where one cannot be shown, it is left out and not replaced."""

_SHORTEST_NUMBER = 10**6
"""An int from here on is shown to redactors as text: it may be a phone or a card number."""


class _Field(NamedTuple):
    name: str
    is_json: bool


@functools.cache
def _fields(kind: type[Event]) -> tuple[_Field, ...]:
    """Return the fields that may hold text; a number is looked at only where any JSON may stand."""
    kept = _KEPT | _KEPT_BY_KIND.get(kind, frozenset())
    return tuple(
        _Field(field.name, field.type is Any) for field in msgspec.structs.fields(kind) if field.name not in kept
    )


def rewrite_texts(event: E, rewrite: Callable[[str], str], *, is_lost: Callable[[str], bool]) -> E:
    """Return the event with each text rewritten; `is_lost` tells which results are markers."""
    changes: dict[str, Any] = {}
    for name, is_json in _fields(type(event)):
        value = getattr(event, name)
        if value is None or (not is_json and isinstance(value, (int, float))):
            continue
        rewritten = rewrite_json(value, rewrite)
        is_left_out = name in IDENTIFYING and isinstance(rewritten, str) and is_lost(rewritten)
        changes[name] = None if is_left_out else rewritten
    return msgspec.structs.replace(event, **changes)


def rewrite_json(value: Json, rewrite: Callable[[str], str]) -> Json:
    """Return a copy of a JSON value with its texts, its keys and its long numbers rewritten."""
    kind = type(value)
    if kind is str:
        return rewrite(value)
    if kind is int:
        return _rewrite_number(value, rewrite)
    if kind is dict:
        copy: dict[str, Json] = {}
        for key, item in value.items():
            name = rewrite(key if type(key) is str else str(snapshot(key)))
            copy[name if name not in copy else f"{name} ({len(copy) + 1})"] = rewrite_json(item, rewrite)
        return copy
    if kind is list or kind is tuple:
        return [rewrite_json(item, rewrite) for item in value]
    if kind is AttachmentRef:
        return msgspec.structs.replace(value, filename=rewrite(value.filename), mime_type=rewrite(value.mime_type))
    if value is None or kind is float or kind is bool:
        return value
    return rewrite_json(snapshot(value), rewrite)  # no JSON: nothing passes that was not looked at


def _rewrite_number(value: int, rewrite: Callable[[str], str]) -> Json:
    if -_SHORTEST_NUMBER < value < _SHORTEST_NUMBER:
        return value
    text = str(value)
    rewritten = rewrite(text)
    return value if rewritten == text else rewritten
