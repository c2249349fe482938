"""Who is signed in to the dashboard. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE sessions (
        id_hash BLOB NOT NULL,
        agent_id INTEGER NOT NULL,
        key_id INTEGER NOT NULL,
        created_at_us INTEGER NOT NULL,
        seen_at_us INTEGER NOT NULL,
        PRIMARY KEY (id_hash),
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(key_id) REFERENCES api_keys (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_sessions_key_id ON sessions (key_id)",
)
