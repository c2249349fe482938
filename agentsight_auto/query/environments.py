"""Which environments an agent's conversations are in.

In: an agent. Out: slugs with the moment of their first conversation. Loses: nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.served_shapes import environment_id
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import conversations

ALWAYS = ("production", "development")
_MOST = 200


def list_environments(database: Database, agent_id: int) -> list[dict[str, Any]]:
    """Return production, development and every other environment in use, in the documented shape."""
    first_us = _first_uses(database, agent_id)
    slugs = [*ALWAYS, *(slug for slug in first_us if slug not in ALWAYS)]
    return [_shape(slug, first_us.get(slug)) for slug in slugs]


def slugs_in_use(database: Database, agent_id: int) -> list[str]:
    """Return the environments that any conversation is in, in alphabetical order."""
    return sorted(_first_uses(database, agent_id))


def is_in_use(database: Database, agent_id: int, slug: str, from_us: int | None, until_us: int | None) -> bool:
    """Tell whether a conversation of this environment, which is not deleted, began in that time."""
    column = conversations.c
    conditions = [column.agent_id == agent_id, column.environment == slug, column.is_deleted.is_(False)]
    if from_us is not None:
        conditions.append(column.started_at_us >= from_us)
    if until_us is not None:
        conditions.append(column.started_at_us <= until_us)
    with database.read() as connection:
        return connection.execute(select(column.id).where(*conditions).limit(1)).one_or_none() is not None


def _first_uses(database: Database, agent_id: int) -> dict[str, int]:
    """Step from one environment to the next in the index that holds them, instead of reading all of it."""
    column, first = conversations.c.environment, conversations.c.started_at_us
    found: dict[str, int] = {}
    query = select(column, first).where(conversations.c.agent_id == agent_id).order_by(column, first).limit(1)
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
        while row is not None and len(found) < _MOST:
            found[row.environment] = row.started_at_us
            row = connection.execute(query.where(column > row.environment)).one_or_none()
    return found


def _shape(slug: str, first_us: int | None) -> dict[str, Any]:
    since = None if first_us is None else iso_from_us(first_us)
    return {
        "id": environment_id(slug),
        "slug": slug,
        "name": slug.replace("-", " ").title(),
        "is_production": slug == "production",
        "created_at": since,
        "updated_at": since,
    }
