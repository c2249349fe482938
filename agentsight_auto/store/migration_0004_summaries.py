"""A summary per conversation, its actions and hours, covering indexes. Never edited, later migrations build on it."""

from __future__ import annotations

_COUNTERS = (
    "human_message_count", "agent_message_count", "transcript_count", "action_error_count", "feedback_count",
    "positive_count", "neutral_count", "negative_count", "prompt_tokens", "completion_tokens", "total_tokens",
    "embedding_tokens", "response_count", "response_total_us", "waiting_count", "waiting_total_us",
)  # fmt: skip
_MOMENTS = ("first_human_at_us", "last_human_at_us", "first_agent_at_us", "last_agent_at_us", "last_entry_at_us")
_FLAGS = ("has_messages", "has_action", "has_feedback")
_FOUND_BY = ("customer_id", "customer_ip_address", "device", "source", "language", "environment", *_FLAGS)
_OLD_INDEXES = (
    "ix_conversations_agent_id_started_at_us_id", "ix_conversations_agent_id_customer_id_started_at_us_id",
    "ix_conversations_agent_id_customer_ip_address_started_at_us_id",
    "ix_conversations_agent_id_device_started_at_us_id", "ix_conversations_agent_id_language_started_at_us_id",
    "ix_conversations_agent_id_environment_started_at_us_id", "ix_conversations_marked",
)  # fmt: skip

_TABLES = (
    """
    CREATE TABLE conversation_actions (
        agent_id INTEGER NOT NULL,
        action_name TEXT NOT NULL,
        conversation_pk INTEGER NOT NULL,
        call_count INTEGER DEFAULT 0 NOT NULL,
        error_count INTEGER DEFAULT 0 NOT NULL,
        duration_count INTEGER DEFAULT 0 NOT NULL,
        duration_total_ms FLOAT DEFAULT 0 NOT NULL,
        PRIMARY KEY (agent_id, action_name, conversation_pk),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    "CREATE INDEX ix_conversation_actions_conversation_pk ON conversation_actions (conversation_pk)",
    """
    CREATE TABLE conversation_hours (
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        hour INTEGER NOT NULL,
        human_message_count INTEGER DEFAULT 0 NOT NULL,
        agent_message_count INTEGER DEFAULT 0 NOT NULL,
        PRIMARY KEY (conversation_pk, hour),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE search_documents (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        first_message_id INTEGER NOT NULL,
        last_message_id INTEGER NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_search_documents_conversation_pk ON search_documents (conversation_pk)",
)

_BACKFILL = (
    """
    UPDATE conversations SET transcript_count = s.entries, human_message_count = s.human,
        agent_message_count = s.agent, message_count = s.human + s.agent, last_entry_at_us = s.last_at,
        first_human_at_us = s.first_human, last_human_at_us = s.last_human,
        first_agent_at_us = s.first_agent, last_agent_at_us = s.last_agent, has_messages = 1
    FROM (
        SELECT conversation_pk, count(*) AS entries, max(at_us) AS last_at,
            count(CASE WHEN kind = 'message' AND sender = 'end_user' THEN 1 END) AS human,
            count(CASE WHEN kind = 'message' AND sender = 'agent' THEN 1 END) AS agent,
            min(CASE WHEN kind = 'message' AND sender = 'end_user' THEN at_us END) AS first_human,
            max(CASE WHEN kind = 'message' AND sender = 'end_user' THEN at_us END) AS last_human,
            min(CASE WHEN kind = 'message' AND sender = 'agent' THEN at_us END) AS first_agent,
            max(CASE WHEN kind = 'message' AND sender = 'agent' THEN at_us END) AS last_agent
        FROM messages GROUP BY conversation_pk
    ) AS s WHERE s.conversation_pk = conversations.id
    """,
    """
    UPDATE conversations SET response_count = s.answered, response_total_us = s.waited,
        waiting_count = s.unanswered, waiting_total_us = s.waiting
    FROM (
        SELECT said.conversation_pk, count(said.answered_at) AS answered,
            CAST(total(said.answered_at - said.at_us) AS INTEGER) AS waited,
            count(*) - count(said.answered_at) AS unanswered,
            CAST(total(CASE WHEN said.answered_at IS NULL THEN c.last_human_at_us - said.at_us END) AS INTEGER)
                AS waiting
        FROM (
            SELECT conversation_pk, sender, at_us, min(CASE WHEN sender = 'agent' THEN at_us END) OVER (
                PARTITION BY conversation_pk ORDER BY at_us DESC, event_id DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS answered_at
            FROM messages WHERE kind = 'message' AND sender IN ('end_user', 'agent')
        ) AS said JOIN conversations AS c ON c.id = said.conversation_pk
        WHERE said.sender = 'end_user' GROUP BY said.conversation_pk
    ) AS s WHERE s.conversation_pk = conversations.id
    """,
    """
    INSERT INTO conversation_actions
        SELECT l.agent_id, m.action_name, l.conversation_pk, count(*), count(nullif(l.error_message, '')),
            count(l.duration_ms), total(l.duration_ms)
        FROM action_logs AS l JOIN messages AS m ON m.id = l.message_id
        WHERE m.action_name IS NOT NULL GROUP BY l.agent_id, m.action_name, l.conversation_pk
    """,
    """
    UPDATE conversations SET has_action = 1, action_error_count = s.errors
    FROM (
        SELECT conversation_pk, count(nullif(error_message, '')) AS errors FROM action_logs GROUP BY conversation_pk
    ) AS s WHERE s.conversation_pk = conversations.id
    """,
    """
    INSERT INTO conversation_hours
        SELECT agent_id, conversation_pk, at_us / 3600000000, count(CASE WHEN sender = 'end_user' THEN 1 END),
            count(CASE WHEN sender = 'agent' THEN 1 END)
        FROM messages WHERE kind = 'message' AND sender IN ('end_user', 'agent')
        GROUP BY agent_id, conversation_pk, at_us / 3600000000
    """,
    """
    UPDATE conversations SET has_feedback = 1, feedback_count = s.judged, positive_count = s.positive,
        neutral_count = s.neutral, negative_count = s.negative
    FROM (
        SELECT conversation_pk, count(*) AS judged,
            count(CASE WHEN source = 'customer' AND sentiment = 'positive' THEN 1 END) AS positive,
            count(CASE WHEN source = 'customer' AND sentiment = 'neutral' THEN 1 END) AS neutral,
            count(CASE WHEN source = 'customer' AND sentiment = 'negative' THEN 1 END) AS negative
        FROM feedbacks GROUP BY conversation_pk
    ) AS s WHERE s.conversation_pk = conversations.id
    """,
    """
    UPDATE conversations SET prompt_tokens = s.prompt, completion_tokens = s.completion, total_tokens = s.total,
        embedding_tokens = s.embedding
    FROM (
        SELECT conversation_pk, CAST(total(prompt_tokens) AS INTEGER) AS prompt,
            CAST(total(completion_tokens) AS INTEGER) AS completion, CAST(total(total_tokens) AS INTEGER) AS total,
            CAST(total(embedding_tokens) AS INTEGER) AS embedding
        FROM token_usages GROUP BY conversation_pk
    ) AS s WHERE s.conversation_pk = conversations.id
    """,
)

STATEMENTS = (
    "ALTER TABLE agents ADD COLUMN writes INTEGER DEFAULT 0 NOT NULL",
    *(f"ALTER TABLE conversations ADD COLUMN {name} INTEGER DEFAULT 0 NOT NULL" for name in _COUNTERS),
    *(f"ALTER TABLE conversations ADD COLUMN {name} INTEGER" for name in _MOMENTS),
    *(f"ALTER TABLE conversations ADD COLUMN {name} BOOLEAN DEFAULT 0 NOT NULL" for name in _FLAGS),
    *(f"DROP INDEX {name}" for name in _OLD_INDEXES),
    *_TABLES,
    *_BACKFILL,
    *(
        f"CREATE INDEX ix_conversations_{name} ON conversations (agent_id, {name}, started_at_us, id, is_deleted)"
        for name in _FOUND_BY
    ),
    """
    CREATE INDEX ix_conversations_marked ON conversations (agent_id, started_at_us, id, is_deleted) WHERE is_marked = 1
    """,
    """
    CREATE INDEX ix_conversations_overview ON conversations (agent_id, started_at_us, id, is_deleted, is_marked,
        environment, device, source, language, has_messages, has_action, has_feedback)
    """,
    "CREATE INDEX ix_feedbacks_judgement ON feedbacks (agent_id, source, sentiment, conversation_pk)",
)
