"""Turn what the older write routes send into events, and let them into the store.

In: fields of a body: which conversation, which time. Out: events with a fresh id, stored; database ids.
Loses: nothing; what the store rejects is a 400 answer with its reason.
"""

from __future__ import annotations

import re
from typing import Any

from agentsight_auto._clock import parse_moment, us_from_datetime
from agentsight_auto._ids import derived_id
from agentsight_auto.events import AnyEvent, ConversationStarted, TokenUsage
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.server import errors
from agentsight_auto.server.routing import Call, parse_id
from agentsight_auto.store.event_rows import MAX_AT_US, MAX_CONVERSATION_ID

DEFAULT_ENVIRONMENT = "production"
"""Of a conversation whose client does not name one. Source: the documented API."""

_EVENT_ID = re.compile(r"[0-9a-fA-F]{32}")
_LONGEST_IDEMPOTENCY_KEY = 255


def moment_us(field: str, value: object) -> int:
    """Return a moment in ISO 8601 as microseconds (UTC).

    Raises:
        ApiError: 400 for what is no moment from 1970 to 9999.
    """
    try:
        at_us = us_from_datetime(parse_moment(value)) if isinstance(value, str) else -1
    except (ValueError, OverflowError, OSError):
        at_us = -1
    if not 0 <= at_us <= MAX_AT_US:
        raise errors.field_error(
            field, "Datetime has wrong format. Use ISO 8601, for example 2026-11-21T08:30:00.000000Z."
        )
    return at_us


def event_head(call: Call, conversation_id: str, timestamp: str | None) -> tuple[str, str, int]:
    """Return the first three fields of an event: id, conversation id, capture time.

    The id is fresh, unless the header ``Idempotency-Key`` names the request: then it is the same each time.
    """
    at_us = call.service.clock.now_us() if timestamp is None else moment_us("timestamp", timestamp)
    key = call.headers.get("idempotency-key")
    if key is None:
        return call.service.ids.next(at_us), conversation_id, at_us
    if _EVENT_ID.fullmatch(key):
        return key.lower(), conversation_id, at_us
    if not 1 <= len(key) <= _LONGEST_IDEMPOTENCY_KEY:
        raise errors.detail_error(400, f"Idempotency-Key has {len(key)} characters. Give 1 to 255.")
    return derived_id(0, call.operation.path, key), conversation_id, at_us


def record(call: Call, event: AnyEvent) -> int:
    """Store one event for the key's agent and return the database id of what it became.

    A conversation that it is the first to name is made in the default environment.

    Raises:
        ApiError: 400, the event cannot be stored.
    """
    if has_conversation(call, event.conversation_id):
        store(call, event)
    else:
        head = call.service.ids.next(event.at_us), event.conversation_id, event.at_us
        store(call, ConversationStarted(*head, environment=DEFAULT_ENVIRONMENT, is_used=False), event)
    return call.backend.row_id_of_event(event.id, is_usage=isinstance(event, TokenUsage))


def used_before() -> errors.ApiError:
    """Return status 400 for an Idempotency-Key that has become something of another kind."""
    return errors.detail_error(400, "This Idempotency-Key was used for a request of another kind.")


def has_conversation(call: Call, conversation_id: str) -> bool:
    """Tell whether the key's agent has a conversation of this text id."""
    try:
        call.backend.find_conversation(conversation_id)
    except NotFoundException:
        return False
    return True


def store(call: Call, *events: AnyEvent) -> None:
    """Store events for the key's agent.

    Raises:
        ApiError: 400, one of them cannot be stored.
    """
    answers = call.backend.ingest(events)
    call.service.metrics.count_events(answer.status for answer in answers)
    for answer in answers:
        if answer.status == "rejected":
            raise errors.detail_error(400, f"This cannot be stored: {answer.reason}")


def conversation_of(call: Call, conversation: Any, conversation_id: Any, *, has_message: bool = False) -> str:
    """Return the text id of the conversation that a body means; one that is named by text need not exist yet.

    `conversation` is the integer id, or its digits; it wins. ``"None"`` as text is what an older client writes for
    none, where the integer id or a message says which conversation it is.

    Raises:
        ApiError: 400 neither is given, or one cannot be read; 404 this agent has no such conversation.
    """
    if conversation not in {None, ""}:
        number = parse_id(conversation)
        if number is None:
            raise errors.not_found("Conversation not found.")
        try:
            return call.backend.find_conversation(number)[1]
        except NotFoundException as error:
            raise errors.not_found("Conversation not found.") from error
    if conversation_id is None or (has_message and conversation_id == "None"):
        raise errors.required("conversation_id")
    return checked_conversation_id(conversation_id)


def checked_conversation_id(value: Any) -> str:
    """Return a conversation's text id; an int counts as its digits.

    Raises:
        ApiError: 400 not text, blank, or of more than 255 characters.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise errors.field_error("conversation_id", "Not a valid string.")
    return checked_text("conversation_id", text, longest=MAX_CONVERSATION_ID)


def checked_text(field: str, text: str, *, longest: int | None = None) -> str:
    """Return a text that is not blank and not too long.

    Raises:
        ApiError: 400.
    """
    if not text.strip():
        raise errors.field_error(field, "This field may not be blank.")
    if longest is not None and len(text) > longest:
        raise errors.field_error(field, f"Ensure this field has no more than {longest} characters.")
    return text
