"""What processors do to events, and what becomes of events whose processor fails."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsight_auto import conversation, current_conversation, events, track_action
from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.events import AnyEvent, AttachmentRef
from agentsight_auto.exceptions import ConfigurationException, InvalidConversationDataException
from agentsight_auto.redact.texts import rewrite_texts
from agentsight_auto.testing import recording

SECRET = "canary7f3a"
ID = "0" * 32


def hide(text: str) -> str:
    return text.replace(SECRET, "[gone]")


def broken(text: str) -> str:
    raise ValueError(f"cannot read {text}")


@track_action(f"look up {SECRET}")
def look_up(value: Any, **rest: Any) -> Any:
    return {f"{SECRET}": [value, rest], "n": 3}


@track_action
def fail() -> None:
    raise KeyError(f"no {SECRET}")


def use_every_route() -> None:
    """Record the secret in every place there is."""
    with conversation(
        "chat-1", customer_id=f"c-{SECRET}", customer_ip_address=SECRET, device=SECRET, source=SECRET,
        language=SECRET, name=f"name {SECRET}", metadata={SECRET: {"a": [SECRET]}},
    ) as chat:  # fmt: skip
        chat.track_human_message(f"I am {SECRET}", metadata={"k": SECRET})
        name = {"filename": f"{SECRET}.txt", "mime_type": f"text/{SECRET}", "data": b"content"}
        chat.track_agent_message(f"Hello {SECRET}", attachments=[name], attachment_mode="form_data")
        chat.track_attachments([name], mode="form_data", metadata={"k": SECRET})
        chat.track_button(SECRET, f"label {SECRET}", SECRET, metadata={SECRET: 1})
        chat.track_action(
            SECRET, tools_used={"t": SECRET}, response=SECRET, error_msg=f"E {SECRET}", metadata={"k": SECRET}
        )
        look_up(SECRET, other={SECRET: SECRET})
        with pytest.raises(KeyError):
            fail()
        with track_action("block") as action:
            action.tools_used = {"raw": (SECRET,)}
            action.response = SECRET
            action.error_msg = SECRET
        summary = chat.get_tracked_data_summary()
    assert SECRET not in str(summary)
    with pytest.raises(RuntimeError), conversation("chat-2"):
        raise RuntimeError(SECRET)


def all_of(recorded: list[AnyEvent]) -> str:
    return msgspec.json.encode(recorded).decode()


@pytest.mark.parametrize(
    "rules", [{"redact": hide}, {"redact": [re.compile(SECRET)]}, {"redact": broken}, {"redact": lambda _: None}]
)
def test_no_text_passes_unseen_on_any_route(rules: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the redactor does, the secret is in no event and in no log line."""
    caplog.set_level(logging.DEBUG)
    with recording(**rules) as recorded:
        use_every_route()
        text = all_of(recorded.events)
        assert len(recorded.events) == 12
    assert SECRET not in text
    assert SECRET not in caplog.text


def test_a_redactor_that_raises_leaves_a_marker_with_the_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Every text is the marker; who said it, when and how long it took is kept."""
    with recording(redact=broken) as recorded:
        use_every_route()
        assert recorded.messages("chat-1")[:2] == [
            ("end_user", "[redaction failed: ValueError]"),
            ("agent", "[redaction failed: ValueError]"),
        ]
        (started, _) = recorded.of(events.ConversationStarted)
        assert (started.customer_id, started.customer_ip_address) == (None, None)
        assert started.environment == "development"
        assert all(action.duration_ms is not None for action in recorded.of(events.Action))
    warnings = [record.getMessage() for record in caplog.records if "failed with ValueError" in record.getMessage()]
    assert len(warnings) == 1, "once a minute"


def raises(event: AnyEvent) -> AnyEvent:
    raise LookupError(str(event))


def other_id(event: AnyEvent) -> AnyEvent:
    return msgspec.structs.replace(event, id="1" * 32)


def no_text(event: AnyEvent) -> AnyEvent:
    return msgspec.structs.replace(event, content=b"x", metadata=object())


@pytest.mark.parametrize(
    ("processor", "kind"),
    [
        (raises, "LookupError"),
        (lambda event: str(event), "TypeError"),
        (lambda _: True, "TypeError"),
        (other_id, "ValueError"),
        (lambda event: events.Feedback(event.id, event.conversation_id, event.at_us, "positive"), "TypeError"),
    ],
)
def test_a_processor_that_fails_or_returns_nonsense_leaves_a_marker(processor: Any, kind: str) -> None:
    """Fails closed: the whole event is marked, and is still an event."""
    with recording(processors=processor) as recorded:
        use_every_route()
        text = all_of(recorded.events)
        assert recorded.messages("chat-1")[0] == ("end_user", f"[redaction failed: {kind}]")
    assert SECRET not in text


def test_fields_of_the_wrong_type_are_nonsense_too() -> None:
    """An event that no reader could read again is never written."""
    with recording(processors=no_text) as recorded, conversation("c") as chat:
        chat.track_human_message(SECRET)
        assert SECRET not in all_of(recorded.events)
        (message,) = recorded.of(events.Message)
        assert message.content.startswith("[redaction failed: ")


def test_a_processor_changes_and_drops_events() -> None:
    """What it returns is recorded, what it drops is counted by reason and is in no other count."""

    def keep_messages(event: AnyEvent) -> AnyEvent | None:
        if isinstance(event, events.Action):
            return None
        return msgspec.structs.replace(event, metadata={"seen": True}) if isinstance(event, events.Message) else event

    runtime = Runtime(processors=[keep_messages])
    with used_as_default(runtime), conversation("c") as chat:
        chat.track_human_message("hello")
        look_up(1)
        assert [item["type"] for item in chat.get_tracked_data_summary()["items"]] == ["conversation", "question"]
    report = runtime.flush(20)
    assert report.dropped == {"dropped_by_processor": 1}
    assert (report.captured, report.delivered, report.pending, report.lost) == (3, 3, 0, {})
    (row,) = runtime.backend().fetch_conversation("c")["messages"]
    assert (row["content"], row["metadata"]) == ("hello", {"seen": True})
    runtime.shutdown(5)


def test_redaction_sees_what_processors_return() -> None:
    """The texts that a processor adds are redacted like all others."""

    def add(event: AnyEvent) -> AnyEvent:
        return msgspec.structs.replace(event, metadata={"m": SECRET}) if isinstance(event, events.Message) else event

    with recording(processors=[add], redact=[hide]) as recorded, conversation("c") as chat:
        chat.track_human_message("hello")
        assert recorded.of(events.Message)[0].metadata == {"m": "[gone]"}


def test_a_redactor_that_records_does_not_recurse() -> None:
    """What it records itself is dropped and counted; the event that it was called for is recorded once."""

    def chatty(text: str) -> str:
        look_up(text)
        chat = current_conversation()
        if chat is not None:
            chat.track_agent_message(text)
        return hide(text)

    runtime = Runtime(redact=chatty)
    with used_as_default(runtime):
        with conversation("c") as chat:
            chat.track_human_message(f"I am {SECRET}")
        report = runtime.flush(20)
        rows = runtime.backend().fetch_conversation("c")["messages"]
    assert [row["content"] for row in rows] == ["I am [gone]"]
    assert report.dropped["recorded_by_processor"] >= 2
    runtime.shutdown(5)


def test_a_slow_redactor_is_warned_of_and_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is on disk before it has returned, and over 20 ms the log says so once a minute."""
    seen: list[bytes] = []
    outbox = tmp_path / "home" / "outbox"

    def slow(text: str) -> str:
        time.sleep(0.03)
        seen.append(b"".join(path.read_bytes() for path in outbox.rglob("*.segment")) if outbox.exists() else b"")
        return text

    runtime = Runtime(redact=slow, journal_interval_ms=0)
    with used_as_default(runtime), conversation("c") as chat:
        chat.track_human_message(f"first {SECRET}")
        chat.track_human_message("second")
    runtime.shutdown(5)
    assert not any(b"second" in written for written in seen)
    assert sum("processors took" in record.getMessage() for record in caplog.records) == 1


def test_patterns_are_taken_out_of_texts_numbers_and_names() -> None:
    """The ready patterns reach arguments, keys, file names, and numbers that were given as numbers."""
    with (
        recording(redact="email,phone,card,iban") as recorded,
        conversation("c", customer_id="ann@example.com") as chat,
    ):
        chat.track_human_message("write to ann@example.com, pay with 4111 1111 1111 1111, call +49 176 1234567")
        look_up({"to": "ann@example.com", "bob@example.com": 4111111111111111}, at=1_000_000)
        text = all_of(recorded.events)
        content = recorded.of(events.Message)[0].content
        tools = recorded.of(events.Action)[0].tools_used
    assert content == "write to [email], pay with [card], call [phone]"
    assert tools["parameters"] == {"value": {"to": "[email]", "[email]": "[card]"}, "rest": {"at": 1_000_000}} or (
        tools["parameters"] == {"value": {"to": "[email]", "[email]": "[card]"}, "at": 1_000_000}
    )
    assert "example.com" not in text


def test_half_a_number_at_a_cut_goes_too() -> None:
    """Where a text was cut, the last characters before the cut are not kept: half a number is no match any more."""
    with recording(redact="card", max_text_bytes=256) as recorded, conversation("c") as chat:
        chat.track_human_message("x" * 205 + " 4111 1111 1111 1111 " + "y" * 100)
        (message,) = recorded.of(events.Message)
    assert "4111" not in message.content
    assert "[truncated" in message.content


def test_times_and_sizes_are_not_taken_for_numbers_of_people() -> None:
    """Moments in microseconds have as many digits as a card: they are never looked at."""
    reference = AttachmentRef("a" * 64, 4111111111111111, "n", "m")
    event = events.Action(
        ID, "c", 4111111111111111, "n", 4111111111111111, 4111111111111111, 1.0, None, 4111111111111111
    )
    rewritten = rewrite_texts(event, lambda _: "X", is_lost=lambda _: False)
    assert (rewritten.at_us, rewritten.started_at_us, rewritten.ended_at_us) == (4111111111111111,) * 3
    assert (rewritten.action_name, rewritten.response) == ("X", "X")
    message = events.Message(ID, "c", 1, "agent", "t", None, [reference])
    (kept,) = rewrite_texts(message, lambda _: "X", is_lost=lambda _: False).attachments
    assert kept == AttachmentRef("a" * 64, 4111111111111111, "X", "X")


def test_every_kind_of_event_has_its_texts_rewritten() -> None:
    """A kind or a field that is added later is rewritten as well: only what is named in `texts` stays."""
    words = {"sender": "agent", "sentiment": "positive", "environment": "development", "source": "customer"}
    for kind in AnyEvent.__args__:  # type: ignore[attr-defined]
        fields: dict[str, Any] = {"id": ID, "conversation_id": "c", "at_us": 1}
        for field in msgspec.structs.fields(kind):
            if field.name not in fields:
                fields[field.name] = _value(field, words)
        event = kind(**fields)
        text = msgspec.json.encode(rewrite_texts(event, hide, is_lost=lambda _: False)).decode()
        assert SECRET not in text, kind


def _value(field: msgspec.structs.FieldInfo, words: dict[str, str]) -> Any:
    kind = str(field.type)
    if "AttachmentRef" in kind:
        return [AttachmentRef("a" * 64, 1, SECRET, SECRET)]
    if "dict" in kind or field.type is Any:
        return {SECRET: [SECRET]}
    if "str" in kind:
        return words.get(field.name, SECRET) if field.name != "parent_id" else ID
    return False if "bool" in kind else 1


def test_a_setting_that_cannot_be_read_fails_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in the environment does not turn redaction off: every text becomes a marker."""
    for name, value in (("REDACT", "emial"), ("PROCESSORS", "no.such.module:hide"), ("PROCESSORS", "hide")):
        monkeypatch.setenv(f"AGENTSIGHT_{name}", value)
        with recording() as recorded, conversation("c") as chat:
            chat.track_human_message(SECRET)
            assert recorded.messages() == [("end_user", "[redaction failed: ConfigurationException]")]
        monkeypatch.delenv(f"AGENTSIGHT_{name}")


def test_settings_are_checked_and_can_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that cannot be used raise; an empty list turns off what the environment turned on."""
    for setting, value in (("redact", "emial"), ("redact", [3]), ("redact", re.compile(b"x")), ("processors", [3])):
        with pytest.raises(ConfigurationException):
            Runtime(**{setting: value})
    monkeypatch.setenv("AGENTSIGHT_REDACT", "email, phone")
    assert Runtime().settings.redact == ("email", "phone")
    assert Runtime(redact=[]).settings.redact == ()
    monkeypatch.setenv("AGENTSIGHT_PROCESSORS", "tests.redact.test_processing:raises")
    (processor,) = Runtime().settings.processors
    assert processor.__name__ == "raises"


def test_edits_and_feedback_are_redacted_and_their_secrets_masked(runtime: Runtime) -> None:
    """What the manager sends at once passes the same processors as what is recorded."""
    from agentsight_auto import agentsight_api, conversation_manager

    runtime.configure(redact=hide)
    with conversation("c"):
        pass
    told = conversation_manager.submit_feedback("c", "positive", f"from {SECRET}", {"by": SECRET, "api_key": "k-1"})
    assert (told["comment"], told["metadata"]) == ("from [gone]", {"by": "[gone]", "api_key": "[masked]"})
    assert conversation_manager.rename_conversation("c", f"of {SECRET}")["name"] == "of [gone]"
    changed = conversation_manager.update_conversation(
        "c", is_marked=True, customer_id=SECRET, device=SECRET, language=SECRET, metadata={"password": "p", SECRET: 1}
    )
    assert changed["metadata"] == {"password": "[masked]", "[gone]": 1}
    assert (changed["is_marked"], changed["customer_id"]) == (True, "[gone]")
    conversation_manager.escalate_conversation("c", f"because of {SECRET}")
    conversation_manager.resolve_conversation("c", f"thanks to {SECRET}")
    told = agentsight_api.fetch_conversation("c")
    assert SECRET not in str(told)
    assert "because of [gone]" in str(told)
    runtime.configure(processors=[lambda _: None])
    with pytest.raises(InvalidConversationDataException, match="dropped"):
        conversation_manager.rename_conversation("c", "x")
