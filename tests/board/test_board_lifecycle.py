"""How a conversation stands, and what moves it."""

from __future__ import annotations

import time
from pathlib import Path

from agentsight_auto import ConversationManager, conversation
from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.query.board import Board
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.query.lifecycle import Rules

from ..query.story import SECOND, START_US, Story
from .support import listed, tell_eight

MINUTE = 60 * SECOND


def status(story: Story, conversation_id: str) -> str:
    return Board(story.backend).transcript(conversation_id)["status"]


def test_each_status_has_its_conversations(story: Story) -> None:
    """Every conversation has exactly one."""
    tell_eight(story)
    now = time.time_ns() // 1000 - START_US
    story.human("fresh", "hello", now)
    found = {name: listed(story, status=name) for name in ("open", "idle", "resolved", "escalated", "abandoned")}
    assert found == {
        "open": {"fresh"},
        "idle": {"again", "loop", "visit"},
        "resolved": {"solved"},
        "escalated": {"handed"},
        "abandoned": {"left", "failed", "alone"},
    }


def test_a_message_of_the_customer_reopens(story: Story) -> None:
    """Not one of the agent, who says goodbye; the end follows the last event."""
    story.human("c", "hello", 0)
    story.action("c", "resolve_conversation", SECOND)
    story.agent_says("c", "goodbye", 2 * SECOND)
    assert status(story, "c") == "resolved"
    story.human("c", "one more thing", 3 * SECOND)
    assert status(story, "c") != "resolved"
    story.action("c", "open_ticket", 4 * SECOND)
    assert status(story, "c") == "escalated"
    shape = story.backend.fetch_conversation("c")
    assert shape["ended_at"] == "2026-01-01T00:00:04.000000Z"


def test_the_idle_time_is_one_of_each_source(story: Story) -> None:
    """A call is over after two minutes, a chat by messenger only after a day."""
    now = time.time_ns() // 1000 - START_US
    for source in ("voice", "whatsapp", "web"):
        story.started(source, now - 10 * MINUTE, source=source)
        story.human(source, "hello", now - 10 * MINUTE)
        story.agent_says(source, "hi", now - 10 * MINUTE + SECOND)
    rules = Rules(idle_after=("5", "whatsapp=1440", "voice=2"))
    story.backend = EmbeddedBackend(story.database, story.folder, rules=rules)
    assert listed(story, status="open") == {"whatsapp"}
    assert listed(story, status="idle") == {"web", "voice"}
    facets = {facet["name"]: facet["values"] for facet in Board(story.backend).facets({})["facets"]}
    assert {row["value"]: row["count"] for row in facets["outcome"]} == {"idle": 2, "open": 1}


def test_the_names_of_actions_that_move_are_settings(story: Story) -> None:
    """A rule that changes answers the next question; nothing has to be stored anew."""
    story.human("c", "hello", 0)
    story.action("c", "call_boss", SECOND)
    assert listed(story, status="escalated") == set()
    story.backend = EmbeddedBackend(story.database, story.folder, rules=Rules(escalation_actions=("call_boss",)))
    assert listed(story, status="escalated") == {"c"}
    story.backend = EmbeddedBackend(story.database, story.folder, rules=Rules(resolution_actions=("call_boss",)))
    assert listed(story, status="resolved") == {"c"}


def test_the_scope_and_the_manager_move_a_conversation(tmp_path: Path) -> None:
    """`escalate` is the documented action, with its reason; `resolve` has a note."""
    runtime = Runtime(home=tmp_path / "home")
    with used_as_default(runtime):
        with conversation("c") as chat:
            chat.track_human_message("help")
            chat.escalate("asked for a human")
        backend = runtime.backend()
        assert isinstance(backend, EmbeddedBackend)
        told = Board(backend).transcript("c")
        assert (told["status"], told["status_reason"]) == ("escalated", "asked for a human")
        assert told["messages"][-1]["action_name"] == "fallback_to_human"
        assert backend.stats({})["escalated_conversations"] == 1
        assert ConversationManager(home=tmp_path / "home").resolve_conversation("c", "called back") == {
            "id": told["id"], "conversation_id": "c", "action_name": "resolve_conversation",
        }  # fmt: skip
        told = Board(backend).transcript(told["id"])
        assert (told["status"], told["status_reason"]) == ("resolved", "called back")
        board = Board(backend)
        assert board.escalate("c", "no") == {"id": told["id"], "conversation_id": "c", "status": "escalated"}
        assert told["summary"]["first_words"] == "help"
    runtime.shutdown(5)
