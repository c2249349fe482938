"""Turn the documented filters into SQL conditions on conversations.

In: parameters as a caller or a URL gave them. Out: conditions, an ordering, and the parameters as text for URLs.
Loses: a parameter that is not known, which is warned of once per name.

An exact filter compares as it is, a part is found whatever its case (see `texts`). Which of them leads the way to the
rows is decided by `plan`.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement

from agentsight_auto.query import parameters
from agentsight_auto.query.filter_values import Reader, as_text
from agentsight_auto.query.insight_filters import INSIGHT_FILTERS, read_insight_filters
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.query.members import MEMBER_FILTERS, Condition, read_members
from agentsight_auto.query.ordering import Ordering, parse_ordering
from agentsight_auto.query.plan import Asked, Exact
from agentsight_auto.store.schema import conversations

logger = logging.getLogger("agentsight_auto.query")

_MOST_WARNINGS = 1000
_columns = conversations.c
_warned: set[str] = set()


@dataclass(frozen=True)
class Filters:
    """What a query asks for."""

    asked: Asked
    ordering: Ordering
    parameters: Mapping[str, str]
    """The filters as text, in the order given, for `next` and `previous`."""
    names_environment: bool = False
    only_hides_deleted: bool = False
    """Whether nothing is asked of the row itself but that it is not deleted."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values of the extra parameters that the caller of `parse_filters` named."""


def _started_after(name: str, value: Any) -> Condition:
    return _columns.started_at_us >= parameters.read_moment_us(name, value)


def _started_before(name: str, value: Any) -> Condition:
    return _columns.started_at_us <= parameters.read_moment_us(name, value)


# The first have the rarest values.
_EXACT: Mapping[str, tuple[ColumnElement[Any], Reader]] = {
    "conversation_id": (_columns.conversation_id, parameters.read_text),
    "customer_id": (_columns.customer_id, parameters.read_text),
    "customer_ip_address": (_columns.customer_ip_address, parameters.read_text),
    "device": (_columns.device, parameters.read_text),
    "source": (_columns.source, parameters.read_text),
    "language": (_columns.language, parameters.read_text),
    "environment": (_columns.environment, parameters.read_environment),
    "env": (_columns.environment, parameters.read_environment),
    "has_messages": (_columns.has_messages, parameters.read_flag),
    "has_action": (_columns.has_action, parameters.read_flag),
    "has_feedback": (_columns.has_feedback, parameters.read_flag),
    "is_marked": (_columns.is_marked, parameters.read_flag),
}
_RANGES: Mapping[str, Reader] = {"started_at_after": _started_after, "started_at_before": _started_before}
KNOWN_FILTERS = (
    *_EXACT, *_RANGES, *MEMBER_FILTERS, *INSIGHT_FILTERS, "name", "customer_id__icontains", "include_deleted",
    "ordering",
)  # fmt: skip
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
    exacts = [
        Exact(column, [read(name, value) for value in parameters.each(given[name])])
        for name, (column, read) in _EXACT.items()
        if name in given
    ]
    conditions = [read(name, given[name]) for name, read in _RANGES.items() if name in given]
    hides_deleted = not parameters.read_flag("include_deleted", given.get("include_deleted", False))
    if hides_deleted:
        conditions.append(_columns.is_deleted.is_(False))
    members = [*read_members(given, agent_id), *read_insight_filters(given, rules, agent_id)]
    ordering = parse_ordering(given["ordering"]) if "ordering" in given else Ordering()
    for name in given.keys() - set(KNOWN_FILTERS) - readers.keys():
        _warn_of_unknown(name)
    return Filters(
        asked=Asked(agent_id, exacts, conditions, members, hides_deleted),
        ordering=ordering,
        parameters={name: as_text(name, value) for name, value in given.items() if name in KNOWN_FILTERS},
        only_hides_deleted=len(conditions) == 1 and hides_deleted,
        names_environment="environment" in given or "env" in given,
        options={name: read(name, given[name]) for name, read in readers.items() if name in given},
    )


def _warn_of_unknown(name: str) -> None:
    if name in _warned or len(_warned) >= _MOST_WARNINGS:
        return
    _warned.add(name)
    nearest = difflib.get_close_matches(name[:60], _KNOWN_PARAMETERS, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the filters are {', '.join(KNOWN_FILTERS)}."
    logger.warning("The filter %s is not known and was ignored; %s", parameters.shown(name), hint)
