from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import Any

import pytest

from agentsight_auto import AgentSightAPI, ConversationTracker, conversation, conversation_tracker, events
from agentsight_auto._runtime import Runtime
from agentsight_auto.enums import AttachmentMode, Sender
from agentsight_auto.exceptions import (
    ConversationTrackingException,
    InvalidAnswerDataException,
    InvalidAttachmentException,
    InvalidConversationDataException,
    InvalidQueryException,
    InvalidQuestionDataException,
    MissingConversationIdException,
    NoDataToSendException,
)
from agentsight_auto.testing import ManualClock, Recording, recording

tracker = conversation_tracker


@pytest.mark.parametrize("text", ["", "   ", None, 3, b"bytes"])
def test_blank_messages_are_refused(recorded: Recording, text: Any) -> None:
    """A human and an agent message must be a text with something in it; nothing is recorded otherwise."""
    with pytest.raises(InvalidQuestionDataException):
        tracker.track_human_message(text)
    with pytest.raises(InvalidAnswerDataException):
        tracker.track_agent_message(text)
    with pytest.raises(ConversationTrackingException):
        tracker.track_question(text)
    assert recorded.of(events.Message) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: tracker.track_action(" "),
        lambda: tracker.track_action("a", started_at="yesterday"),
        lambda: tracker.track_action("a", duration_ms=-1),
        lambda: tracker.track_action("a", duration_ms="long"),  # type: ignore[arg-type]
        lambda: tracker.track_action("a", metadata=[1]),  # type: ignore[arg-type]
        lambda: tracker.track_button("", "label", "value"),
        lambda: tracker.track_button("event", " ", "value"),
        lambda: tracker.track_button("event", "label", ""),
        lambda: tracker.track_token_usage(prompt_tokens=-1),
        lambda: tracker.track_token_usage(prompt_tokens=1.5),  # type: ignore[arg-type]
        lambda: tracker.track_attachments([{"data": "aGk="}], sender="nobody"),
        lambda: tracker.get_or_create_conversation("c", environment="no such!"),
        lambda: tracker.get_or_create_conversation("x" * 256),
    ],
)
def test_bad_arguments_get_the_documented_exception(recorded: Recording, call: Any) -> None:
    """Every documented call says what is wrong with its argument, and records nothing of it."""
    with pytest.raises(InvalidConversationDataException, match=r"\w"):
        call()
    assert [e for e in recorded.events if not isinstance(e, events.ConversationStarted)] == []


@pytest.mark.parametrize("conversation_id", ["", "  ", None])
def test_an_empty_conversation_id_is_refused(recorded: Recording, conversation_id: Any) -> None:
    """get_or_create_conversation, initialize_conversation and configure need an id."""
    with pytest.raises(MissingConversationIdException):
        tracker.get_or_create_conversation(conversation_id)
    with pytest.raises(MissingConversationIdException):
        tracker.initialize_conversation(conversation_id)


@pytest.mark.parametrize(
    "attachments",
    [[], [{}], [{"filename": "a"}], [{"data": ""}], [{"data": "!"}], ["a"], {"data": "aGk="}, [{"data": "aGk="}] * 11],
)
def test_attachments_without_data_are_refused(recorded: Recording, attachments: Any) -> None:
    """No data, no base64, no list, too many: each is an InvalidAttachmentException."""
    with pytest.raises(InvalidAttachmentException):
        tracker.track_attachments(attachments)


def test_an_attachment_over_the_limit_is_refused(recorded: Recording) -> None:
    """25 MB a file, as a file object too."""
    with pytest.raises(InvalidAttachmentException, match="25"):
        tracker.track_attachments([{"data": io.BytesIO(b"x" * (25 * 1024 * 1024 + 1))}], mode="form_data")


def test_a_bad_attachment_mode_is_a_value_error_too(recorded: Recording) -> None:
    """The documented exception for queries, which code that catches ValueError catches as well."""
    with pytest.raises(InvalidQueryException) as caught:
        tracker.track_attachments([{"data": "aGk="}], mode="zip")
    assert isinstance(caught.value, ValueError)
    assert caught.value.status_code == 400


def test_both_attachment_modes_are_recorded_alike(recorded: Recording) -> None:
    """The same bytes as base64, bytes and file object have one digest; the MIME type is guessed when missing."""
    with conversation("c"):
        tracker.track_attachments([{"filename": "a.png", "mime_type": "image/png", "data": "aGVsbG8="}])
        tracker.track_attachments([{"filename": "../../a.png", "data": b"hello"}], mode=AttachmentMode.FORM_DATA)
        tracker.track_attachments([{"data": io.BytesIO(b"hello")}], sender=Sender.AGENT, mode="form-data")
    refs = [attachment for event in recorded.of(events.Attachments) for attachment in event.attachments]
    assert len({ref.sha256 for ref in refs}) == 1
    assert [(ref.filename, ref.mime_type, ref.size_bytes) for ref in refs] == [
        ("a.png", "image/png", 5),
        ("a.png", "image/png", 5),
        ("attachment_1.bin", "application/octet-stream", 5),
    ]
    assert [event.sender for event in recorded.of(events.Attachments)] == ["end_user", "end_user", "agent"]


START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
START_US = 1767323045000000


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"started_at": START, "ended_at": "2026-01-02T03:04:06Z"}, (START_US, START_US + 1_000_000, 1000.0)),
        ({"started_at": START, "duration_ms": 250}, (START_US, START_US + 250_000, 250.0)),
        ({"ended_at": START, "duration_ms": 250}, (START_US - 250_000, START_US, 250.0)),
        ({"started_at": START, "ended_at": START, "duration_ms": 5}, (START_US, START_US, 5.0)),
        ({"duration_ms": 1000}, (1_000_000_000_000_000 - 1_000_000, 1_000_000_000_000_000, 1000.0)),
        ({}, (1_000_000_000_000_000, 1_000_000_000_000_000, 0.0)),
    ],
)
def test_missing_times_follow_from_the_others(given: dict[str, Any], expected: tuple[int, int, float]) -> None:
    """From two of three the third; a duration alone ended now; nothing is now and 0; three are kept as given."""
    with recording(clock=ManualClock()) as recorded:
        with conversation("c"):
            tracker.track_action("a", **given)
        (action,) = recorded.of(events.Action)
    assert (action.started_at_us, action.ended_at_us, action.duration_ms) == expected


def test_sending_nothing_is_an_error(recorded: Recording) -> None:
    """NoDataToSendException outside any conversation, and again right after a send."""
    with pytest.raises(NoDataToSendException):
        tracker.send_tracked_data()
    tracker.get_or_create_conversation("c")
    tracker.track_question("hi")
    assert tracker.send_tracked_data()["summary"]["questions"] == 1
    with pytest.raises(NoDataToSendException):
        tracker.send_tracked_data()
    assert tracker.get_tracked_data_summary()["conversation_id"] == "c"


def test_a_block_wins_back_what_was_bound_before(recorded: Recording) -> None:
    """A binding made inside a block ends with it."""
    tracker.get_or_create_conversation("bound")
    with conversation("block"):
        tracker.get_or_create_conversation("inner")
        tracker.track_question("1")
    tracker.track_question("2")
    assert [(m.conversation_id, m.content) for m in recorded.of(events.Message)] == [("inner", "1"), ("bound", "2")]


def test_a_binding_ends_after_the_idle_limit() -> None:
    """After 30 idle minutes what is tracked goes to a new conversation."""
    clock = ManualClock()
    with recording(clock=clock) as recorded:
        tracker.get_or_create_conversation("bound")
        clock.advance(29 * 60)
        tracker.track_question("in time")
        clock.advance(31 * 60)
        tracker.track_question("too late")
        places = [m.conversation_id for m in recorded.of(events.Message)]
    assert places[0] == "bound"
    assert places[1].startswith("conv_")


def test_a_second_customer_under_one_binding_is_warned_of(
    recorded: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """The usual mistake of a server without blocks is said in the log."""
    tracker.get_or_create_conversation("c", customer_id="one")
    tracker.get_or_create_conversation("c", customer_id="two")
    assert "second customer" in caplog.text


def test_a_configured_conversation_id_catches_what_is_outside(recorded: Recording) -> None:
    """configure(conversation_id=) switches the conversation of this thread."""
    tracker.configure(conversation_id="configured")
    tracker.track_question("hi")
    assert recorded.conversation_ids == ["configured"]


def test_instances_with_their_own_settings_live_side_by_side(runtime: Runtime, tmp_path: Any) -> None:
    """A tracker with a home of its own has a current conversation and a store of its own."""
    other = ConversationTracker(home=str(tmp_path / "other"))
    other.get_or_create_conversation("theirs")
    other.track_question("hi")
    tracker.get_or_create_conversation("ours")
    tracker.track_question("ho")
    other.send_tracked_data()
    tracker.send_tracked_data()
    theirs = AgentSightAPI(home=str(tmp_path / "other")).fetch_conversations()
    assert [found["conversation_id"] for found in theirs["results"]] == ["theirs"]
    ours = AgentSightAPI().fetch_conversations()
    assert [found["conversation_id"] for found in ours["results"]] == ["ours"]
    other._runtime.shutdown(5)


def test_arguments_keep_the_order_of_the_documented_clients(recorded: Recording) -> None:
    """Code that passes key, conversation id, endpoint and log level by position goes on to work."""
    key = "ags_" + "0" * 32 + "_" + "0" * 6
    own = ConversationTracker(key, "theirs", "https://example.test", "WARNING")
    settings = own._runtime.settings
    assert (settings.api_key, settings.conversation_id, settings.endpoint) == (key, "theirs", "https://example.test")
    tracker.configure(None, "switched")
    tracker.track_question("hi")
    assert recorded.conversation_ids == ["switched"]
