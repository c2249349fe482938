"""Indexes that hold only what is looked for. Never edited, later migrations build on it.

From here on ``known_at`` may name a moment that most fields share, see `known_at`; rows from before stay as they are.
"""

from __future__ import annotations

STATEMENTS = (
    "DROP INDEX ix_conversations_is_marked",
    """
    CREATE INDEX ix_conversations_is_marked ON conversations (agent_id, is_marked, started_at_us, id, is_deleted)
        WHERE is_marked = 1
    """,
    "DROP INDEX ix_insights_country",
    "CREATE INDEX ix_insights_country ON insights (agent_id, country, conversation_pk) WHERE country IS NOT NULL",
)
