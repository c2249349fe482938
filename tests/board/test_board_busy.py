"""The board while somebody else writes."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest
from sqlalchemy import select

from agentsight_auto.query.board import Board
from agentsight_auto.store import insights
from agentsight_auto.store.schema import agents

from ..query.story import Story

_MUCH_S = 60.0
"""The lock is held for good: four questions that wait for it, each for half a minute, take twice as long as this."""


def test_who_looks_does_not_wait_for_who_writes(story: Story) -> None:
    """While another process holds the store's lock, pages show what is known, and say what is not examined."""
    board = Board(story.backend)
    story.human("before", "hello")
    assert board.metrics({})["behind"] == 0
    story.human("after", "hello")
    with closing(sqlite3.connect(story.backend.database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        assert [row["conversation_id"] for row in board.conversations({})["results"]] == ["after", "before"]
        assert board.metrics({})["behind"] == 1
        assert board.transcript("after")["conversation_id"] == "after"
        assert board.facets({})["counted"] == 2
        assert time.monotonic() - begun < _MUCH_S
        other.execute("ROLLBACK")
    assert board.metrics({})["behind"] == 0


@pytest.mark.parametrize(("most", "transactions"), [(1, 3), (4, 2), (1_000, 1)])
def test_who_writes_waits_for_few_transcripts_at_once(
    story: Story, monkeypatch: pytest.MonkeyPatch, most: int, transactions: int
) -> None:
    """What is examined in one transaction depends on what there is to read; one that is longer has its own."""
    monkeypatch.setattr(insights, "_ENTRIES_AT_ONCE", most)
    for name in ("first", "second", "third"):
        story.human(name, "hello")
        story.agent_says(name, "welcome")
    before = _writes(story)
    assert insights.settle(story.database) == 0
    assert _writes(story) - before == transactions


def _writes(story: Story) -> int:
    with story.database.read() as connection:
        return int(connection.execute(select(agents.c.writes)).scalar_one())
