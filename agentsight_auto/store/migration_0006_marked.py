"""Marked conversations are found like those of any other value. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    "DROP INDEX ix_conversations_marked",
    "CREATE INDEX ix_conversations_is_marked ON conversations (agent_id, is_marked, started_at_us, id, is_deleted)",
)
