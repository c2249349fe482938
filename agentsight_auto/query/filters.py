"""Turn the documented filters into SQL conditions on conversations.

In: parameters as a caller or a URL gave them. Out: conditions, an ordering, and the parameters as text for URLs.
Loses: a parameter that is not known, which is warned of once per name.

An exact filter compares as it is. A part is found whatever its case: in an ASCII part the ASCII letters are folded, as
LIKE does it; in any other all letters, with the store's ``casefold`` function.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection

from agentsight_auto.query import parameters
from agentsight_auto.query.filter_values import Reader, as_text
from agentsight_auto.query.insight_filters import INSIGHT_READERS, narrow_by_insights, read_insight_filters
from agentsight_auto.query.lifecycle import Lifecycle, Rules
from agentsight_auto.query.members import (
    MEMBER_FILTERS,
    Condition,
    Members,
    contains,
    narrow,
    read_conditions,
    read_members,
)
from agentsight_auto.query.pages import Ordering, parse_ordering
from agentsight_auto.store.schema import conversations

logger = logging.getLogger("agentsight_auto.query")

_MOST_WARNINGS = 1000
_columns = conversations.c
_warned: set[str] = set()


@dataclass(frozen=True)
class Filters:
    """What a query asks for."""

    own_conditions: Sequence[Condition]
    members: Sequence[Members]
    ordering: Ordering
    parameters: Mapping[str, str]
    """The filters as text, in the order given, for `next` and `previous`."""
    names_environment: bool = False
    agent_id: int = 0
    insight_conditions: Sequence[Condition] = ()
    """Conditions on what was found out about a conversation, see `insight_filters`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values of the extra parameters that the caller of `parse_filters` named."""

    def conditions(self, connection: Connection) -> list[Condition]:
        """Return all conditions, in the form that suits what is in the store now."""
        found = narrow_by_insights(connection, self.agent_id, self.insight_conditions)
        return [*self.own_conditions, *found, *narrow(connection, self.members)]


def _exact(column: ColumnElement[Any]) -> Reader:
    return lambda name, value: column == parameters.read_text(name, value)


def _part(column: ColumnElement[Any]) -> Reader:
    return lambda name, value: contains(column, parameters.read_text(name, value))


def _environment(name: str, value: Any) -> Condition:
    return _columns.environment == parameters.read_environment(name, value)


def _is_marked(name: str, value: Any) -> Condition:
    return _columns.is_marked == parameters.read_flag(name, value)


def _started_after(name: str, value: Any) -> Condition:
    return _columns.started_at_us >= parameters.read_moment_us(name, value)


def _started_before(name: str, value: Any) -> Condition:
    return _columns.started_at_us <= parameters.read_moment_us(name, value)


_OWN: Mapping[str, Reader] = {
    "conversation_id": _exact(_columns.conversation_id),
    "customer_id": _exact(_columns.customer_id),
    "customer_id__icontains": _part(_columns.customer_id),
    "name": _part(_columns.name),
    "device": _exact(_columns.device),
    "source": _exact(_columns.source),
    "language": _exact(_columns.language),
    "customer_ip_address": _exact(_columns.customer_ip_address),
    "environment": _environment,
    "env": _environment,
    "is_marked": _is_marked,
    "started_at_after": _started_after,
    "started_at_before": _started_before,
}
KNOWN_FILTERS = (*_OWN, *MEMBER_FILTERS, *INSIGHT_READERS, "include_deleted", "ordering")
_KNOWN_PARAMETERS = (*KNOWN_FILTERS, "page", "page_size", "cursor")


def parse_filters(
    filters: Mapping[str, Any],
    *,
    agent_id: int,
    options: Mapping[str, Reader] | None = None,
    rules: Rules = Rules(),  # noqa: B008 - immutable
) -> Filters:
    """Read all filters; None counts as not given. `options` reads further parameters that are no conditions.

    What is found belongs to the agent, and is not deleted unless `include_deleted` says otherwise.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    readers = options or {}
    conditions: list[Condition] = [_columns.agent_id == agent_id]
    if not parameters.read_flag("include_deleted", given.get("include_deleted", False)):
        conditions.append(_columns.is_deleted.is_(False))
    conditions += [read(name, given[name]) for name, read in _OWN.items() if name in given]
    conditions += read_conditions(given, agent_id)
    members = read_members(given, agent_id)
    ordering = parse_ordering(given["ordering"]) if "ordering" in given else Ordering()
    for name in given.keys() - set(KNOWN_FILTERS) - readers.keys():
        _warn_of_unknown(name)
    return Filters(
        own_conditions=conditions,
        members=members,
        ordering=ordering,
        parameters={name: as_text(name, value) for name, value in given.items() if name in KNOWN_FILTERS},
        names_environment="environment" in given or "env" in given,
        agent_id=agent_id,
        insight_conditions=read_insight_filters(given, Lifecycle(rules, agent_id)),
        options={name: read(name, given[name]) for name, read in readers.items() if name in given},
    )


def _warn_of_unknown(name: str) -> None:
    if name in _warned or len(_warned) >= _MOST_WARNINGS:
        return
    _warned.add(name)
    nearest = difflib.get_close_matches(name[:60], _KNOWN_PARAMETERS, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the filters are {', '.join(KNOWN_FILTERS)}"
    logger.warning("The filter %s is not known and was ignored; %s.", parameters.shown(name), hint)
