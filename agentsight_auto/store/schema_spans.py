"""The tables behind the newer clients: archived spans, usage of models, named actions, feedback of further kinds.

They belong to `schema.metadata` and follow its conventions.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from agentsight_auto.store.schema import Big, metadata


def _agent() -> Column[int]:
    return Column("agent_id", Big, ForeignKey("agents.id"), nullable=False)


def _conversation(*, nullable: bool = False) -> Column[int]:
    return Column("conversation_pk", Big, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=nullable)


def _count(name: str) -> Column[int]:
    return Column(name, Big, nullable=False, server_default=text("0"))


spans = Table(
    "spans",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    Column("span_id", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("parent_span_id", Text),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("started_at_us", Big, nullable=False),
    Column("ended_at_us", Big),
    Column("duration_ms", Float),
    Column("status", Text, nullable=False, comment="ok, error or unset"),
    Column("attributes", Text, nullable=False, comment="JSON object"),
    Column("events", Text, nullable=False, comment="JSON list"),
    Column("rest", Text, nullable=False, comment="JSON object: the span as sent, without attributes and events"),
    UniqueConstraint(
        "agent_id", "span_id", "conversation_pk"
    ),  # in this order it finds a span without its conversation
    Index(None, "conversation_pk", "started_at_us", "id"),
    Index(None, "agent_id", "started_at_us", "id"),
    Index(None, "agent_id", "trace_id"),
    Index(None, "agent_id", "kind", "started_at_us", "id"),
)

model_usages = Table(
    "model_usages",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    Column("token_usage_id", Big, ForeignKey("token_usages.id", ondelete="CASCADE"), nullable=False),
    Column("turn_id", Text, comment="span id of the turn; null for calls outside one"),
    Column("model", Text, nullable=False),
    _count("cache_read_tokens"),
    _count("cache_write_tokens"),
    _count("reasoning_tokens"),
    _count("audio_input_tokens"),
    _count("audio_output_tokens"),
    _count("calls"),
    _count("unreported_calls"),
    Column("incomplete", Boolean, nullable=False, server_default=false()),
    Column("incomplete_reason", Text),
    Column("started_at_us", Big, nullable=False),
    Column("ended_at_us", Big, nullable=False),
    UniqueConstraint("token_usage_id"),
    Index(None, "conversation_pk", "turn_id"),
)

actions = Table(
    "actions",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    UniqueConstraint("agent_id", "name"),
)

further_feedbacks = Table(
    "further_feedbacks",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(nullable=True),
    Column("message_id", Big, ForeignKey("messages.id", ondelete="CASCADE"), comment="one judgement per message"),
    Column("event_id", LargeBinary(16), nullable=False),
    Column("kind", Text, nullable=False, comment="agent or message"),
    Column("sentiment", Text, nullable=False, comment="positive, neutral or negative"),
    Column("comment", Text),
    Column("topic", Text),
    Column("reason", Text),
    Column("environment", Text, comment="of kind agent; that of a message is its conversation's"),
    Column("created_at_us", Big, nullable=False),
    UniqueConstraint("agent_id", "event_id"),
    UniqueConstraint("message_id"),
    Index(None, "conversation_pk"),
    Index(None, "agent_id", "created_at_us"),
    sqlite_autoincrement=True,  # the migration lets it begin above 2**40: no id means two feedbacks
)
