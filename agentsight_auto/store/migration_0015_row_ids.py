"""Indexes that name the row id no more, which ends every entry anyway. Never edited, later migrations build on it."""

from __future__ import annotations

_COLUMNS = (
    "customer_id", "customer_ip_address", "device", "source", "language", "environment", "has_messages", "has_action",
    "has_feedback", "is_marked",
)  # fmt: skip
_CONDITIONS = {"is_marked": " WHERE is_marked = 1"}

STATEMENTS = (
    *(f"DROP INDEX ix_conversations_{name}" for name in _COLUMNS),
    *(
        f"CREATE INDEX ix_conversations_{name} ON conversations (agent_id, {name}, is_deleted, started_at_us)"
        f"{_CONDITIONS.get(name, '')}"
        for name in _COLUMNS
    ),
    "DROP INDEX ix_insights_last",
    "CREATE INDEX ix_insights_last ON insights (agent_id, last_at_us)",
)
