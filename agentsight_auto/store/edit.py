"""Explicit edits of a conversation: they overwrite what is known, and no event takes them back.

In: an agent, a database id and new values. Out: the documented answer, a dict.
Loses: the values that were there before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, select, update

from agentsight_auto._clock import iso_from_us
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.store import known_at
from agentsight_auto.store.conversation_rows import write_metadata_values
from agentsight_auto.store.conversation_state import EDITED, FIELDS
from agentsight_auto.store.metadata_index import encode_json
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.search_index import change_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentsight_auto.store.database import Database

UPDATABLE = ("name", "is_marked", "customer_id", "device", "language", "metadata")
"""The fields that `update_conversation` takes, in the order in which it names them."""

MAX_ROW_ID = 2**63 - 1


def resolve(connection: Connection, agent_id: int, conversation_id: int | str) -> int:
    """Return the database id: an int is one already, text is the conversation id even if it is digits.

    Raises:
        NotFoundException: this agent has no such conversation; a soft-deleted one is found.
    """
    query = select(conversations.c.id).where(conversations.c.agent_id == agent_id)
    if isinstance(conversation_id, str):
        query = query.where(conversations.c.conversation_id == conversation_id)
    elif 0 < conversation_id <= MAX_ROW_ID:
        query = query.where(conversations.c.id == conversation_id)
    else:
        raise _not_found(conversation_id)
    try:
        found = connection.execute(query).scalar()
    except UnicodeEncodeError:  # a lone surrogate: nothing of that name can be stored
        found = None
    if found is None:
        raise _not_found(conversation_id)
    return int(found)


def rename_conversation(database: Database, agent_id: int, pk: int, name: str) -> dict[str, Any]:
    """Set the name; return ``{id, conversation_id, name}``."""
    return _edit(database, agent_id, pk, {"name": name})


def mark_conversation(database: Database, agent_id: int, pk: int, is_marked: bool) -> dict[str, Any]:
    """Set or remove the mark; return ``{id, conversation_id, is_marked}``."""
    return _edit(database, agent_id, pk, {"is_marked": is_marked})


def update_conversation(database: Database, agent_id: int, pk: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Set some of `UPDATABLE`; metadata replaces the whole document.

    Returns:
        ``{id, conversation_id, <changed fields>, updated_fields: [...]}``.
    """
    ordered = {field: changes[field] for field in UPDATABLE if field in changes}
    return {**_edit(database, agent_id, pk, ordered), "updated_fields": list(ordered)}


def delete_conversation(database: Database, agent_id: int, pk: int) -> dict[str, Any]:
    """Hide the conversation; one that is hidden already keeps its moment of deletion.

    Returns:
        ``{id, conversation_id, is_deleted, deleted_at}``, the moment in ISO 8601.
    """
    with database.write() as connection:
        row = _row(connection, agent_id, pk)
        deleted_at_us = row.deleted_at_us if row.is_deleted and row.deleted_at_us is not None else _now_us()
        connection.execute(
            update(conversations).where(conversations.c.id == pk).values(is_deleted=True, deleted_at_us=deleted_at_us)
        )
    return {
        "id": pk,
        "conversation_id": row.conversation_id,
        "is_deleted": True,
        "deleted_at": iso_from_us(deleted_at_us),
    }


def _edit(database: Database, agent_id: int, pk: int, changes: dict[str, Any]) -> dict[str, Any]:
    with database.write() as connection:
        row = overwrite(connection, agent_id, pk, changes)
    return {"id": pk, "conversation_id": row.conversation_id, **changes}


def overwrite(
    connection: Connection, agent_id: int, pk: int, changes: Mapping[str, Any], also: Mapping[str, Any] | None = None
) -> Any:
    """Set fields inside a `write` block, and the columns `also` with them; return the row as it was.

    Raises:
        NotFoundException: this agent has no such conversation.
    """
    row = _row(connection, agent_id, pk)
    fields = {field: getattr(row, field) for field in FIELDS}
    metadata = None if row.metadata is None else msgspec.json.decode(row.metadata)
    known = known_at.decode(row.known_at, fields, metadata, row.started_at_us)
    values = {**changes, **(also or {})}
    known.update({field: EDITED for field in changes if field not in {"is_marked", "metadata"}})
    if "metadata" in changes:
        metadata = changes["metadata"]
        values["metadata"] = None if metadata is None else encode_json(metadata).decode()
        known = _known_after_replacement(known, metadata or {})
        write_metadata_values(connection, agent_id, pk, metadata)
    fields.update((field, changes[field]) for field in FIELDS if field in changes)
    values["known_at"] = known_at.encode(known, fields, metadata, row.started_at_us)
    connection.execute(update(conversations).where(conversations.c.id == pk).values(values))
    before = (row.conversation_id, row.name, row.customer_id)
    after = (row.conversation_id, changes.get("name", row.name), changes.get("customer_id", row.customer_id))
    change_names(connection, agent_id, [(pk, before, after)])
    return row


def _known_after_replacement(known: dict[str, int], document: dict[str, Any]) -> dict[str, int]:
    """Events from before this moment no longer add keys; later ones add keys that the new document has not."""
    kept = {name: at_us for name, at_us in known.items() if not name.startswith("metadata.")}
    return kept | {"metadata": _now_us()} | {f"metadata.{key}": EDITED for key in document}


def _row(connection: Connection, agent_id: int, pk: int) -> Any:
    row = connection.execute(
        select(conversations).where(conversations.c.agent_id == agent_id, conversations.c.id == pk)
    ).one_or_none()
    if row is None:
        raise _not_found(pk)
    return row


def _now_us() -> int:
    return time.time_ns() // 1000


def _not_found(conversation_id: int | str) -> NotFoundException:
    return NotFoundException(f"There is no conversation {conversation_id!r:.300}.")
