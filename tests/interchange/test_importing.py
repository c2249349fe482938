from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto.interchange.bounding import Limits

from .support import Place


def chat(conversation_id: str, *texts: str, **line: Any) -> dict[str, Any]:
    """A line of the chat format in which user and assistant take turns."""
    messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    return {"id": conversation_id, "messages": messages, **line}


def contents(here: Place, conversation_id: str) -> list[str]:
    """What was said in a stored conversation."""
    return [message["content"] for message in here.shape(conversation_id)["messages"]]


def test_the_airline_file_is_imported_whole(here: Place, airline_file: Path) -> None:
    """200 conversations, 1,490 + 1,380 messages, 1,164 actions, 48 hand-overs; a second time changes nothing."""
    data = airline_file.read_bytes()
    report = here.load(data)
    assert (report.new, report.bad_count) == (200, 0)
    assert (report.events["human_messages"], report.events["agent_messages"], report.events["actions"]) == (
        1490,
        1380,
        1164,
    )
    shapes = [json.loads(line) for line in here.export().splitlines()]
    names = [message["action_name"] for shape in shapes for message in shape["messages"] if message["action_name"]]
    assert names.count("transfer_to_human_agents") == 48
    exported = here.export()
    again = here.load(data)
    assert (again.new, again.unchanged, again.known) == (0, 200, 4034)
    assert here.export() == exported


def test_every_recorded_call_has_its_own_result(here: Place, airline_file: Path) -> None:
    """The transcript in the store is that of the file, call by call."""
    here.load(airline_file.read_bytes())
    for line in map(json.loads, airline_file.read_text().splitlines()[:20]):
        results = [message["content"] for message in line["messages"] if message["role"] == "tool"]
        logs = [log for message in here.shape(line["id"])["messages"] for log in message["action_logs"]]
        assert [log["response"] for log in logs] == results


@pytest.mark.parametrize(
    "line", [chat("c", "Hi", "Hello"), chat("c"), {"messages": [{"role": "user", "content": "Hi"}]}]
)
def test_a_line_without_times_is_imported_once(here: Place, line: dict[str, Any]) -> None:
    """The later import comes at another time and moves nothing, not even the end of an empty conversation."""
    here.load_lines(line)
    once = here.export()
    report = here.load_lines(line)
    assert (report.new, report.unchanged) == (0, 1)
    assert here.export() == once


def test_a_line_that_has_grown_adds_what_is_new(here: Place) -> None:
    """The new messages follow the old ones."""
    here.load_lines(chat("c", "one", "two"))
    report = here.load_lines(chat("c", "one", "two", "three"))
    assert (report.extended, report.known, report.events["human_messages"]) == (1, 2, 1)
    assert contents(here, "c") == ["one", "two", "three"]


def test_a_bad_line_harms_only_itself(here: Place) -> None:
    """It is told with its number and the reason; what comes before and after is imported."""
    told = []
    data = b'{"id": "a", "messages": []}\n{"id": \n\n[1, {"id": "b", "messages": []}]\n{"id": "c", "messages": 3}\n'
    report = here.load(data)
    told = [(bad.line, bad.position) for bad in report.bad]
    assert told == [(2, 0), (4, 1), (5, 0)]
    assert report.bad[1].where == "line 4, item 1"
    assert report.new == 2


def test_an_event_that_the_store_refuses_harms_only_itself(here: Place) -> None:
    """The rest of its conversation is there, and the reason is told."""
    message = {"sender": "agent", "content": "Hi", "timestamp": "2026-01-01T00:00:00Z"}
    feedback = {"sentiment": "furious", "created_at": "2026-01-01T00:00:00Z"}
    report = here.load_lines({"conversation_id": "c", "messages": [message], "feedbacks": [feedback]})
    assert "furious" in report.bad[0].reason
    assert contents(here, "c") == ["Hi"]


def test_the_same_id_twice_in_a_file_is_one_conversation(here: Place) -> None:
    """The second line adds what the first had not, in any batch."""
    report = here.load_lines(chat("c", "one"), chat("d", "x"), chat("c", "one", "two"))
    assert (report.new, report.extended) == (2, 1)
    assert contents(here, "c") == ["one", "two"]


def test_a_prefix_keeps_files_with_equal_ids_apart(here: Place) -> None:
    """Two exports that both count from 1 do not run into each other."""
    here.load_lines(chat("1", "Monday"), id_prefix="mon-")
    here.load_lines(chat("1", "Tuesday"), id_prefix="tue-")
    assert contents(here, "mon-1") == ["Monday"]
    assert contents(here, "tue-1") == ["Tuesday"]


def test_equal_ids_with_other_content_are_told(here: Place) -> None:
    """Nothing is lost silently: what is stored stays, and the line is reported."""
    here.load_lines(chat("1", "Monday", "Hello"))
    once = here.export()
    report = here.load_lines(chat("1", "Tuesday", "Hello"), chat("2", "Wednesday"))
    assert [(bad.line, "other content" in bad.reason) for bad in report.bad] == [(1, True)]
    assert report.new == 1
    assert once in here.export()


def test_other_limits_are_no_other_content(here: Place) -> None:
    """The same file imported again with smaller limits is known."""
    here.load_lines(chat("1", "x" * 9999))
    assert here.load_lines(chat("1", "x" * 9999), limits=Limits(text_bytes=500)).bad == []


def test_an_import_joins_a_conversation_that_was_recorded(here: Place) -> None:
    """Nothing that is known of it is overridden, and the second import changes nothing."""
    here.load_lines({**chat("c", "live"), "customer_id": "mia", "created": 1_700_000_000})
    here.load_lines(
        {"messages": [{"role": "user", "content": "file"}], "conversation_id": "c", "customer_id": "eve"}, id_prefix=""
    )
    once = here.export()
    assert here.shape("c")["customer_id"] == "mia"
    here.load_lines({"messages": [{"role": "user", "content": "file"}], "conversation_id": "c", "customer_id": "eve"})
    assert here.export() == once


def test_an_array_is_as_good_as_lines(here: Place, there: Place) -> None:
    """The same conversations come out."""
    lines = [chat("a", "Hi", created=1_700_000_000), chat("b", "Ho", "Hey", created=1_700_000_001)]
    here.load_lines(*lines)
    there.load(json.dumps(lines, indent=2).encode())
    assert here.export() == there.export()


def test_an_import_keeps_to_the_limits_of_live_capture(here: Place) -> None:
    """Long texts and results are cut and say so."""
    asked = {
        "role": "assistant",
        "tool_calls": [{"id": "k", "function": {"name": "f", "arguments": json.dumps({"a": "x" * 9999})}}],
    }
    answered = {"role": "tool", "tool_call_id": "k", "content": "y" * 9999}
    line = {"id": "c", "messages": [{"role": "user", "content": "z" * 9999}, asked, answered]}
    here.load_lines(line, limits=Limits(value_bytes=1000, text_bytes=1000))
    message, action = here.shape("c")["messages"]
    log = action["action_logs"][0]
    assert all("truncated" in str(value) for value in (message["content"], log["response"], log["tools_used"]))
    assert len(str(message["content"])) <= 1000
