"""The tables of erasure: what was erased, what must not come back, and what is still to be removed.

They belong to `schema.metadata` and follow its conventions. None of them holds an id or a word of a customer.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text, text

from agentsight_auto.store.schema import Big, metadata


def _count(name: str) -> Column[int]:
    return Column(name, Big, nullable=False, server_default=text("0"))


tombstones = Table(
    "tombstones",
    metadata,
    Column("agent_id", Big, ForeignKey("agents.id"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(32), primary_key=True, comment="see tombstones.digest_of"),
    Column("erased_at_us", Big, nullable=False, comment="events captured up to this moment are not stored again"),
    sqlite_with_rowid=False,
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Big, primary_key=True),
    Column("agent_id", Big, ForeignKey("agents.id"), nullable=False),
    Column("subject", Text, nullable=False, comment="conversation, customer or retention"),
    Column("requested_at_us", Big, nullable=False),
    Column("finished_at_us", Big, comment="null while something is still to be removed"),
    _count("conversation_count"),
    _count("message_count"),
    _count("attachment_count"),
    Index(None, "agent_id", "id"),
    sqlite_autoincrement=True,  # a receipt's number is never given to another one
)

erasing = Table(
    "erasing",
    metadata,
    Column(
        "conversation_pk",
        Big,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("agent_id", Big, ForeignKey("agents.id"), nullable=False),
    Column("erasure_id", Big, ForeignKey("erasures.id"), nullable=False),
    Index(None, "erasure_id"),
)
