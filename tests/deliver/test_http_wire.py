from __future__ import annotations

import gzip
import json
import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto._http.messages import LONGEST_WAIT_S, Reply, compressed
from agentsight_auto.deliver import wire
from agentsight_auto.deliver.recent import Recent
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

TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
MOMENT = st.integers(0, 253_370_764_800_000_000)
NUMBER = st.integers(0, 2**53)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
DOCUMENT = st.none() | st.dictionaries(TEXT, JSON, max_size=3)
HEAD = (st.just("0" * 32), TEXT, MOMENT)
REF = st.builds(AttachmentRef, st.just("ab" * 32), NUMBER, TEXT, TEXT)
MAYBE = st.none() | TEXT
SENDER = st.sampled_from(["end_user", "agent", "system"])
MESSAGES = st.builds(Message, *HEAD, SENDER, TEXT, DOCUMENT, st.lists(REF, max_size=2))
ATTACHMENTS = st.builds(Attachments, *HEAD, SENDER, st.lists(REF, min_size=1, max_size=2), DOCUMENT)
EVENTS: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(
        ConversationStarted, *HEAD, customer_id=MAYBE, environment=MAYBE, metadata=DOCUMENT, is_used=st.booleans()
    ),
    st.builds(ConversationEnded, *HEAD, MAYBE),
    MESSAGES,
    st.builds(
        Action,
        *HEAD,
        TEXT,
        started_at_us=st.none() | MOMENT,
        duration_ms=st.none() | st.floats(0, 1e12),
        tools_used=JSON,
        response=JSON,
        error_msg=MAYBE,
        metadata=DOCUMENT,
    ),
    st.builds(Button, *HEAD, TEXT, TEXT, TEXT, DOCUMENT),
    ATTACHMENTS,
    st.builds(TokenUsage, *HEAD, NUMBER, NUMBER, NUMBER, NUMBER, DOCUMENT),
    st.builds(Feedback, *HEAD, st.sampled_from(["positive", "neutral", "negative"]), comment=MAYBE, metadata=DOCUMENT),
)  # fmt: skip

REQUIRED = {
    wire.CONVERSATIONS: {
        "timestamp", "conversation_id", "customer_id", "customer_ip_address", "device", "source", "language", "name",
        "environment", "metadata", "is_used",
    },
    wire.TRACK: {"timestamp", "content", "sender", "conversation_id", "metadata", "conversation"},
    wire.ACTION_LOGS: {"timestamp", "action_name", "conversation_id", "metadata", "conversation"},
    wire.BUTTONS: {"timestamp", "button_event", "label", "value", "conversation_id", "metadata", "conversation"},
    wire.FEEDBACKS: {"conversation_id", "sentiment", "metadata"},
}  # fmt: skip
OPTIONAL = {"started_at", "ended_at", "duration_ms", "tools_used", "response", "error_msg", "comment"}


@given(EVENTS, st.none() | st.integers(1, 2**63 - 1))
def test_every_event_has_a_documented_payload(event: AnyEvent, pk: int | None) -> None:
    """Its fields are JSON, exactly the documented ones are there, and no event id is among them."""
    found = wire.payload(event, pk)
    if found is None:
        assert isinstance(event, ConversationEnded | Attachments)
        return
    path, fields = found
    assert json.loads(msgspec.json.encode(fields)) is not None
    allowed = REQUIRED[path] | (OPTIONAL if path in {wire.ACTION_LOGS, wire.FEEDBACKS} else set())
    assert REQUIRED[path] <= fields.keys() <= allowed
    assert fields["conversation_id"] == event.conversation_id
    assert fields.get("conversation", pk) == pk
    assert isinstance(fields["metadata"], dict) or path == wire.CONVERSATIONS


@given(EVENTS)
def test_actions_have_whole_durations_and_text_responses(event: AnyEvent) -> None:
    """The documented types, whatever was captured; what is unknown is left out and not null."""
    found = wire.payload(event, 1)
    fields = found[1] if found is not None and found[0] == wire.ACTION_LOGS else {}
    assert isinstance(fields.get("duration_ms", 0), int)
    assert isinstance(fields.get("response", ""), str)
    assert all(fields[name] is not None for name in OPTIONAL & fields.keys())
    if isinstance(event, TokenUsage):
        counted = {name: value for name, value in fields["metadata"].items() if name.endswith("_tokens")}
        assert counted.items() >= {"prompt_tokens": event.prompt_tokens, "total_tokens": event.total_tokens}.items()
        assert fields["metadata"]["delta"] is True


@given(MESSAGES | ATTACHMENTS, st.none() | NUMBER, st.none() | NUMBER)
def test_form_fields_are_text(event: Any, pk: int | None, message_pk: int | None) -> None:
    """A form holds text alone; ids that are not known are left out."""
    fields = wire.form_fields(event, pk, message_pk)
    assert all(isinstance(value, str) for value in fields.values())
    assert json.loads(fields["metadata"]) == ((event.metadata or {}) if isinstance(event, Attachments) else {})
    assert ("conversation" in fields, "message" in fields) == (pk is not None, message_pk is not None)


@given(st.text(max_size=40) | st.integers().map(str) | st.floats().map(str))
def test_no_retry_after_raises_or_waits_too_long(value: str) -> None:
    """Whatever a server writes there: nothing, or up to a minute."""
    told_s = Reply(503, {"retry-after": value}, b"").retry_after_s()
    assert told_s is None or (0 < told_s <= LONGEST_WAIT_S and math.isfinite(told_s))


@given(
    st.binary(max_size=300) | JSON.map(msgspec.json.encode) | st.integers(1, 3000).map(lambda n: b"[" * n + b"]" * n)
)
def test_any_body_is_described_in_one_short_line(body: bytes) -> None:
    """Field maps, lists, text, broken bytes, nesting without end: at most 500 characters without a line break."""
    detail = Reply(400, {}, body).detail()
    assert len(detail) <= 500
    assert "\n" not in detail


@given(st.binary(max_size=5000))
def test_compression_is_gzip(body: bytes) -> None:
    """Any gzip reader gets the same bytes back."""
    assert gzip.decompress(compressed(body)) == body


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("pgf"), st.integers(0, 8)), max_size=40))
def test_the_recent_are_kept_and_no_more(most: int, steps: list[tuple[str, int]]) -> None:
    """Of what was put in or asked for, the latest few are there, in a model that does the same with a list."""
    recent: Recent[int, int] = Recent(most)
    model: list[int] = []
    for what, key in steps:
        if what == "g":
            assert recent.get(key) == (key if key in model else None)
            if key not in model:
                continue
        if key in model:
            model.remove(key)
        if what == "f":
            recent.forget(key)
            continue
        if what == "p":
            recent.put(key, key)
        model.append(key)
        del model[:-most]
    assert [key for key in range(9) if recent.get(key) is not None] == sorted(model)
