"""Erasure: receipts, tombstones and what is still to be removed. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE tombstones (
        agent_id INTEGER NOT NULL,
        digest BLOB NOT NULL,
        erased_at_us INTEGER NOT NULL,
        PRIMARY KEY (agent_id, digest),
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE erasures (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        agent_id INTEGER NOT NULL,
        subject TEXT NOT NULL,
        requested_at_us INTEGER NOT NULL,
        finished_at_us INTEGER,
        conversation_count INTEGER DEFAULT 0 NOT NULL,
        message_count INTEGER DEFAULT 0 NOT NULL,
        attachment_count INTEGER DEFAULT 0 NOT NULL,
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    "CREATE INDEX ix_erasures_agent_id_id ON erasures (agent_id, id)",
    """
    CREATE TABLE erasing (
        conversation_pk INTEGER NOT NULL PRIMARY KEY,
        agent_id INTEGER NOT NULL,
        erasure_id INTEGER NOT NULL,
        FOREIGN KEY(conversation_pk) REFERENCES conversations (id) ON DELETE CASCADE,
        FOREIGN KEY(agent_id) REFERENCES agents (id),
        FOREIGN KEY(erasure_id) REFERENCES erasures (id)
    )
    """,
    "CREATE INDEX ix_erasing_erasure_id ON erasing (erasure_id)",
)
