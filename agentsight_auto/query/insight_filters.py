"""The filters that ask what was found out about a conversation: status, lists, country, response times.

In: parameters. Out: conditions on `insights`. Loses: nothing; a conversation that was not examined yet matches none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, or_, select

from agentsight_auto.query import parameters
from agentsight_auto.query.filter_values import Reader
from agentsight_auto.query.lifecycle import STATUSES, Condition, Lifecycle, Rules, read_list
from agentsight_auto.query.members import Members, by_subquery
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import insights


def read_status(name: str, value: object) -> str:
    """Read a status."""
    return parameters.read_choice(name, value, STATUSES)


def read_country(name: str, value: object) -> str:
    """Read a country: two letters, in any case."""
    return parameters.read_text(name, value).strip().upper()


INSIGHT_READERS: Mapping[str, Reader] = {
    "status": read_status,
    "insight": read_list,
    "country": read_country,
    "first_response_over_ms": parameters.read_whole_number,
    "response_over_ms": parameters.read_whole_number,
}
"""How the value of each of these filters is read."""


def _over(column: Any) -> Callable[[Lifecycle, Any], Condition]:
    return lambda life, value: and_(insights.c.agent_id == life.agent_id, column > min(max(value, -1), 2**62))


_CONDITIONS: Mapping[str, Callable[[Lifecycle, Any], Condition]] = {
    "status": lambda life, value: life.has_status(value),
    "insight": lambda life, value: life.in_list(value),
    "country": lambda life, value: and_(insights.c.agent_id == life.agent_id, insights.c.country == value),
    "first_response_over_ms": _over(insights.c.first_response_ms),
    "response_over_ms": _over(insights.c.longest_response_ms),
}


INSIGHT_FILTERS = tuple(INSIGHT_READERS)


def read_insight_filters(given: Mapping[str, Any], rules: Rules, agent_id: int) -> list[Members]:
    """Return what the filters that are given ask for.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    named = [name for name in INSIGHT_READERS if name in given]
    if not named:
        return []
    life = Lifecycle(rules, agent_id)
    return [
        _members(
            or_(
                *(_CONDITIONS[name](life, INSIGHT_READERS[name](name, value)) for value in parameters.each(given[name]))
            )
        )
        for name in named
    ]


def _members(condition: Condition) -> Members:
    """Return the conversations of one agent that fulfil a condition; it names the agent."""
    pk = insights.c.conversation_pk
    joined = insights.outerjoin(conversations, conversations.c.id == pk)  # left out where nothing of it is asked
    found = select(pk).select_from(joined).where(condition).correlate(None)
    probe = select(pk).where(pk == conversations.c.id, condition).correlate(conversations).exists()
    return Members(probe, by_subquery(found), found, is_distinct=True)
