"""The vocabulary: what is written as JSON is read back equal."""

from __future__ import annotations

import inspect
import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto import events
from agentsight_auto.events import (
    AnyEvent,
    AttachmentRef,
    Attachments,
    Message,
    UnreadableEvent,
    decode_event,
    encode_event,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)
attachments = st.builds(AttachmentRef, text, st.integers(0, 2**40), text, text)
BY_ANNOTATION: dict[Any, Any] = {
    "str": text,
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "Json": json_values,
    "str | None": st.none() | text,
    "int | None": st.none() | st.integers(0, 2**60),
    "float | None": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "dict[str, Json] | None": st.none() | st.dictionaries(text, json_values, max_size=3),
    "list[AttachmentRef]": st.lists(attachments, max_size=3),
}
KINDS = get_args(AnyEvent)


def annotations_of(kind: type) -> dict[str, str]:
    """Return the annotations of all fields as they are written, those of the base included."""
    merged: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        merged |= inspect.get_annotations(base)
    return {name: merged[name] for name in kind.__struct_fields__}  # type: ignore[attr-defined]


any_event = st.one_of(
    [st.builds(kind, **{name: BY_ANNOTATION[note] for name, note in annotations_of(kind).items()}) for kind in KINDS]
)


@given(any_event)
def test_every_event_survives_the_way_to_json_and_back(event: Any) -> None:
    """One line of UTF-8 JSON per event; what is read back is equal and of the same kind."""
    line = encode_event(event)
    assert b"\n" not in line
    assert json.loads(line)["kind"] == type(event).__struct_config__.tag
    back = decode_event(line)
    assert back == event
    assert type(back) is type(event)
    assert encode_event(back) == line


def test_the_kinds_are_told_apart() -> None:
    """Each kind of fact has its own tag, and the tags are the format: they do not change."""
    assert {kind.__struct_config__.tag for kind in KINDS} == {
        "conversation", "conversation_end", "message", "action", "button", "attachments", "token_usage", "feedback",
    }  # fmt: skip
    declared = [found for found in vars(events).values() if isinstance(found, type) and issubclass(found, events.Event)]
    assert set(declared) - {events.Event} == set(KINDS)


def test_defaults_are_not_written() -> None:
    """A fact that is not known costs no bytes."""
    line = encode_event(Message("i", "c", 5, "agent", "hello"))
    assert json.loads(line) == {
        "kind": "message", "id": "i", "conversation_id": "c", "at_us": 5, "sender": "agent", "content": "hello",
    }  # fmt: skip


def test_events_do_not_change_and_share_nothing() -> None:
    """An event is immutable, and two events do not share their empty list of attachments."""
    first, second = Message("i", "c", 5, "agent", "a"), Message("j", "c", 5, "agent", "b")
    with pytest.raises(AttributeError):
        first.content = "changed"  # type: ignore[misc]
    assert first.attachments is not second.attachments


def test_what_a_newer_version_adds_is_passed_over() -> None:
    """A field of a later version does not make the event unreadable."""
    line = b'{"kind":"attachments","id":"i","conversation_id":"c","at_us":1,"sender":"agent","attachments":[],"new":1}'
    assert decode_event(line) == Attachments("i", "c", 1, "agent", [])


UNREADABLE = [
    b"", b"{", b"null", b"[]", b"\xff", b'"text"', b"{}", b'{"kind":"message"}', b'{"kind":"unknown","id":"i"}',
    b'{"kind":"message","id":1,"conversation_id":"c","at_us":1,"sender":"agent","content":"x"}',
    b'{"kind":"message","id":"i","conversation_id":"c","at_us":"x","sender":"agent","content":"x"}',
    b'{"kind":"message","id":"i","conversation_id":"c","at_us":1,"sender":"agent","content":"\xff"}',
    b'{"kind":"message","id":"i","conversation_id":"c","at_us":1,"sender":"agent","content":"x","metadata":'
    + b'{"a":' * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("line", UNREADABLE, ids=lambda line: line[:20].decode("ascii", "replace"))
def test_a_line_that_is_no_event_is_an_unreadable_event(line: bytes) -> None:
    """Damage of any kind raises the one documented error."""
    with pytest.raises(UnreadableEvent):
        decode_event(line)


@given(st.binary(max_size=60) | any_event.map(encode_event).flatmap(
    lambda line: st.integers(0, len(line) - 1).map(lambda end: line[:end])
))  # fmt: skip
def test_torn_lines_and_noise_raise_nothing_else(line: bytes) -> None:
    """Whatever stands in a file, reading gives an event or `UnreadableEvent`."""
    with pytest.raises(UnreadableEvent):
        decode_event(line)


def test_lone_surrogates_are_refused_by_the_encoder() -> None:
    """Text that UTF-8 has no bytes for is the sanitiser's business: the encoder says so."""
    with pytest.raises(UnicodeEncodeError):
        encode_event(Message("i", "c", 5, "agent", "\ud800"))


def test_an_answer_is_plain_data() -> None:
    """What a destination says of an event goes through JSON like the event."""
    answer = events.Answer("i", "rejected", "too large")
    assert msgspec.json.decode(msgspec.json.encode(answer), type=events.Answer) == answer
