"""The vocabulary: one immutable type per kind of fact, and their JSON.

In: values that `capture` has bounded and made safe. Out: one line of JSON per event, and back.
Loses: nothing; a line that cannot be read raises `UnreadableEvent`.
"""

from __future__ import annotations

from typing import Any, Union

import msgspec

Json = Any
"""A JSON value: None, bool, int of at most 64 bits, finite float, str, list or dict with text keys."""


class AttachmentRef(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Named bytes that lie in the attachment folder under their SHA-256 (64 hex digits)."""

    sha256: str
    size_bytes: int
    filename: str
    mime_type: str


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="kind"):
    """A recorded fact: `id` is 32 hex digits made at capture, `at_us` the capture time in microseconds (UTC)."""

    id: str
    conversation_id: str
    at_us: int


class ConversationStarted(Event, tag="conversation", frozen=True):
    """What is known of a conversation at this moment; None is "no opinion"."""

    customer_id: str | None = None
    customer_ip_address: str | None = None
    device: str | None = None
    source: str | None = None
    language: str | None = None
    name: str | None = None
    environment: str | None = None
    metadata: dict[str, Json] | None = None
    is_used: bool = True


class ConversationEnded(Event, tag="conversation_end", frozen=True):
    """A `conversation()` block was left at `at_us`; `error` is the exception that left it, if one did."""

    error: str | None = None


class Message(Event, tag="message", frozen=True):
    """Text from one sender: ``end_user``, ``agent`` or ``system``."""

    sender: str
    content: str
    metadata: dict[str, Json] | None = None
    attachments: list[AttachmentRef] = []


class Action(Event, tag="action", frozen=True):
    """Something the agent did: times in microseconds (UTC), duration in milliseconds, `parent_id` an event id."""

    action_name: str
    started_at_us: int | None = None
    ended_at_us: int | None = None
    duration_ms: float | None = None
    tools_used: Json = None
    response: Json = None
    error_msg: str | None = None
    metadata: dict[str, Json] | None = None
    parent_id: str | None = None


class Button(Event, tag="button", frozen=True):
    """A choice that was offered and pressed."""

    button_event: str
    label: str
    value: str
    metadata: dict[str, Json] | None = None


class Attachments(Event, tag="attachments", frozen=True):
    """Attachments that belong to the conversation rather than to a message with text."""

    sender: str
    attachments: list[AttachmentRef]
    metadata: dict[str, Json] | None = None


class TokenUsage(Event, tag="token_usage", frozen=True):
    """Tokens of one call to a model; usages of a conversation are summed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    embedding_tokens: int = 0
    metadata: dict[str, Json] | None = None


class Feedback(Event, tag="feedback", frozen=True):
    """A judgement on the conversation: sentiment ``positive``, ``neutral`` or ``negative``."""

    sentiment: str
    source: str = "customer"
    comment: str | None = None
    metadata: dict[str, Json] | None = None


AnyEvent = Union[  # noqa: UP007 - msgspec reads the union at run time, on Python 3.10 too
    ConversationStarted, ConversationEnded, Message, Action, Button, Attachments, TokenUsage, Feedback
]


ESCALATED_BY = "fallback_to_human"
"""The documented action that hands a conversation over to a human: what `escalate` records."""

RESOLVED_BY = "resolve_conversation"
"""The action that ends a conversation with its purpose reached: what `resolve` records."""


def lifecycle_metadata(action_name: str, note: str | None) -> dict[str, Json]:
    """Return the metadata of the action that moves a conversation, with the reason or note of whoever did."""
    outcome = "escalated" if action_name == ESCALATED_BY else "resolved"
    return {"lifecycle": outcome} if note is None else {"lifecycle": outcome, "reason": note}


class UnreadableEvent(ValueError):
    """A line is not the JSON of an event of this version."""


encode_event = msgspec.json.Encoder().encode
"""Event to JSON bytes without a line end. Raises UnicodeEncodeError for lone surrogates."""

_decoder = msgspec.json.Decoder(AnyEvent)


def decode_event(line: bytes) -> AnyEvent:
    """Read one event back.

    Raises:
        UnreadableEvent: not JSON, an unknown kind, or a field of the wrong type.
    """
    try:
        event: AnyEvent = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEvent(str(error)) from error
    return event


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a destination says of one event: ``stored``, ``duplicate`` or ``rejected`` with a reason."""

    event_id: str
    status: str
    reason: str | None = None
