"""Archived spans, usage of models, named actions and further feedback. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE spans (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        span_id TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        parent_span_id TEXT,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        started_at_us INTEGER NOT NULL,
        ended_at_us INTEGER,
        duration_ms FLOAT,
        status TEXT NOT NULL,
        attributes TEXT NOT NULL,
        events TEXT NOT NULL,
        rest TEXT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_spans_agent_id_span_id_conversation_pk UNIQUE (agent_id, span_id, conversation_pk),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_spans_agent_id_kind_started_at_us_id ON spans (agent_id, kind, started_at_us, id)",
    "CREATE INDEX ix_spans_agent_id_started_at_us_id ON spans (agent_id, started_at_us, id)",
    "CREATE INDEX ix_spans_agent_id_trace_id ON spans (agent_id, trace_id)",
    "CREATE INDEX ix_spans_conversation_pk_started_at_us_id ON spans (conversation_pk, started_at_us, id)",
    """
    CREATE TABLE model_usages (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        token_usage_id INTEGER NOT NULL,
        turn_id TEXT,
        model TEXT NOT NULL,
        cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
        cache_write_tokens INTEGER DEFAULT 0 NOT NULL,
        reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
        audio_input_tokens INTEGER DEFAULT 0 NOT NULL,
        audio_output_tokens INTEGER DEFAULT 0 NOT NULL,
        calls INTEGER DEFAULT 0 NOT NULL,
        unreported_calls INTEGER DEFAULT 0 NOT NULL,
        incomplete BOOLEAN DEFAULT 0 NOT NULL,
        incomplete_reason TEXT,
        started_at_us INTEGER NOT NULL,
        ended_at_us INTEGER NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_model_usages_token_usage_id UNIQUE (token_usage_id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(token_usage_id) REFERENCES token_usages (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_model_usages_conversation_pk_turn_id ON model_usages (conversation_pk, turn_id)",
    """
    CREATE TABLE actions (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        display_name TEXT NOT NULL,
        description TEXT DEFAULT '' NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_actions_agent_id_name UNIQUE (agent_id, name),
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    """
    CREATE TABLE further_feedbacks (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER,
        message_id INTEGER,
        event_id BLOB NOT NULL,
        kind TEXT NOT NULL,
        sentiment TEXT NOT NULL,
        comment TEXT,
        topic TEXT,
        reason TEXT,
        environment TEXT,
        created_at_us INTEGER NOT NULL,
        CONSTRAINT uq_further_feedbacks_agent_id_event_id UNIQUE (agent_id, event_id),
        CONSTRAINT uq_further_feedbacks_message_id UNIQUE (message_id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_further_feedbacks_agent_id_created_at_us ON further_feedbacks (agent_id, created_at_us)",
    "CREATE INDEX ix_further_feedbacks_conversation_pk ON further_feedbacks (conversation_pk)",
    # Every action that was performed so far has a name.
    """
    INSERT INTO actions (agent_id, name, display_name)
        SELECT DISTINCT agent_id, action_name, action_name FROM messages WHERE action_name IS NOT NULL
    """,
    # Ids of further feedbacks begin above 2**40, so that one number never means two feedbacks.
    "INSERT INTO sqlite_sequence (name, seq) VALUES ('further_feedbacks', 1099511627776)",
)
