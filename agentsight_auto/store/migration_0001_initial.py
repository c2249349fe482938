"""The first schema, as it was released: never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE agents (
        id INTEGER NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_agents_name UNIQUE (name)
    )
    """,
    """
    CREATE TABLE conversations (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        agent_id INTEGER NOT NULL,
        conversation_id TEXT NOT NULL,
        name TEXT,
        customer_id TEXT,
        customer_ip_address TEXT,
        device TEXT,
        source TEXT,
        language TEXT,
        environment TEXT DEFAULT 'development' NOT NULL,
        metadata TEXT,
        is_marked BOOLEAN DEFAULT 0 NOT NULL,
        is_deleted BOOLEAN DEFAULT 0 NOT NULL,
        is_used BOOLEAN DEFAULT 0 NOT NULL,
        started_at_us INTEGER NOT NULL,
        ended_at_us INTEGER NOT NULL,
        deleted_at_us INTEGER,
        error TEXT,
        geo_city TEXT,
        geo_country TEXT,
        geo_timezone TEXT,
        known_at TEXT DEFAULT '{}' NOT NULL,
        message_count INTEGER DEFAULT 0 NOT NULL,
        action_count INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT uq_conversations_agent_id_conversation_id UNIQUE (agent_id, conversation_id),
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    """
    CREATE INDEX ix_conversations_agent_id_customer_id_started_at_us_id
        ON conversations (agent_id, customer_id, started_at_us, id)
    """,
    """
    CREATE INDEX ix_conversations_agent_id_customer_ip_address_started_at_us_id
        ON conversations (agent_id, customer_ip_address, started_at_us, id)
    """,
    """
    CREATE INDEX ix_conversations_agent_id_device_started_at_us_id
        ON conversations (agent_id, device, started_at_us, id)
    """,
    """
    CREATE INDEX ix_conversations_agent_id_environment_started_at_us_id
        ON conversations (agent_id, environment, started_at_us, id)
    """,
    """
    CREATE INDEX ix_conversations_agent_id_language_started_at_us_id
        ON conversations (agent_id, language, started_at_us, id)
    """,
    "CREATE INDEX ix_conversations_agent_id_started_at_us_id ON conversations (agent_id, started_at_us, id)",
    "CREATE INDEX ix_conversations_marked ON conversations (agent_id, started_at_us, id) WHERE is_marked = 1",
    """
    CREATE TABLE feedbacks (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        sentiment TEXT NOT NULL,
        source TEXT NOT NULL,
        comment TEXT,
        metadata TEXT,
        created_at_us INTEGER NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_feedbacks_agent_id_event_id UNIQUE (agent_id, event_id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_feedbacks_agent_id_created_at_us ON feedbacks (agent_id, created_at_us)",
    "CREATE INDEX ix_feedbacks_conversation_pk ON feedbacks (conversation_pk)",
    """
    CREATE TABLE messages (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        kind TEXT NOT NULL,
        sender TEXT NOT NULL,
        content TEXT NOT NULL,
        action_name TEXT,
        metadata TEXT,
        at_us INTEGER NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_messages_agent_id_event_id UNIQUE (agent_id, event_id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_messages_action_name ON messages (agent_id, action_name) WHERE action_name IS NOT NULL",
    "CREATE INDEX ix_messages_conversation_pk_at_us_event_id ON messages (conversation_pk, at_us, event_id)",
    """
    CREATE TABLE metadata_values (
        agent_id INTEGER NOT NULL,
        path TEXT NOT NULL,
        value_text TEXT NOT NULL,
        conversation_pk INTEGER NOT NULL,
        PRIMARY KEY (agent_id, path, value_text, conversation_pk),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    "CREATE INDEX ix_metadata_values_conversation_pk ON metadata_values (conversation_pk)",
    """
    CREATE TABLE token_usages (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        prompt_tokens INTEGER DEFAULT 0 NOT NULL,
        completion_tokens INTEGER DEFAULT 0 NOT NULL,
        total_tokens INTEGER DEFAULT 0 NOT NULL,
        embedding_tokens INTEGER DEFAULT 0 NOT NULL,
        metadata TEXT,
        at_us INTEGER NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_token_usages_agent_id_event_id UNIQUE (agent_id, event_id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_token_usages_agent_id_at_us ON token_usages (agent_id, at_us)",
    "CREATE INDEX ix_token_usages_conversation_pk ON token_usages (conversation_pk)",
    """
    CREATE TABLE action_logs (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        message_id INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        parent_event_id BLOB,
        started_at_us INTEGER,
        ended_at_us INTEGER,
        duration_ms FLOAT,
        tools_used TEXT,
        response TEXT,
        error_message TEXT,
        metadata TEXT,
        PRIMARY KEY (id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_action_logs_conversation_pk ON action_logs (conversation_pk)",
    "CREATE INDEX ix_action_logs_message_id ON action_logs (message_id)",
    """
    CREATE TABLE attachments (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        message_id INTEGER NOT NULL,
        type TEXT NOT NULL,
        filename TEXT NOT NULL,
        mime_type TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_attachments_conversation_pk ON attachments (conversation_pk)",
    "CREATE INDEX ix_attachments_message_id ON attachments (message_id)",
    "CREATE INDEX ix_attachments_sha256 ON attachments (sha256)",
    """
    CREATE TABLE buttons (
        id INTEGER NOT NULL,
        agent_id INTEGER NOT NULL,
        conversation_pk INTEGER NOT NULL,
        message_id INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        button_event TEXT NOT NULL,
        label TEXT NOT NULL,
        value TEXT NOT NULL,
        metadata TEXT,
        PRIMARY KEY (id),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_buttons_conversation_pk ON buttons (conversation_pk)",
    "CREATE INDEX ix_buttons_message_id ON buttons (message_id)",
)
