"""How long answers took: all single times of a period, together and by one breakdown.

In: a scope. Out: sorted milliseconds, and their quantiles. Loses: nothing.
"""

from __future__ import annotations

import sys
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from itertools import chain
from typing import Any

from sqlalchemy import Connection, literal, select

from agentsight_auto.query.board.scope import EXAMINED, Scope
from agentsight_auto.query.definitions import METRICS
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import insights

ORIGIN_COLUMNS: Mapping[str, Any] = {
    "source": conversations.c.source, "device": conversations.c.device, "language": conversations.c.language,
    "country": insights.c.country,
}  # fmt: skip
ORIGINS, CLOCK = tuple(ORIGIN_COLUMNS), ("hour", "weekday")
BREAKDOWNS = (*ORIGINS, *CLOCK)
QUARTER_US = 900_000_000

Times = Mapping[str, Sequence[int]]


def read_times(
    connection: Connection, scope: Scope, by: str | None = None, zone: tzinfo = timezone.utc
) -> tuple[Times, dict[Any, Times]]:
    """Return the response times in order, of each conversation the first and each of all: together, and `by` value."""
    place: Any = {**ORIGIN_COLUMNS, **dict.fromkeys(CLOCK, conversations.c.started_at_us // QUARTER_US)}.get(by or "")
    found: defaultdict[Any, tuple[list[int], array[int]]] = defaultdict(lambda: ([], array("I")))
    wanted = (insights.c.first_response_ms, insights.c.responses_ms, literal(None) if place is None else place)
    statement = select(*wanted).select_from(EXAMINED).where(*scope.conditions, insights.c.response_count > 0)
    for first_ms, packed, value in connection.execute(statement):
        first, each = found[value]
        first.append(first_ms)
        each.frombytes(packed)
    if sys.byteorder == "big":
        for _, each in found.values():
            each.byteswap()
    by_value: defaultdict[Any, list[tuple[list[int], array[int]]]] = defaultdict(list)
    for value, pair in found.items():
        by_value[_on_the_clock(by, value, zone)].append(pair)
    return _in_order(found.values()), {value: _in_order(pairs) for value, pairs in by_value.items()} if by else {}


def _in_order(pairs: Iterable[tuple[Iterable[int], Iterable[int]]]) -> Times:
    kept = list(pairs)
    return {
        "first": sorted(chain.from_iterable(first for first, _ in kept)),
        "each": sorted(chain.from_iterable(each for _, each in kept)),
    }


def _on_the_clock(by: str | None, value: Any, zone: tzinfo) -> Any:
    """Return the hour or the weekday of a quarter of an hour; another value as it is."""
    if by not in CLOCK:
        return value
    moment = datetime.fromtimestamp(value * 900, zone)
    return moment.hour if by == "hour" else moment.weekday()


def with_times(
    rows: dict[str, list[dict[str, Any]]], by: str | None, times_of: Mapping[Any, Times]
) -> dict[str, list[dict[str, Any]]]:
    """Add the quantiles of response times to the rows of one breakdown."""
    empty: Times = {"first": (), "each": ()}
    for row in rows[by] if by else ():
        times = times_of.get(row["value"], empty)
        row.update({metric.name: quantile(times[metric.times], metric.quantile) for metric in METRICS if metric.times})
    return rows


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed (nearest rank)."""
    if not ordered:
        return None
    rank = -(-len(ordered) * round(share * 100) // 100)
    return ordered[max(rank, 1) - 1]
