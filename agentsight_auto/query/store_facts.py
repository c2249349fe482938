"""How large a store is, and what of it waits to be examined.

In: a database. Out: a plain dict. Loses: nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import func, select

from agentsight_auto.query.lifecycle import has_generated_id
from agentsight_auto.store.database import Database
from agentsight_auto.store.insights import count_due
from agentsight_auto.store.schema import conversations, feedbacks, messages, token_usages


def store_facts(database: Database, agent_id: int) -> dict[str, Any]:
    """Return schema version, size in bytes with its journal, and counts.

    ``entries`` are all messages, actions, buttons, attachments, feedbacks and token usages that the store has taken in,
    of all agents, those that were erased since mostly included. ``implicit_conversations`` are those whose id was
    generated, as nobody named the conversation.
    """
    size_bytes = 0
    for suffix in ("", "-wal"):
        with suppress(OSError):
            size_bytes += database.path.with_name(database.path.name + suffix).stat().st_size
    own = conversations.c.agent_id == agent_id
    with database.read() as connection:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        entries = sum(
            connection.execute(select(func.max(table.c.id))).scalar() or 0
            for table in (messages, feedbacks, token_usages)
        )
        return {
            "schema_version": version,
            "store": {
                "path": str(database.path),
                "size_bytes": size_bytes,
                "conversations": connection.execute(
                    select(func.count()).select_from(conversations).where(own)
                ).scalar(),
                "entries": entries,
            },
            "implicit_conversations": connection.execute(
                select(func.count()).select_from(conversations).where(own, has_generated_id)
            ).scalar(),
            "behind": count_due(connection),
        }
