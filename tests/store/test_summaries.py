"""Summaries: what ingest counts of a conversation is what its rows say, in whatever order and portions they arrive."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsight_auto.events import Action, AnyEvent, Button, ConversationStarted, Feedback, Message, TokenUsage
from agentsight_auto.store.action_names import change_action
from agentsight_auto.store.database import Database
from agentsight_auto.store.further_feedbacks import change_feedback, delete_feedback
from agentsight_auto.store.ingest import ingest
from agentsight_auto.store.migrations import MIGRATIONS, migrate
from agentsight_auto.store.summaries import rebuild
from agentsight_auto.store.summary import COLUMNS, FLAGS

from .material import T0_US, conversation, new_id, rows, said

HOUR_S = 3600
_TABLES = (
    "agents", "conversations", "messages", "action_logs", "buttons", "feedbacks", "token_usages", "metadata_values",
)  # fmt: skip


def acted(*, at: int = 0, to: str = "c1", name: str = "find_order", **more: Any) -> Action:
    """Return an action `at` seconds after the beginning of time."""
    at_us = T0_US + at * 1_000_000
    return Action(new_id(at_us), to, at_us, name, **more)


def judged(sentiment: str, source: str = "customer", *, to: str = "c1") -> Feedback:
    """Return feedback."""
    return Feedback(new_id(), to, T0_US, sentiment, source)


def counted(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return all summaries, with the actions and hours beside them."""
    columns = ", ".join((*COLUMNS, *FLAGS))
    return {
        "conversations": rows(database, f"SELECT id, {columns} FROM conversations ORDER BY id"),
        "actions": rows(database, "SELECT * FROM conversation_actions ORDER BY action_name, conversation_pk"),
        "hours": rows(database, "SELECT * FROM conversation_hours ORDER BY conversation_pk, hour"),
    }


def test_responses_are_from_each_message_of_a_person_to_the_agents_next(database: Database) -> None:
    """Two messages that wait are answered by one; what the agent says unasked and what nobody answers counts not."""
    ingest(database, [
        said("welcome", sender="agent", at=0), said("a", at=10), said("b", at=14), said("sure", sender="agent", at=20),
        said("more", sender="agent", at=21), said("c", at=30),
    ])  # fmt: skip
    row = conversation(database)
    assert (row["response_count"], row["response_total_us"]) == (2, 16_000_000)
    assert (row["waiting_count"], row["human_message_count"], row["agent_message_count"]) == (1, 3, 3)
    assert [row[f"{which}_at_us"] - T0_US for which in ("first_human", "last_human", "first_agent", "last_agent")] == [
        10_000_000, 30_000_000, 0, 21_000_000,
    ]  # fmt: skip


def test_words_that_arrive_late_take_their_place(database: Database) -> None:
    """An answer that is stored before its question is an answer all the same."""
    ingest(database, [said("answer", sender="agent", at=20)])
    ingest(database, [said("question", at=5)])
    row = conversation(database)
    assert (row["response_count"], row["response_total_us"], row["waiting_count"]) == (1, 15_000_000, 0)


def test_everything_is_counted(database: Database) -> None:
    """Entries, actions with their errors and durations, tokens, judgements and hours."""
    ingest(database, [
        ConversationStarted(new_id(), "c1", T0_US), said("a", at=1), said("note", sender="system", at=2),
        acted(at=3, duration_ms=2.5), acted(at=4, error_msg="timed out"), acted(at=HOUR_S, error_msg=""),
        Button(new_id(), "c1", T0_US + 5, "press", "Yes", "yes"), TokenUsage(new_id(), "c1", T0_US, 10, 5),
        TokenUsage(new_id(), "c1", T0_US, 1, 0, 7, 2), judged("positive"), judged("negative"),
        judged("negative", "platform"), said("b", at=2 * HOUR_S),
    ])  # fmt: skip
    row = conversation(database)
    assert (row["transcript_count"], row["message_count"], row["action_count"], row["action_error_count"]) == (
        7,
        2,
        3,
        1,
    )
    assert [row[f"{name}_tokens"] for name in ("prompt", "completion", "total", "embedding")] == [11, 5, 22, 2]
    assert [row[f"{name}_count"] for name in ("feedback", "positive", "neutral", "negative")] == [3, 1, 0, 1]
    assert [row[name] for name in FLAGS] == [1, 1, 1]
    assert row["last_entry_at_us"] == T0_US + 2 * HOUR_S * 1_000_000
    (action,) = counted(database)["actions"]
    assert [action[name] for name in ("call_count", "error_count", "duration_count", "duration_total_ms")] == [
        3,
        1,
        1,
        2.5,
    ]
    assert [hour["human_message_count"] for hour in counted(database)["hours"]] == [1, 1]


_kinds = ["human", "agent", "system", "action", "failed", "button", "usage", "feedback"]
_events = st.lists(
    st.tuples(st.sampled_from(_kinds), st.integers(0, 9000)),
    min_size=1,
    max_size=12,
)


def event_of(kind: str, at: int, to: str) -> AnyEvent:
    """Return an event of this kind `at` seconds after the beginning of time."""
    at_us = T0_US + at * 1_000_000
    head = new_id(at_us), to, at_us
    if kind == "usage":
        return TokenUsage(*head, prompt_tokens=at)
    if kind == "feedback":
        return Feedback(*head, sentiment="neutral")
    if kind == "button":
        return Button(*head, "press", "Yes", "yes")
    if kind in {"action", "failed"}:
        return Action(*head, "act", duration_ms=at / 8, error_msg="no" if kind == "failed" else None)
    return Message(*head, sender="end_user" if kind == "human" else kind, content="x")


@given(told=_events, order=st.randoms(use_true_random=False), portions=st.lists(st.integers(1, 4), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_order_of_arrival_changes_nothing(
    shared: Database, told: list[tuple[str, int]], order: Any, portions: list[int]
) -> None:
    """Stored in any order and any portions, twice some of them, the summary is that of the rows in order."""
    to = f"c {new_id()}"
    events = [event_of(kind, at, to) for kind, at in told]
    order.shuffle(events)
    start = 0
    for size in [*portions, len(events)]:
        ingest(shared, events[max(0, start - 1) : start + size])
        start += size
    kept = counted(shared)
    with shared.write() as connection:
        rebuild(connection, [row["id"] for row in kept["conversations"]])
    assert counted(shared) == kept


def test_edits_of_what_was_counted_are_counted(database: Database) -> None:
    """Feedback that is changed or removed, and an action that is renamed, leave no count behind."""
    ingest(database, [judged("positive"), acted()])
    (feedback,) = rows(database, "SELECT id FROM feedbacks")
    agent_id = database.agent_id()
    change_feedback(database, agent_id, feedback["id"], {"sentiment": "negative"})
    assert [conversation(database)[f"{name}_count"] for name in ("positive", "negative")] == [0, 1]
    delete_feedback(database, agent_id, feedback["id"])
    assert [conversation(database)[name] for name in ("negative_count", "feedback_count", "has_feedback")] == [0, 0, 0]
    (action,) = rows(database, "SELECT id FROM actions")
    change_action(database, agent_id, action["id"], {"name": "look_up"})
    assert [row["action_name"] for row in counted(database)["actions"]] == ["look_up"]


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_the_third_schema_gets_its_summaries(database: Database, tmp_path: Path, seed: int) -> None:
    """The migration counts what earlier versions stored exactly as ingest does."""
    kinds = ["human", "agent", "agent", "human", *_kinds[2:], "agent"]
    ingest(database, [event_of(kind, 700 * ((n * (seed + 5)) % 13), f"c{n % 3}") for n, kind in enumerate(kinds * 2)])
    ingest(database, [ConversationStarted(new_id(), "visited", T0_US, is_used=False)])
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        migrate(connection, old, MIGRATIONS[:3])
        connection.execute("ATTACH ? AS new", (str(database.path),))
        for table in _TABLES:
            names = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    migrated = Database.open(old)
    assert counted(migrated) == counted(database)
    migrated.close()


def test_each_write_is_noticed(database: Database) -> None:
    """The number of writes goes up with what is written, and not with what is read."""
    before = rows(database, "SELECT writes FROM agents")
    ingest(database, [said()])
    after = rows(database, "SELECT writes FROM agents")
    assert after > before
    assert rows(database, "SELECT writes FROM agents") == after
