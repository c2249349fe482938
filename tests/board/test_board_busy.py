"""The board while somebody else writes."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from agentsight_auto.query.board import Board

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
