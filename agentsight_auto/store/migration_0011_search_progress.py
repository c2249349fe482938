"""How far the search index has come: so far, to the end. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE search_progress (
        id INTEGER NOT NULL,
        messages_until INTEGER NOT NULL,
        conversations_until INTEGER NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    INSERT INTO search_progress (id, messages_until, conversations_until)
        SELECT 1, (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM conversations)
    """,
)
