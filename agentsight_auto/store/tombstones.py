"""Tombstones: what was erased does not come back with an event that was on its way.

In: ids of conversations and customers, events. Out: which of the events are of something erased.
Loses: events captured up to the moment of the erasure, on purpose; later ones are stored as a new conversation.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from agentsight_auto.events import AnyEvent, ConversationStarted
from agentsight_auto.store.bulk import in_slices
from agentsight_auto.store.schema_erasure import tombstones

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def digest_of(subject: str, value: str) -> bytes:
    """Return what is kept of an erased id: the SHA-256 of ``conversation`` or ``customer``, NUL, the id."""
    return hashlib.sha256(f"{subject}\0{value}".encode("utf-8", "replace")).digest()


def bury(connection: Connection, agent_id: int, digests: Iterable[bytes], erased_at_us: int) -> None:
    """Refuse from now on what was captured up to this moment; the latest moment counts."""
    statement = insert(tombstones)
    statement = statement.on_conflict_do_update(
        index_elements=["agent_id", "digest"],
        set_={"erased_at_us": statement.excluded.erased_at_us},
        where=statement.excluded.erased_at_us > tombstones.c.erased_at_us,
    )
    rows = [{"agent_id": agent_id, "digest": digest, "erased_at_us": erased_at_us} for digest in digests]
    if rows:
        connection.execute(statement, rows)


def is_buried(connection: Connection, agent_id: int, conversation_id: str, at_us: int) -> bool:
    """Tell whether what was captured at this moment is of an erased conversation."""
    digest = digest_of("conversation", conversation_id)
    return at_us <= _moments(connection, agent_id, [digest]).get(digest, -1)


def erased_among(connection: Connection, agent_id: int, events: Sequence[AnyEvent]) -> set[int]:
    """Return the places of those events that are of something erased.

    A conversation that says it is an erased customer's is erased with all that comes with it, and stays so.
    """
    if connection.exec_driver_sql("SELECT 1 FROM tombstones WHERE agent_id = ? LIMIT 1", (agent_id,)).first() is None:
        return set()
    by_conversation = {event.conversation_id: digest_of("conversation", event.conversation_id) for event in events}
    by_customer = {
        event.customer_id: digest_of("customer", event.customer_id)
        for event in events
        if isinstance(event, ConversationStarted) and event.customer_id is not None
    }
    moments = _moments(connection, agent_id, [*by_conversation.values(), *by_customer.values()])
    if not moments:
        return set()
    erased_until = {name: moments.get(digest, -1) for name, digest in by_conversation.items()}
    for event in events:
        if isinstance(event, ConversationStarted) and event.customer_id is not None:
            at_us = moments.get(by_customer[event.customer_id], -1)
            if erased_until[event.conversation_id] < at_us and event.at_us <= at_us:
                erased_until[event.conversation_id] = at_us
                bury(connection, agent_id, [by_conversation[event.conversation_id]], at_us)
    return {place for place, event in enumerate(events) if event.at_us <= erased_until[event.conversation_id]}


def _moments(connection: Connection, agent_id: int, digests: Sequence[bytes]) -> dict[bytes, int]:
    query = select(tombstones.c.digest, tombstones.c.erased_at_us).where(tombstones.c.agent_id == agent_id)
    return {row[0]: row[1] for row in in_slices(connection, query, tombstones.c.digest, digests)}
