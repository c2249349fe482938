"""Days summed up, what makes a sum void, and more lists by index. Never edited, later migrations build on it."""

from __future__ import annotations

_FORGET = "DELETE FROM day_numbers WHERE agent_id = {0}.agent_id AND day = {0}.started_at_us / 86400000000;"
_OLD, _NEW = _FORGET.format("OLD"), _FORGET.format("NEW")
_COUNTED = ("is_deleted", "environment", "device", "source", "language", "started_at_us", "agent_id")

_RARE = (
    ("failed", "error_count"), ("satisfied", "positive_count"), ("dissatisfied", "negative_count"),
    ("unpriced", "unpriced_count"),
)  # fmt: skip

STATEMENTS = (
    *(
        f"CREATE INDEX ix_insights_{name} ON insights (agent_id, conversation_pk) WHERE {column} > 0"
        for name, column in _RARE
    ),
    """
    CREATE TABLE day_numbers (
        agent_id INTEGER NOT NULL,
        day INTEGER NOT NULL,
        environment TEXT NOT NULL,
        rules TEXT NOT NULL,
        quiet_at_us INTEGER NOT NULL,
        quarters BLOB NOT NULL,
        document BLOB NOT NULL,
        PRIMARY KEY (agent_id, day, environment),
        FOREIGN KEY(agent_id) REFERENCES agents (id)
    )
    """,
    # Whatever is stored of a conversation makes it due, a new one too.
    """
    CREATE TRIGGER day_numbers_due AFTER INSERT ON insights_due BEGIN
        DELETE FROM day_numbers WHERE agent_id = NEW.agent_id AND day = (
            SELECT started_at_us / 86400000000 FROM conversations WHERE id = NEW.conversation_pk);
    END
    """,
    f"CREATE TRIGGER day_numbers_gone AFTER DELETE ON conversations BEGIN {_OLD} END",
    f"""
    CREATE TRIGGER day_numbers_changed AFTER UPDATE OF {", ".join(_COUNTED)} ON conversations
        WHEN {" OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _COUNTED)} BEGIN {_OLD} {_NEW} END
    """,
    # What an action is called decides who was handed over.
    """
    CREATE TRIGGER day_numbers_renamed AFTER UPDATE OF action_name ON conversation_actions BEGIN
        DELETE FROM day_numbers WHERE agent_id = NEW.agent_id;
    END
    """,
)
