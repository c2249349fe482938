"""The tables behind the numbers: what was found out about each conversation, and which ones are due.

They belong to `schema.metadata` and follow its conventions.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, LargeBinary, Table, Text, false, text

from agentsight_auto.store.schema import Big, metadata


def _agent(*, in_key: bool = False) -> Column[int]:
    return Column("agent_id", Big, ForeignKey("agents.id"), nullable=False, primary_key=in_key, autoincrement=False)


def _conversation() -> Column[int]:
    place = ForeignKey("conversations.id", ondelete="CASCADE")
    return Column("conversation_pk", Big, place, primary_key=True, autoincrement=False)


def _count(name: str) -> Column[int]:
    return Column(name, Big, nullable=False, server_default=text("0"))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


insights = Table(
    "insights",
    metadata,
    _conversation(),
    _agent(),
    Column("started_at_us", Big, nullable=False),
    Column("last_at_us", Big, nullable=False, comment="of the last entry of the transcript"),
    Column("country", Text),
    _flag("is_used"),
    _count("human_count"),
    _count("agent_count"),
    _count("action_count"),
    _count("error_count"),
    _count("response_count"),
    _count("response_total_ms"),
    Column("first_response_ms", Big),
    Column("longest_response_ms", Big),
    Column("responses_ms", LargeBinary, comment="each response time in ms, 32 bits, little endian"),
    _count("repeated_count"),
    _flag("is_looped"),
    _flag("is_unanswered"),
    _flag("is_left"),
    _flag("is_failed_last"),
    _count("positive_count"),
    _count("neutral_count"),
    _count("negative_count"),
    _count("total_tokens"),
    Column("cost_usd", Float, comment="null while no priced call is known"),
    _count("priced_count"),
    _count("unpriced_count"),
    # What is rare is found by an index of its own.
    *(
        Index(f"ix_insights_{name}", "agent_id", "conversation_pk", sqlite_where=text(condition))
        for name, condition in (
            ("repeated", "repeated_count > 0"),
            ("looped", "is_looped = 1"),
            ("left", "is_left = 1"),
            ("failed_last", "is_failed_last = 1"),
            ("visited", "is_used = 0"),
            ("failed", "error_count > 0"),
            ("satisfied", "positive_count > 0"),
            ("dissatisfied", "negative_count > 0"),
            ("unpriced", "unpriced_count > 0"),
        )
    ),
    Index("ix_insights_country", "agent_id", "country", "conversation_pk", sqlite_where=text("country IS NOT NULL")),
    Index("ix_insights_last", "agent_id", "last_at_us"),
)

ending_actions = Table(
    "ending_actions",
    metadata,
    _agent(in_key=True),
    Column("action_name", Text, primary_key=True, comment="ran after the customer's last message"),
    _conversation(),
    Column("at_us", Big, nullable=False, comment="when it was last recorded"),
    Index("ix_ending_actions_conversation_pk", "conversation_pk"),
    sqlite_with_rowid=False,
)

insights_due = Table("insights_due", metadata, _conversation(), _agent())

day_numbers = Table(  # removed by triggers when a conversation of the day changes, see query.board.days
    "day_numbers",
    metadata,
    _agent(in_key=True),
    Column("day", Big, primary_key=True, autoincrement=False, comment="days since 1970 (UTC) in which they began"),
    Column("environment", Text, primary_key=True, comment="a space: the day is summed up"),
    Column("rules", Text, nullable=False, comment="by which rules, see query.board.days.rules_key"),
    Column("quiet_at_us", Big, nullable=False, comment="since then time changes nothing of it"),
    Column("quarters", LargeBinary, nullable=False, comment="MessagePack"),
    Column("document", LargeBinary, nullable=False, comment="MessagePack"),
)
