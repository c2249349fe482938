"""Whole conversations one after the other, with all that an import needs, and what an import asks first.

In: what is asked for, or ids. Out: an iterator of shapes. Loses: nothing; one that was erased meanwhile is missing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select

from agentsight_auto.query.conversations import Link, load_conversations
from agentsight_auto.query.ordering import Ordering
from agentsight_auto.query.plan import Asked, plan_all
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import conversations, messages

_AT_ONCE = 50
_IDS_PER_STATEMENT = 500


def export_matching(database: Database, asked: Asked, link: Link) -> Iterator[dict[str, Any]]:
    """Yield the conversations that match, the oldest first.

    Which there are and their order is settled at the first step (8 bytes are kept of each); what is in them is read in
    small portions, so that no transaction stays open while the caller works.
    """
    oldest_first = Ordering(is_descending=False).clauses()
    with database.read() as connection:
        statement = select(conversations.c.id).where(*plan_all(connection, asked)).order_by(*oldest_first)
        keys = array("q", connection.execute(statement.execution_options(yield_per=1000)).scalars())
    yield from export_selected(database, asked.agent_id, keys, link)


def export_selected(database: Database, agent_id: int, keys: Sequence[int], link: Link) -> Iterator[dict[str, Any]]:
    """Yield the conversations of these database ids in their order; those of another agent are left out."""
    for start in range(0, len(keys), _AT_ONCE):
        chunk = list(keys[start : start + _AT_ONCE])
        own = (conversations.c.agent_id == agent_id, conversations.c.id.in_(chunk))
        with database.read() as connection:
            by_key = {row.id: row for row in connection.execute(select(conversations).where(*own))}
            rows = [by_key[key] for key in dict.fromkeys(chunk) if key in by_key]
            portion = load_conversations(connection, rows, link, for_export=True)
        yield from portion


def known_event_ids(database: Database, agent_id: int, event_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return, for those events that are stored as messages, the message's id and its conversation's database id."""
    wanted = {raw: text for text in event_ids if (raw := _event_bytes(text)) is not None}
    raws = list(wanted)
    known: dict[str, dict[str, Any]] = {}
    with database.read() as connection:
        for start in range(0, len(raws), _IDS_PER_STATEMENT):
            statement = select(messages.c.event_id, messages.c.id, messages.c.conversation_pk).where(
                messages.c.agent_id == agent_id,
                messages.c.event_id.in_(raws[start : start + _IDS_PER_STATEMENT]),
            )
            for raw, row_id, conversation_pk in connection.execute(statement):
                known[wanted[raw]] = {"id": row_id, "conversation": conversation_pk}
    return known


def _event_bytes(text: object) -> bytes | None:
    """Return the 16 bytes of an event id, or None for what is none."""
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return raw if len(raw) == 16 else None
