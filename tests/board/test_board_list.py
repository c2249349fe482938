"""The list, its facets and its strip over time."""

from __future__ import annotations

from typing import Any

import pytest

from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query.board import Board
from agentsight_auto.query.parameters import AnyOf

from ..query.story import DAY, HOUR, SECOND, Story
from .support import tell_eight


def facets_of(story: Story, **filters: Any) -> dict[str, dict[Any, int]]:
    facets = Board(story.backend).facets(filters)["facets"]
    return {facet["name"]: {row["value"]: row["count"] for row in facet["values"]} for facet in facets}


def test_a_row_says_what_a_line_of_the_list_shows(story: Story) -> None:
    """Words, counts, cost, feedback, status and what stands out."""
    tell_eight(story)
    rows = {row["conversation_id"]: row for row in Board(story.backend).conversations({})["results"]}
    row = rows["solved"]
    assert row | {"id": 0, "insights": []} == {
        "id": 0, "conversation_id": "solved", "name": None, "customer_id": "mia", "environment": "production",
        "source": "web", "device": None, "language": None, "country": None,
        "started_at": "2026-01-01T01:00:00.000000Z", "ended_at": "2026-01-01T01:00:09.000000Z", "duration_ms": 8000.0,
        "status": "resolved", "is_marked": False, "is_deleted": False, "is_used": True, "messages": 4,
        "human_messages": 2, "agent_messages": 2, "actions": 1, "action_errors": 0, "total_tokens": 100,
        "cost_usd": 0.02, "unpriced_calls": 0, "feedback": {"positive": 1, "neutral": 0, "negative": 0},
        "first_words": "how do I pay this bill?", "last_words": "bye", "last_sender": "agent", "hit": None,
        "insights": [],
    }  # fmt: skip
    assert rows["failed"]["insights"] == ["abandoned_after_failure", "failed"]
    assert rows["alone"]["cost_usd"] is None
    assert rows["alone"]["unpriced_calls"] == 1
    assert rows["visit"]["first_words"] == ""


def test_pages_do_not_jump_and_new_conversations_are_announced(story: Story) -> None:
    """The next page follows the last row, whatever has arrived; what arrived is counted."""
    for number in range(5):
        story.human(f"c{number}", "x", number * HOUR)
    board = Board(story.backend)
    page = board.conversations({}, page_size=2)
    assert board.newer({}, page["newest"]) == {"count": 0}
    story.human("late", "x", DAY)
    second = board.conversations({}, page_size=2, cursor=page["next"])
    assert [row["conversation_id"] for row in second["results"]] == ["c2", "c1"]
    assert (second["count"], second["count_is_exact"]) == (6, True)
    assert board.newer({}, page["newest"]) == {"count": 1}
    assert board.newer({"source": "web"}, page["newest"]) == {"count": 0}
    back = board.conversations({}, page_size=2, cursor=second["previous"])
    assert [row["conversation_id"] for row in back["results"]] == ["c4", "c3"]
    middle = page["results"][1]["id"]
    assert board.neighbours(middle, {}) == {"next": second["results"][0]["id"], "previous": page["results"][0]["id"]}


def test_a_search_shows_the_hit(story: Story) -> None:
    """The words around it, in whatever case it was asked for."""
    story.human("c", "x" * 100 + " Where is my ORDER, please? " + "y" * 100)
    hit = Board(story.backend).conversations({"message_contains": "my order"})["results"][0]["hit"]
    assert (hit["match"], hit["sender"]) == ("my ORDER", "end_user")
    assert hit["before"].endswith("x Where is ")
    assert len(hit["before"]) == len(hit["after"]) == 80


def test_facets_count_what_matches(story: Story) -> None:
    """One dict a facet; a facet's own choice leaves its alternatives to be seen."""
    tell_eight(story)
    story.backend.mark_conversation("left", True)
    story.started("de", environment="development", language="de", device="mobile")
    found = facets_of(story)
    assert found == {
        "environment": {"production": 8, "development": 1},
        "agent": {},
        "source": {"voice": 2, "web": 2, "whatsapp": 2},
        "device": {"mobile": 1},
        "language": {"de": 1},
        "country": {},
        "action": {"book": 1, "contact_human": 1, "find": 1, "resolve_conversation": 1},
        "outcome": {"idle": 4, "abandoned": 3, "escalated": 1, "resolved": 1},
        "feedback": {"positive": 1, "negative": 1},
        "marked": {"false": 8, "true": 1},
    }
    found = facets_of(story, source="web", status="resolved")
    assert found["source"] == {"web": 1}
    assert found["outcome"] == {"resolved": 1, "escalated": 1}
    assert found["environment"] == {"production": 1}
    assert facets_of(story, is_marked="true")["source"] == {"whatsapp": 1}


def test_any_of_several_values_can_be_asked_for(story: Story) -> None:
    """Each filter of a facet takes several values, of which one has to be there, exactly as it is written."""
    tell_eight(story)
    board = Board(story.backend)
    story.action("left", "find_more", HOUR)

    def ids(**filters: tuple[str, ...]) -> set[str]:
        asked = {name: AnyOf(values) for name, values in filters.items()}
        found = board.conversations(asked)
        assert found["count"] == len(found["results"])
        return {row["conversation_id"] for row in found["results"]}

    assert ids(source=("web", "voice")) == {"solved", "handed", "again", "loop"}
    assert ids(source=("web", "voice"), status=("resolved", "escalated")) == {"solved", "handed"}
    assert ids(action_name=("find", "book")) == {"loop", "failed"}
    assert ids(action_name=("fin",)) == set()
    assert ids(feedback_sentiment=("positive", "negative")) == {"solved", "handed"}
    assert len(ids(is_marked=("true", "false"))) == len(ids(environment=("production", "staging"))) == 8
    found = board.facets({"source": AnyOf(("web", "carrier pigeon")), "status": AnyOf(("resolved",))})["facets"]
    chosen = {facet["name"]: {row["value"]: row["count"] for row in facet["values"] if row["is_selected"]}
              for facet in found}  # fmt: skip
    assert chosen["source"] == {"web": 1, "carrier pigeon": 0}
    assert chosen["outcome"] == {"resolved": 1}
    with pytest.raises(InvalidQueryException, match="status"):
        ids(status=("resolved", "eaten"))


def test_the_strip_has_one_width_and_counts_all(story: Story) -> None:
    """Whole days of the reader's zone, each ready to be the time filter."""
    for number in range(30):
        story.human(f"c{number}", "x", number * DAY + 23 * HOUR)
    board = Board(story.backend)
    bounds = {"started_at_after": "2026-01-01T00:00:00+01:00", "started_at_before": "2026-01-31T00:00:00+01:00"}
    strip = board.volume(bounds, buckets=40, zone="Europe/Berlin")
    assert strip["width_s"] == 86400
    assert sum(bucket["conversations"] for bucket in strip["buckets"]) == 30
    full = next(bucket for bucket in strip["buckets"] if bucket["conversations"])
    assert full["from"] == "2026-01-01T23:00:00.000000Z"
    chosen = {"started_at_after": full["from"], "started_at_before": full["until"]}
    assert board.conversations(chosen)["count"] == full["conversations"]
    assert sum(b["conversations"] for b in board.volume({})["buckets"]) == 30


def test_actions_are_examined_by_name(story: Story) -> None:
    """Calls, errors, quantiles, the slowest and the error texts, each with its place."""
    for number in range(10):
        story.action("c", "find", number * SECOND, duration_ms=float(number + 1))
    story.action("d", "book", 20 * SECOND, duration_ms=500.0, error_msg="Timeout: no answer")
    story.action("d", "book", 21 * SECOND, error_msg="Timeout: no answer")
    found = Board(story.backend).actions({})
    find, book = found["actions"]
    assert (find["calls"], find["errors"], find["p50_ms"], find["p95_ms"]) == (10, 0, 5.0, 10.0)
    assert (book["error_rate"], book["conversations"], sum(book["trend"]), sum(book["error_trend"])) == (1.0, 1, 2, 2)
    slowest = found["slowest"][0]
    assert (slowest["action_name"], slowest["duration_ms"], slowest["conversation_id"]) == ("book", 500.0, "d")
    (error,) = found["errors"]
    assert (error["error"], error["count"], error["conversation_id"]) == ("Timeout: no answer", 2, "d")
    assert Board(story.backend).actions({"conversation_id": "c"})["errors"] == []


def test_the_timeline_explains_a_slow_answer(story: Story) -> None:
    """Nested actions have a depth, model calls a kind of their own; a turn says how long actions took of it."""
    story.human("c", "slow?", 0)
    parent = story.action("c", "plan", 9 * SECOND, started_at_us=None, duration_ms=8000.0)
    story.action("c", "chat gpt", 8 * SECOND, duration_ms=3000.0, parent_id=parent, metadata={"kind": "model_call"})
    story.action("c", "find", 9 * SECOND, duration_ms=500.0, parent_id=parent, error_msg="E: x")
    story.agent_says("c", "done", 10 * SECOND)
    line = Board(story.backend).timeline("c")
    shown = [(item["kind"], item["label"], item["offset_ms"], item["depth"]) for item in line["items"]]
    assert shown == [
        ("message", "slow?", 0.0, 0),
        ("action", "plan", 1000.0, 0),
        ("model_call", "chat gpt", 5000.0, 1),
        ("action", "find", 8500.0, 1),
        ("message", "done", 10_000.0, 0),
    ]
    assert [item["is_error"] for item in line["items"]] == [False, False, False, True, False]
    (turn,) = line["turns"]
    assert (turn["duration_ms"], turn["busy_ms"], line["duration_ms"]) == (10_000.0, 8000.0, 10_000.0)
