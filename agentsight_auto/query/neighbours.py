"""Which conversations stand before and after one in a filtered list.

In: filters, a conversation. Out: database ids. Loses: nothing; a conversation that the filters leave out still has
neighbours: those between which it would stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from agentsight_auto.query.filters import parse_filters
from agentsight_auto.query.pages import Place, fetch_page
from agentsight_auto.query.plan import plan_page
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import conversations


def neighbours(database: Database, agent_id: int, filters: Mapping[str, Any], pk: int) -> tuple[int | None, int | None]:
    """Return the ids of the conversations before and after this one; None where there is none.

    Raises:
        InvalidQueryException: a filter that cannot be read.
    """
    wanted = parse_filters(filters, agent_id=agent_id)
    found: list[int | None] = []
    with database.read() as connection:
        row = connection.execute(select(conversations).where(conversations.c.id == pk)).one()
        ways = plan_page(connection, wanted.asked)
        for backwards in (True, False):
            place = Place(wanted.ordering, backwards, *wanted.ordering.key(row))
            page = fetch_page(connection, ways, ordering=wanted.ordering, number=1, size=1, place=place)
            found.append(page.rows[0].id if page.rows else None)
    return found[0], found[1]
