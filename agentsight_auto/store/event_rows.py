"""Events as rows: what can be stored at all, and in which columns.

In: an event. Out: its id as bytes; tuples in the column order of the tables, without the database id, of what the
driver takes as it is: it looks for an adapter for each `bytes` and each None, which takes longer than the rest.
Loses: nothing; an event that cannot be stored raises `RejectedEvent` with the reason.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeAlias, cast

from agentsight_auto.events import (
    Action,
    AnyEvent,
    AttachmentRef,
    Attachments,
    Button,
    ConversationEnded,
    ConversationStarted,
    Feedback,
    Message,
    TokenUsage,
)
from agentsight_auto.store.bulk import NULL
from agentsight_auto.store.metadata_index import encode_json

Row: TypeAlias = tuple[Any, ...]
Written: TypeAlias = Message | Action | Button | Attachments
"""The events that appear as a message of the conversation."""

MAX_CONVERSATION_ID = 255
MAX_AT_US = 253_370_764_800_000_000
"""The year 9999: later moments cannot be shown in every time zone."""
MAX_TOKENS = 2**53
_MAX_BYTES = 2**63 - 1

_SENDERS = frozenset({"end_user", "agent", "system"})
_SENTIMENTS = frozenset({"positive", "neutral", "negative"})
_SOURCES = frozenset({"customer", "platform"})
_KINDS = {Action: "action", Button: "button", Attachments: "attachments"}
_MEDIA = frozenset({"image", "text", "audio", "video"})
_DIGEST = re.compile(r"[0-9a-f]{64}")


class RejectedEvent(ValueError):
    """An event cannot be stored; the text says why."""


def check(event: AnyEvent) -> bytes:
    """Return the event's id as 16 bytes.

    Raises:
        RejectedEvent: a field is missing, of an unknown kind or out of range.
    """
    event_id = id_bytes(event.id)
    conversation_id, at_us = event.conversation_id, event.at_us
    if not isinstance(conversation_id, str) or not 1 <= len(conversation_id) <= MAX_CONVERSATION_ID:
        raise RejectedEvent(f"conversation_id is not a text of 1 to {MAX_CONVERSATION_ID} characters")
    if not isinstance(at_us, int) or not 0 <= at_us <= MAX_AT_US:
        _check_moment("at_us", at_us)
    if isinstance(event, Message):
        if event.sender not in _SENDERS:
            _check_sender(event.sender)
        if not isinstance(event.content, str):
            raise RejectedEvent("content is not text")
        if event.attachments:
            _check_attachments(event.attachments)
    elif not isinstance(event, (ConversationStarted, ConversationEnded)):
        _check_rarer(event)
    return event_id


def id_bytes(text: str) -> bytes:
    """Read an event id of 32 hex digits."""
    try:
        value = bytes.fromhex(text)
    except (TypeError, ValueError):
        value = b""
    if len(value) != 16 or len(text) != 32:
        raise RejectedEvent(f"the event id {text!r:.50} is not 32 hex digits")
    return value


def _check_rarer(event: AnyEvent) -> None:
    if isinstance(event, Action):
        _check_action(event)
    elif isinstance(event, Attachments):
        _check_sender(event.sender)
        _check_attachments(event.attachments)
    elif isinstance(event, TokenUsage):
        for name in ("prompt_tokens", "completion_tokens", "total_tokens", "embedding_tokens"):
            _check_range(name, getattr(event, name), MAX_TOKENS)
    elif isinstance(event, Feedback):
        if event.sentiment not in _SENTIMENTS:
            raise RejectedEvent(f"sentiment {event.sentiment!r:.50} is not positive, neutral or negative")
        if event.source not in _SOURCES:
            raise RejectedEvent(f"source {event.source!r:.50} is not customer or platform")
    elif not isinstance(event, Button):
        raise RejectedEvent(f"{type(event).__name__} is not an event that this store knows")


def _check_action(event: Action) -> None:
    for name in ("started_at_us", "ended_at_us"):
        moment = getattr(event, name)
        if moment is not None:
            _check_moment(name, moment)
    if event.duration_ms is not None and not math.isfinite(event.duration_ms):
        raise RejectedEvent("duration_ms is not a finite number")
    if event.parent_id is not None:
        id_bytes(event.parent_id)


def _check_attachments(attachments: list[AttachmentRef]) -> None:
    for attachment in attachments:
        _check_range("size_bytes", attachment.size_bytes, _MAX_BYTES)
        if not _DIGEST.fullmatch(attachment.sha256):
            raise RejectedEvent(f"sha256 {attachment.sha256!r:.80} is not 64 lower-case hex digits")


def _check_sender(sender: str) -> None:
    if sender not in _SENDERS:
        raise RejectedEvent(f"sender {sender!r:.50} is not end_user, agent or system")


def _check_moment(name: str, value: int) -> None:
    _check_range(name, value, MAX_AT_US)


def _check_range(name: str, value: int, highest: int) -> None:
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise RejectedEvent(f"{name} is not an integer from 0 to {highest}")


def message_row(row_id: int, agent_id: int, pk: int, event_id: bytes, event: Written) -> Row:
    """Return the row of `messages`, with its database id."""
    metadata, blob = _json_or_null(event.metadata), bytearray(event_id)
    if isinstance(event, Message):  # by far the most frequent kind
        return (row_id, agent_id, pk, blob, "message", event.sender, event.content, NULL, metadata, event.at_us)
    sender, content, action_name = "agent", "", cast("str | int", NULL)
    if isinstance(event, Action):
        action_name = event.action_name
        content = f"Action {action_name} performed"
    elif isinstance(event, Button):
        sender, content = "end_user", event.label
    else:
        sender = event.sender
    kind = _KINDS[type(event)]
    return (row_id, agent_id, pk, blob, kind, sender, content, action_name, metadata, event.at_us)


def action_log_row(agent_id: int, pk: int, message_id: int, event_id: bytes, event: Action) -> Row:
    """Return the row of `action_logs`."""
    return (
        agent_id,
        pk,
        message_id,
        bytearray(event_id),
        NULL if event.parent_id is None else bytearray.fromhex(event.parent_id),
        _or_null(event.started_at_us),
        _or_null(event.ended_at_us),
        _or_null(event.duration_ms),
        _json_or_null(event.tools_used),
        _json_or_null(event.response),
        _or_null(event.error_msg),
        _json_or_null(event.metadata),
    )


def button_row(agent_id: int, pk: int, message_id: int, event_id: bytes, event: Button) -> Row:
    """Return the row of `buttons`."""
    pressed = (event.button_event, event.label, event.value)
    return (agent_id, pk, message_id, bytearray(event_id), *pressed, _json_or_null(event.metadata))


def attachment_rows(agent_id: int, pk: int, message_id: int, event: Message | Attachments) -> list[Row]:
    """Return the rows of `attachments`, in the order of the event."""
    return [
        (agent_id, pk, message_id, attachment_type(a.mime_type), a.filename, a.mime_type, a.size_bytes, a.sha256)
        for a in event.attachments
    ]


def attachment_type(mime_type: str) -> str:
    """Return image, text, audio, video, or document for everything else."""
    media = mime_type.strip().lower().partition("/")[0]
    return media if media in _MEDIA else "document"


def token_usage_row(agent_id: int, pk: int, event_id: bytes, event: TokenUsage) -> Row:
    """Return the row of `token_usages`; a total left at 0 is prompt and completion together."""
    total = event.total_tokens or event.prompt_tokens + event.completion_tokens
    counts = (event.prompt_tokens, event.completion_tokens, total, event.embedding_tokens)
    return (agent_id, pk, bytearray(event_id), *counts, _json_or_null(event.metadata), event.at_us)


def feedback_row(agent_id: int, pk: int, event_id: bytes, event: Feedback) -> Row:
    """Return the row of `feedbacks`."""
    judgement = (event.sentiment, event.source, _or_null(event.comment))
    return (agent_id, pk, bytearray(event_id), *judgement, _json_or_null(event.metadata), event.at_us)


def json_text(value: Any) -> str | None:
    """Return compact JSON, or None for None."""
    return None if value is None else encode_json(value).decode()


def _or_null(value: Any) -> Any:
    return NULL if value is None else value


def _json_or_null(value: Any) -> Any:
    return NULL if value is None else encode_json(value).decode()
