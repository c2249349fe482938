"""Turn one span into what it means: a turn's messages, a tool's action, a model call's tokens.

In: a span of ``POST /api/ingest/``, checked. Out: a `Span` with the events and the model call that follow from it.
Loses: nothing; the span itself is archived as it came, of whatever kind it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsight_auto._ids import derived_id
from agentsight_auto.events import Action, AnyEvent, Message
from agentsight_auto.server import errors
from agentsight_auto.server.projection.documents import read_count, read_document, read_object, read_text
from agentsight_auto.server.recording import moment_us
from agentsight_auto.server.routing import convert
from agentsight_auto.store.model_usages import ModelCall, incomplete_reason
from agentsight_auto.store.spans import Span

MOST_EVENTS = 65_536
LONGEST_ID = 64
LONGEST_NAME = 255
VISIT = "conversation"
"""The kind that says that there is a conversation, but not that anybody took part in it."""

_TURN_ID = "agentsight.turn.id"
_MESSAGE = "agentsight.message"
_SENDERS = frozenset({"end_user", "agent", "system"})
_STATUSES = frozenset({"ok", "error", "unset"})
_COUNTERS = {
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
    "agentsight.llm.cache_read_tokens": "cache_read_tokens",
    "agentsight.llm.cache_write_tokens": "cache_write_tokens",
    "agentsight.llm.reasoning_tokens": "reasoning_tokens",
    "agentsight.llm.audio_input_tokens": "audio_input_tokens",
    "agentsight.llm.audio_output_tokens": "audio_output_tokens",
    "agentsight.llm.embedding_tokens": "embedding_tokens",
}


class SentEvent(msgspec.Struct):
    """An event of a span."""

    name: str = ""
    timestamp: str | None = None
    attributes: dict[str, Any] | None = None


class SentSpan(msgspec.Struct):
    """What is read of a span; everything else in it is archived."""

    span_id: str
    trace_id: str = ""
    parent_span_id: str | None = None
    kind: str | None = None
    name: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: int | float | None = None
    status: str | None = None
    attributes: dict[str, Any] | None = None
    events: list[SentEvent] | None = None


def read_span(document: Any, conversation_id: str, now_us: int) -> Span:
    """Return a span with what follows from it; `now_us` is its beginning if it tells none.

    Raises:
        ApiError: 400 with the field that cannot be read.
    """
    sent = convert(document, SentSpan)
    for name, text in (("span_id", sent.span_id), ("trace_id", sent.trace_id), ("parent_span_id", sent.parent_span_id)):
        if len(text or "") > LONGEST_ID:
            raise errors.field_error(name, f"Ensure this field has no more than {LONGEST_ID} characters.")
    if not sent.span_id:
        raise errors.field_error("span_id", "This field may not be blank.")
    if len(sent.events or ()) > MOST_EVENTS:
        raise errors.field_error("events", f"Ensure this field has no more than {MOST_EVENTS} elements.")
    ended_at_us = None if sent.ended_at is None else moment_us("ended_at", sent.ended_at)
    started_at_us = (ended_at_us or now_us) if sent.started_at is None else moment_us("started_at", sent.started_at)
    kind = (sent.kind or "unknown")[:LONGEST_ID]
    reason = incomplete_reason(sent.attributes or {}) if kind == "turn" else None
    projection = _Projection(sent, conversation_id, started_at_us, ended_at_us, is_complete=reason is None)
    return Span(
        span_id=sent.span_id,
        trace_id=sent.trace_id,
        parent_span_id=sent.parent_span_id or None,
        kind=kind,
        name=(sent.name or "")[:LONGEST_NAME],
        started_at_us=started_at_us,
        ended_at_us=ended_at_us,
        duration_ms=None if sent.duration_ms is None else float(sent.duration_ms),
        status=sent.status if sent.status in _STATUSES else "unset",
        attributes=sent.attributes or {},
        events=document.get("events") or [],
        rest={name: value for name, value in document.items() if name not in {"attributes", "events"}},
        facts=projection.facts(kind),
        call=projection.call() if kind == "llm" else None,
        incomplete_reason=reason,
    )


class _Projection:
    """What follows from one span."""

    def __init__(
        self, sent: SentSpan, conversation_id: str, started_at_us: int, ended_at_us: int | None, *, is_complete: bool
    ) -> None:
        self._sent = sent
        self._conversation_id = conversation_id
        self._started_at_us = started_at_us
        self._ended_at_us = ended_at_us
        self._is_complete = is_complete

    def facts(self, kind: str) -> list[AnyEvent]:
        """Return the events that follow from a span of this kind."""
        if kind == "turn" and self._is_complete:
            return list(self._messages())
        return [self._action()] if kind in {"tool", "task"} else []

    def _messages(self) -> list[Message]:
        """Return the turn's messages; the agent's last one says how long the turn took."""
        messages = []
        for place, event in enumerate(self._sent.events or ()):
            attributes = event.attributes or {}
            sender, content = attributes.get(f"{_MESSAGE}.sender"), read_text(attributes.get(f"{_MESSAGE}.content"))
            if event.name == _MESSAGE and isinstance(sender, str) and sender in _SENDERS and content:
                at_us = self._started_at_us if event.timestamp is None else moment_us("events", event.timestamp)
                metadata = read_object(attributes.get(f"{_MESSAGE}.metadata")) or None
                messages.append(Message(self._id(place), self._conversation_id, at_us, sender, content, metadata))
        last = next((place for place in reversed(range(len(messages))) if messages[place].sender == "agent"), None)
        if last is not None and self._sent.duration_ms is not None:
            metadata = {"latency_ms": self._sent.duration_ms, **(messages[last].metadata or {})}
            messages[last] = msgspec.structs.replace(messages[last], metadata=metadata)
        return messages

    def _action(self) -> Action:
        attributes, sent = self._sent.attributes or {}, self._sent
        name = read_text(attributes.get("agentsight.tool.name")) or sent.name or "unknown"
        arguments = read_document(attributes.get("agentsight.tool.arguments"))
        parent = sent.parent_span_id
        return Action(
            id=self._id(),
            conversation_id=self._conversation_id,
            at_us=self._started_at_us,
            action_name=name[:LONGEST_NAME],
            started_at_us=self._started_at_us,
            ended_at_us=self._ended_at_us,
            duration_ms=None if sent.duration_ms is None else float(sent.duration_ms),
            tools_used=arguments,
            response=read_text(attributes.get("agentsight.tool.response")),
            error_msg=read_text(attributes.get("agentsight.tool.error")),
            parent_id=None if not parent else span_event_id(self._conversation_id, parent),
        )

    def call(self) -> ModelCall:
        """Return the tokens of a model call."""
        attributes = self._sent.attributes or {}
        model = read_text(attributes.get("gen_ai.request.model")) or "unknown"
        turn_id = attributes.get(_TURN_ID)
        return ModelCall(
            span_id=self._sent.span_id,
            turn_id=turn_id[:LONGEST_ID] if isinstance(turn_id, str) and turn_id else None,
            model=model[:LONGEST_NAME],
            started_at_us=self._started_at_us,
            ended_at_us=self._ended_at_us or self._started_at_us,
            counters={column: read_count(attributes.get(name)) for name, column in _COUNTERS.items()},
            unreported_calls=int(attributes.get("agentsight.llm.usage_reported") is False),
        )

    def _id(self, place: int | None = None) -> str:
        """Return the event id that the same span always gives; ids of its messages are in their order."""
        base = span_event_id(self._conversation_id, self._sent.span_id)
        return base if place is None else f"{base[:-4]}{place:04x}"


def span_event_id(conversation_id: str, span_id: str) -> str:
    """Return the event id of the action that a span of this id becomes."""
    return derived_id(0, "span", conversation_id, span_id)
