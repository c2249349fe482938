"""A smaller index of what was said: messages of the same moment are sorted when they are read. Never edited."""

from __future__ import annotations

STATEMENTS = (
    "CREATE INDEX ix_messages_conversation_pk_at_us ON messages (conversation_pk, at_us)",
    "DROP INDEX ix_messages_conversation_pk_at_us_event_id",
)
