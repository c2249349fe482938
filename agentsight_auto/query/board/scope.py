"""Which conversations a question is about: filters, the rule on development, the period.

In: filters. Out: a `Scope`. Loses: nothing; what was left out is part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, and_, case, func, select

from agentsight_auto.query import parameters
from agentsight_auto.query.expressions import unindexed
from agentsight_auto.query.filters import Filters, parse_filters
from agentsight_auto.query.lifecycle import Condition, Lifecycle, Rules
from agentsight_auto.query.plan import WINDOW, Asked, Ways, plan_all
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import insights

EXAMINED: FromClause = conversations.join(insights, insights.c.conversation_pk == conversations.c.id)
"""Conversations with what was found out about them."""
_MOST_READ = 30_000
_OVERVIEW = frozenset({"environment", "device", "source", "language", "is_marked"})


@dataclass(frozen=True)
class Scope:
    """Conditions on `EXAMINED`, and which environments they count and leave out."""

    filters: Filters
    life: Lifecycle
    conditions: list[Condition]
    counted: list[str]
    left_out: list[str]

    @property
    def environments(self) -> dict[str, list[str]]:
        """Return ``{"counted", "left_out"}``."""
        return {"counted": self.counted, "left_out": self.left_out}


def open_scope(
    connection: Connection,
    filters: Mapping[str, Any],
    *,
    agent_id: int,
    rules: Rules,
    include_development: bool = True,
    now_us: int | None = None,
) -> Scope:
    """Read the filters.

    Unless `include_development`, or a filter names an environment, development is left out when production matches too.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    wanted = parse_filters(filters, agent_id=agent_id, rules=rules)
    conditions = scan(connection, wanted)
    column = conversations.c.environment
    found: list[str] = []
    left_out: list[str] = []
    if not include_development:
        by_value = unindexed(column)  # else the index of all environments is gone through from end to end
        found = sorted(connection.execute(select(column).where(*conditions).group_by(by_value)).scalars())
        if {"production", "development"} <= set(found) and not wanted.names_environment:
            left_out = ["development"]
            conditions = [*conditions, column != "development"]
    counted = [slug for slug in found if slug not in left_out]
    return Scope(wanted, Lifecycle(rules, agent_id, now_us), conditions, counted, left_out)


def scan(connection: Connection, filters: Filters) -> list[Condition]:
    """Return the conditions for all that match, to be gone through with the columns of a list's overview.

    A stretch of time is gone through in the index that holds those columns, whatever else narrows it: what another
    index finds has to be looked up row by row.
    """
    asked = filters.asked
    in_overview = all(exact.column.key in _OVERVIEW for exact in asked.exacts)
    if in_overview and not asked.members and "started_at_after" in filters.parameters:
        checks = [exact.checked() for exact in asked.exacts]
        return [conversations.c.agent_id == asked.agent_id, *asked.row_conditions, *checks]
    return plan_all(connection, asked)


def read_period(filters: Mapping[str, Any], now_us: int) -> tuple[int | None, int]:
    """Return from and until in microseconds; from is None where the filters give none."""
    start, end = filters.get("started_at_after"), filters.get("started_at_before")
    from_us = None if start is None else parameters.read_moment_us("started_at_after", start)
    until_us = now_us if end is None else parameters.read_moment_us("started_at_before", end)
    return from_us, until_us


def count_up_to(connection: Connection, conditions: list[Condition], most: int) -> int:
    """Count conversations, and stop at `most`."""
    found = select(conversations.c.id).where(*conditions).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def count_listed(connection: Connection, asked: Asked, ways: Ways, most: int) -> tuple[int, bool]:
    """Count what matches, up to `most`, and tell whether that is all; reading stops somewhere.

    Where many conversations fulfil a condition on what is in them, `_MOST_READ` of those are read, or, where several
    things are asked, the newest `WINDOW` conversations.
    """
    if ways.ids is not None or not ways.probes:
        conditions = ways.walk if ways.gather is None else [*ways.gather, *ways.probes]
        count = count_up_to(connection, conditions, most + 1)
        return min(count, most), count <= most
    (member, *others) = asked.members
    if member.is_exact and member.is_distinct and not others and not asked.exacts:
        read = member.subquery.limit(_MOST_READ).subquery()
        joined = select(conversations.c.id).join(read, read.c[0] == conversations.c.id).where(*asked.row_conditions)
        found = joined.limit(most + 1).subquery()
        count = connection.execute(select(func.count()).select_from(found)).scalar_one()
        number = connection.execute(select(func.count()).select_from(read)).scalar_one() if count <= most else 0
        return min(count, most), 0 < number < _MOST_READ
    column = conversations.c
    newest = select(column.id).where(*ways.own).order_by(column.started_at_us.desc(), column.id.desc()).limit(WINDOW)
    matching = func.count(case((and_(*(each.probe for each in asked.members)), 1)))
    read_number, count = connection.execute(select(func.count(), matching).where(column.id.in_(newest))).one()
    return min(count, most), count <= most and read_number < WINDOW
