"""The documented payloads of the per-item routes: one event in, the path and fields of its request out.

In: events, and the integer id of their conversation if it is known. Out: plain JSON-ready values.
Loses: what those routes have no field for: event ids, the parent of an action, how a block ended.

Source: the documented HTTP API of AgentSight, as its client 0.0.44 speaks it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsight_auto._clock import iso_from_us
from agentsight_auto.events import (
    Action,
    AnyEvent,
    Attachments,
    Button,
    ConversationStarted,
    Feedback,
    Message,
    TokenUsage,
)

CONVERSATIONS = "/api/conversations/"
LOOKUP = "/api/conversations/lookup/"
TRACK = "/api/track/"
ACTION_LOGS = "/api/action_logs/"
BUTTONS = "/api/buttons/"
ATTACHMENTS = "/api/attachments/"
FEEDBACKS = "/api/conversation-feedbacks/"

USAGE_ACTION = "token_usage"
"""Token usage travels as an action of this name; ``delta`` in its metadata says that it is to be summed."""

_OPENED_FIELDS = (
    "customer_id", "customer_ip_address", "device", "source", "language", "name", "environment", "metadata", "is_used",
)  # fmt: skip

Payload = tuple[str, dict[str, Any]]


def payload(event: AnyEvent, conversation_pk: int | None) -> Payload | None:
    """Return the path and the JSON of an event; None for what has no request of its own or is no JSON.

    Attachments are not JSON here: see `form_fields`.
    """
    if isinstance(event, ConversationStarted):
        known = {name: getattr(event, name) for name in _OPENED_FIELDS}
        return CONVERSATIONS, {"timestamp": iso_from_us(event.at_us), "conversation_id": event.conversation_id, **known}
    if isinstance(event, Feedback):
        judgement = {"sentiment": event.sentiment, "metadata": event.metadata or {}}
        comment = {} if event.comment is None else {"comment": event.comment}
        return FEEDBACKS, {"conversation_id": event.conversation_id, **judgement, **comment}
    if isinstance(event, Message):
        return TRACK, {**_common(event, conversation_pk), "content": event.content, "sender": event.sender}
    if isinstance(event, Action):
        return ACTION_LOGS, {**_common(event, conversation_pk), **_action(event)}
    if isinstance(event, TokenUsage):
        return ACTION_LOGS, {**_common(event, conversation_pk), **_token_usage(event)}
    if isinstance(event, Button):
        pressed = {"button_event": event.button_event, "label": event.label, "value": event.value}
        return BUTTONS, {**_common(event, conversation_pk), **pressed}
    return None


def form_fields(event: Message | Attachments, conversation_pk: int | None, message_pk: int | None) -> dict[str, str]:
    """Return the text parts of the multipart form that carries an event's attachments."""
    fields = {
        "timestamp": iso_from_us(event.at_us),
        "sender": event.sender,
        "mode": "form_data",
        "metadata": as_text(event.metadata if isinstance(event, Attachments) and event.metadata else {}),
    }
    if conversation_pk is not None:
        fields["conversation"] = str(conversation_pk)
    if message_pk is not None:
        fields["message"] = str(message_pk)
    return fields


def as_text(value: Any) -> str:
    """Return text as it is, and any other JSON value written out."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _common(event: Message | Action | TokenUsage | Button, conversation_pk: int | None) -> dict[str, Any]:
    return {
        "timestamp": iso_from_us(event.at_us),
        "conversation_id": event.conversation_id,
        "metadata": event.metadata or {},
        "conversation": conversation_pk,
    }


def _action(event: Action) -> dict[str, Any]:
    """Return the fields of an action; those that are not known are left out, as documented."""
    fields = {
        "started_at": None if event.started_at_us is None else iso_from_us(event.started_at_us),
        "ended_at": None if event.ended_at_us is None else iso_from_us(event.ended_at_us),
        "duration_ms": None if event.duration_ms is None else round(event.duration_ms),
        "tools_used": event.tools_used,
        "response": None if event.response is None else as_text(event.response),
        "error_msg": event.error_msg,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return {"action_name": event.action_name, **known}


def _token_usage(event: TokenUsage) -> dict[str, Any]:
    counters = {
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
        "total_tokens": event.total_tokens,
        "embedding_tokens": event.embedding_tokens,
    }
    return {"action_name": USAGE_ACTION, "metadata": {**(event.metadata or {}), **counters, "delta": True}}
