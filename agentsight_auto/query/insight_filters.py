"""The filters that ask what was found out about a conversation: status, lists, country, response times.

In: parameters. Out: conditions on `insights`. Loses: nothing; a conversation that was not examined yet matches none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from agentsight_auto.query import parameters
from agentsight_auto.query.filter_values import Reader
from agentsight_auto.query.lifecycle import STATUSES, Condition, Lifecycle, read_list
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import insights

_FEW = 500


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
    return lambda life, value: column > min(max(value, -1), 2**62)


_CONDITIONS: Mapping[str, Callable[[Lifecycle, Any], Condition]] = {
    "status": lambda life, value: life.has_status(value),
    "insight": lambda life, value: life.in_list(value),
    "country": lambda life, value: insights.c.country == value,
    "first_response_over_ms": _over(insights.c.first_response_ms),
    "response_over_ms": _over(insights.c.longest_response_ms),
}


def read_insight_filters(given: Mapping[str, Any], life: Lifecycle) -> list[Condition]:
    """Return the conditions on `insights` of the filters that are given.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    return [_CONDITIONS[name](life, read(name, given[name])) for name, read in INSIGHT_READERS.items() if name in given]


def narrow_by_insights(connection: Connection, agent_id: int, conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions as ones on conversations: by id where they find few, else tried one by one.

    What finds many is met soon by whoever walks the conversations in order, what finds few has an index.
    """
    if not conditions:
        return []
    joined = insights.join(conversations, conversations.c.id == insights.c.conversation_pk)
    of_agent = insights.c.agent_id == agent_id
    found = select(insights.c.conversation_pk).select_from(joined).where(of_agent, *conditions).limit(_FEW + 1)
    few = connection.execute(found).scalars().all()
    if len(few) <= _FEW:
        return [conversations.c.id.in_(few)]
    there = select(insights.c.conversation_pk).where(insights.c.conversation_pk == conversations.c.id, *conditions)
    return [there.correlate(conversations).exists()]
