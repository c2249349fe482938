"""Read what actions are called, and how they went.

In: filters of a URL. Out: the documented shapes. Loses: logs of one action beyond the newest `MOST_LOGS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.conversations import Shape, json_value
from agentsight_auto.query.lists import Listed, Place, fetch_rows, read_order
from agentsight_auto.query.texts import contains
from agentsight_auto.store.bulk import in_slices
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import action_logs, conversations, messages
from agentsight_auto.store.schema_spans import actions

FILTERS = ("display_name", "name", "name__icontains", "ordering", "search")
MOST_LOGS = 1000

_ORDERABLE = {"id": actions.c.id, "name": actions.c.name, "display_name": actions.c.display_name}


def list_actions(database: Database, agent_id: int, given: Mapping[str, str], place: Place) -> Listed:
    """Return one page of actions, by name.

    Raises:
        InvalidQueryException: a filter that cannot be read.
        NotFoundException: there is no such page.
    """
    conditions = [actions.c.agent_id == agent_id]
    conditions += [actions.c[name] == given[name] for name in ("name", "display_name") if name in given]
    if "name__icontains" in given:
        conditions.append(contains(actions.c.name, given["name__icontains"]))
    if "search" in given:
        fields = (actions.c.name, actions.c.display_name, actions.c.description)
        conditions.append(or_(*(contains(field, given["search"]) for field in fields)))
    order = read_order(given, _ORDERABLE, actions.c.id, "name")
    with database.read() as connection:
        rows, total = fetch_rows(connection, select(actions).where(*conditions), order, place)
    return Listed([_shape(row) for row in rows], total)


def fetch_action(database: Database, agent_id: int, action_id: int) -> Shape:
    """Return one action.

    Raises:
        NotFoundException: this agent has no such action.
    """
    with database.read() as connection:
        return _shape(_row(connection, agent_id, action_id))


def fetch_logs(database: Database, agent_id: int, action_id: int) -> list[Shape]:
    """Return how the action went, the newest first.

    Raises:
        NotFoundException: this agent has no such action.
    """
    with database.read() as connection:
        action = _row(connection, agent_id, action_id)
        query = (
            select(action_logs)
            .join(messages, messages.c.id == action_logs.c.message_id)
            .join(conversations, conversations.c.id == messages.c.conversation_pk)
            .where(
                messages.c.agent_id == agent_id,
                messages.c.action_name == action.name,
                conversations.c.is_deleted.is_(False),
            )
            .order_by(messages.c.at_us.desc(), messages.c.id.desc())
            .limit(MOST_LOGS)
        )
        rows = connection.execute(query).all()
    return [_log(row, action_id) for row in rows]


def action_ids(connection: Connection, agent_id: int, names: Sequence[str]) -> dict[str, int]:
    """Return the ids of the actions of these names."""
    query = select(actions.c.name, actions.c.id).where(actions.c.agent_id == agent_id)
    return {row.name: row.id for row in in_slices(connection, query, actions.c.name, names)}


def _row(connection: Connection, agent_id: int, action_id: int) -> Row[Any]:
    own = (actions.c.agent_id == agent_id, actions.c.id == action_id)
    row = connection.execute(select(actions).where(*own)).one_or_none()
    if row is None:
        raise NotFoundException(f"There is no action {action_id}.")
    return row


def _shape(row: Row[Any]) -> Shape:
    return {
        "id": row.id,
        "name": row.name,
        "display_name": row.display_name,
        "description": row.description,
        "agent": row.agent_id,
    }


def _log(row: Row[Any], action_id: int) -> Shape:
    return {
        "id": row.id,
        "action": action_id,
        "message": row.message_id,
        "conversation": row.conversation_pk,
        "started_at": None if row.started_at_us is None else iso_from_us(row.started_at_us),
        "ended_at": None if row.ended_at_us is None else iso_from_us(row.ended_at_us),
        "duration_ms": row.duration_ms,
        "tools_used": json_value(row.tools_used),
        "response": json_value(row.response),
        "error_message": row.error_message or "",
        "metadata": json_value(row.metadata) or {},
    }
