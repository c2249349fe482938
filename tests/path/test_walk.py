"""One conversation from capture to every place where it can be read, on the embedded store."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentsight_auto import (
    agentsight_api,
    conversation,
    conversation_manager,
    conversation_tracker,
    flush,
    shutdown,
    track_action,
)
from agentsight_auto._runtime import Runtime
from agentsight_auto.exceptions import ConfigurationException, InvalidApiKeyException, NoApiKeyException, StoreException


@track_action
def find_order(order_id: str) -> dict[str, str]:
    return {"order_id": order_id, "status": "shipped"}


def test_a_block_is_read_back_whole(runtime: Runtime) -> None:
    """Messages, action, button, attachment, tokens and feedback come back in the documented structure, in order."""
    with conversation("chat-1", customer_id="mia", source="whatsapp", device="mobile") as chat:
        chat.track_human_message("Where is A-17?", attachments=[{"filename": "a.txt", "data": "aGVsbG8="}])
        find_order("A-17")
        chat.track_button("choice", "Track it", "track")
        chat.track_token_usage(10, 5)
        chat.track_agent_message("On its way.", metadata={"model": "small"})
    conversation_manager.submit_feedback("chat-1", "positive", "quick")
    found = agentsight_api.fetch_conversation("chat-1")
    assert [(m["sender"], m["content"]) for m in found["messages"]] == [
        ("end_user", "Where is A-17?"),
        ("agent", "Action find_order performed"),
        ("end_user", "Track it"),
        ("agent", "On its way."),
    ]
    question, action, button, answer = found["messages"]
    assert Path(question["attachments"][0]["file_url"].removeprefix("file://")).read_bytes() == b"hello"
    assert action["action_logs"][0]["response"] == {"order_id": "A-17", "status": "shipped"}
    assert button["button"]["value"] == "track"
    assert answer["metadata"] == {"model": "small"}
    assert found["token_usage"]["total_tokens"] == 15
    assert found["feedbacks"][0]["sentiment"] == "positive"
    assert (found["customer_id"], found["source"], found["device"]) == ("mia", "whatsapp", "mobile")
    assert found["is_used"] is True


def test_one_reads_ones_own_writes_of_an_open_block(runtime: Runtime) -> None:
    """Reading inside the block sees what the block has recorded so far."""
    with conversation("open") as chat:
        chat.track_human_message("first")
        assert len(agentsight_api.fetch_conversation("open")["messages"]) == 1
        chat.track_human_message("second")
        assert len(agentsight_api.fetch_conversation("open")["messages"]) == 2


def test_another_process_sees_a_block_within_a_second(runtime: Runtime, tmp_path: Path) -> None:
    """A reader in another process finds the conversation without this process doing anything more."""
    with conversation("seen") as chat:
        chat.track_human_message("hello")
    left_at = time.monotonic()
    reader = (
        "import time; from agentsight_auto import agentsight_api as a\n"
        "until = time.monotonic() + 8\n"
        "while not (count := a.fetch_conversations()['count']) and time.monotonic() < until: time.sleep(0.05)\n"
        "print(count)"
    )
    found = subprocess.run([sys.executable, "-c", reader], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.strip() == "1"
    assert time.monotonic() - left_at < 10


def test_the_report_balances(runtime: Runtime) -> None:
    """Captured = delivered + pending + rejected + lost, and nothing is pending after a flush."""
    with conversation("c") as chat:
        chat.track_human_message("one")
        find_order("1")
    report = flush(20)
    assert report.captured == report.delivered == 4
    assert report.is_complete
    assert shutdown(2).pending == 0


def test_send_tracked_data_answers_for_each_item(runtime: Runtime) -> None:
    """Outside a block what was tracked waits; sending delivers it in order and resets the counters."""
    conversation_tracker.get_or_create_conversation("t", customer_id="c1")
    conversation_tracker.track_question("hi")
    conversation_tracker.track_token_usage(prompt_tokens=3, completion_tokens=4)
    conversation_tracker.track_action("lookup", duration_ms=150)
    conversation_tracker.track_answer("ho")
    assert conversation_tracker.get_tracked_data_summary()["summary"] == {
        "conversation": 1,
        "questions": 1,
        "answers": 1,
        "attachments": 0,
        "actions": 2,
        "buttons": 0,
        "total": 5,
    }
    assert conversation_tracker.get_token_usage()["total_tokens"] == 7
    sent = conversation_tracker.send_tracked_data()
    assert [item["type"] for item in sent["items"]] == ["conversation", "question", "action", "action", "answer"]
    assert all(item["success"] for item in sent["items"])
    assert sent["summary"] == {
        "questions": 1,
        "answers": 1,
        "actions": 2,
        "buttons": 0,
        "attachments": 0,
        "errors": 0,
    }
    assert conversation_tracker.get_token_usage()["total_tokens"] == 0
    found = agentsight_api.fetch_conversation("t")
    assert [m["content"] for m in found["messages"]] == ["hi", "Action lookup performed", "ho"]
    assert found["messages"][1]["action_logs"][0]["duration_ms"] == 150
    assert found["token_usage"]["total_tokens"] == 7


def test_what_waits_is_not_seen_by_others_before_it_is_sent(runtime: Runtime) -> None:
    """Tracker events outside a block reach the store with send_tracked_data(), not before."""
    conversation_tracker.get_or_create_conversation("held")
    conversation_tracker.track_question("hi")
    with conversation("other"):
        pass
    runtime.pipeline.flush(5, release_held=False)
    held_ids = [event.id for event in runtime.current.get().conversation.unsent.peek()]
    assert runtime.stored_rows("held", held_ids) == ({}, {})
    sent = conversation_tracker.send_tracked_data()
    assert sent["items"][0]["response"]["conversation_id"] == "held"
    assert sent["items"][1]["response"]["conversation"] == sent["items"][0]["response"]["id"]


def test_a_visit_becomes_a_conversation_when_something_is_tracked(runtime: Runtime) -> None:
    """initialize_conversation marks a visit; the first message marks it used."""
    conversation_tracker.initialize_conversation("visit", language="de")
    visit = agentsight_api.fetch_conversation("visit")
    assert (visit["is_used"], visit["language"]) == (False, "de")
    with conversation("visit") as chat:
        chat.track_human_message("hello")
    assert agentsight_api.fetch_conversation("visit")["is_used"] is True


def test_get_or_create_never_overrides(runtime: Runtime) -> None:
    """Known fields stay, unknown ones are filled, metadata keys are added."""
    with conversation("c", customer_id="first", metadata={"plan": "pro"}):
        pass
    with conversation("c", customer_id="second", name="Named", metadata={"plan": "free", "seats": 2}):
        pass
    found = agentsight_api.fetch_conversation("c")
    assert (found["customer_id"], found["name"]) == ("first", "Named")
    assert found["metadata"] == {"plan": "pro", "seats": 2}


def test_disabled_records_nothing_and_answers_in_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    """With AGENTSIGHT_DISABLED=1 there is no file and no thread, and results are empty but well shaped."""
    monkeypatch.setenv("AGENTSIGHT_DISABLED", "1")
    runtime.configure(log_level="INFO")
    with conversation("c") as chat:
        chat.track_human_message("x")
        assert find_order("1")["status"] == "shipped"
    conversation_tracker.get_or_create_conversation("d")
    conversation_tracker.track_question("y")
    assert conversation_tracker.send_tracked_data()["items"] == []
    assert conversation_tracker.get_tracked_data_summary()["items"] == []
    assert agentsight_api.fetch_conversations()["results"] == []
    assert agentsight_api.fetch_conversation("c")["messages"] == []
    assert conversation_manager.mark_conversation("c", True)["is_marked"] is True
    assert not (tmp_path / "home").exists()


def test_bad_settings_are_refused_where_they_are_set(runtime: Runtime) -> None:
    """A key of the wrong form and an unknown setting name what is wrong; nothing is changed."""
    with pytest.raises(InvalidApiKeyException, match="ags_"):
        conversation_tracker.configure(api_key="sk-123")
    with pytest.raises(ConfigurationException, match="durability"):
        conversation_tracker.configure(durability="forever")
    with pytest.raises(ConfigurationException, match="no setting 'colour'"):
        conversation_tracker.configure(colour="red")
    assert runtime.settings.durability == "process"


def test_an_endpoint_without_a_key_is_an_error_at_the_first_call_that_needs_it(runtime: Runtime) -> None:
    """Recording goes on; asking raises."""
    runtime.configure(endpoint="http://127.0.0.1:9")
    with conversation("c"):
        find_order("1")
    with pytest.raises(NoApiKeyException, match="AGENTSIGHT_API_KEY"):
        agentsight_api.fetch_conversations()


def test_a_store_that_is_no_database_is_left_alone(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading says what to do; recording goes on and nothing is overwritten."""
    (tmp_path / "home").mkdir()
    store = tmp_path / "home" / "agentsight.db"
    store.write_bytes(b"precious notes, not a database at all" * 100)
    before = store.read_bytes()
    with conversation("c"):
        find_order("1")
    with pytest.raises(StoreException, match="not a"):
        agentsight_api.fetch_conversations()
    assert store.read_bytes() == before
    assert flush(0.5).pending == 3
