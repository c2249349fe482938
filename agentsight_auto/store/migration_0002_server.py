"""What the server keeps beside the conversations: the API keys. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE api_keys (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        agent_id INTEGER NOT NULL,
        key_hash BLOB NOT NULL,
        hint TEXT NOT NULL,
        role TEXT NOT NULL,
        created_at_us INTEGER NOT NULL,
        last_used_at_us INTEGER,
        revoked_at_us INTEGER,
        CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash),
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    "CREATE INDEX ix_api_keys_agent_id ON api_keys (agent_id)",
)
