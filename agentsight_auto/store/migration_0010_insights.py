"""What was found out about each conversation. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE insights (
        conversation_pk INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        started_at_us INTEGER NOT NULL,
        last_at_us INTEGER NOT NULL,
        country TEXT,
        is_used BOOLEAN DEFAULT 0 NOT NULL,
        human_count INTEGER DEFAULT 0 NOT NULL,
        agent_count INTEGER DEFAULT 0 NOT NULL,
        action_count INTEGER DEFAULT 0 NOT NULL,
        error_count INTEGER DEFAULT 0 NOT NULL,
        response_count INTEGER DEFAULT 0 NOT NULL,
        response_total_ms INTEGER DEFAULT 0 NOT NULL,
        first_response_ms INTEGER,
        longest_response_ms INTEGER,
        responses_ms BLOB,
        repeated_count INTEGER DEFAULT 0 NOT NULL,
        is_looped BOOLEAN DEFAULT 0 NOT NULL,
        is_unanswered BOOLEAN DEFAULT 0 NOT NULL,
        is_left BOOLEAN DEFAULT 0 NOT NULL,
        is_failed_last BOOLEAN DEFAULT 0 NOT NULL,
        positive_count INTEGER DEFAULT 0 NOT NULL,
        neutral_count INTEGER DEFAULT 0 NOT NULL,
        negative_count INTEGER DEFAULT 0 NOT NULL,
        total_tokens INTEGER DEFAULT 0 NOT NULL,
        cost_usd FLOAT,
        priced_count INTEGER DEFAULT 0 NOT NULL,
        unpriced_count INTEGER DEFAULT 0 NOT NULL,
        PRIMARY KEY (conversation_pk),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    "CREATE INDEX ix_insights_country ON insights (agent_id, country, conversation_pk)",
    "CREATE INDEX ix_insights_failed_last ON insights (agent_id, conversation_pk) WHERE is_failed_last = 1",
    "CREATE INDEX ix_insights_last ON insights (agent_id, last_at_us, conversation_pk)",
    "CREATE INDEX ix_insights_left ON insights (agent_id, conversation_pk) WHERE is_left = 1",
    "CREATE INDEX ix_insights_looped ON insights (agent_id, conversation_pk) WHERE is_looped = 1",
    "CREATE INDEX ix_insights_repeated ON insights (agent_id, conversation_pk) WHERE repeated_count > 0",
    "CREATE INDEX ix_insights_visited ON insights (agent_id, conversation_pk) WHERE is_used = 0",
    """
    CREATE TABLE ending_actions (
        agent_id INTEGER NOT NULL,
        action_name TEXT NOT NULL,
        conversation_pk INTEGER NOT NULL,
        at_us INTEGER NOT NULL,
        PRIMARY KEY (agent_id, action_name, conversation_pk),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    "CREATE INDEX ix_ending_actions_conversation_pk ON ending_actions (conversation_pk)",
    """
    CREATE TABLE insights_due (
        conversation_pk INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        PRIMARY KEY (conversation_pk),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    # Every conversation so far is to be examined.
    "INSERT INTO insights_due (conversation_pk, agent_id) SELECT id, agent_id FROM conversations",
)
