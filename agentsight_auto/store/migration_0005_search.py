"""Whether the search index has a gap, and the deleted conversations. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE agents ADD COLUMN has_search_gap BOOLEAN DEFAULT 0 NOT NULL",
    "CREATE INDEX ix_conversations_deleted ON conversations (agent_id, id) WHERE is_deleted = 1",
)
