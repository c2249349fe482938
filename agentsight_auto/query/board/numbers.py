"""The metrics of a period: totals, quantiles, by origin, hour and weekday, beside the period before.

In: filters, a time zone. Out: one plain dict. Loses: nothing; conversations that wait to be examined are told as
`behind`. `query.definitions` says what each number means.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Any

from sqlalchemy import Connection, case, func, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query import parameters
from agentsight_auto.query.board.days import Period, gather_days, gather_days_by_quarter
from agentsight_auto.query.board.parts import PER_HOUR, Part, fold_groups, names_of, times_of
from agentsight_auto.query.board.scope import EXAMINED, Scope, open_scope, read_period
from agentsight_auto.query.board.times import (
    BREAKDOWNS,
    ORIGINS,
    Times,
    quantile,
    read_times,
    with_times,
)  # fmt: skip
from agentsight_auto.query.definitions import METRICS, Metric
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import insights

_MOST_VALUES = 100
_MOST_CUSTOMERS = 20
Sums = Mapping[str, float]


def compute_metrics(
    connection: Connection,
    filters: Mapping[str, Any],
    *,
    agent_id: int,
    rules: Rules,
    zone: tzinfo = timezone.utc,
    compare: bool = True,
    include_development: bool = False,
    times_by: str | None = None,
    now_us: int,
) -> dict[str, Any]:
    """Return the metrics of the conversations that match; see `Board.metrics` for the shape.

    Raises:
        InvalidQueryException: a filter that cannot be read, a breakdown that there is not.
    """
    if times_by is not None and times_by not in BREAKDOWNS:
        raise parameters.unreadable("by", times_by, f"one of {', '.join(BREAKDOWNS)}")
    known: dict[str, Any] = {
        "agent_id": agent_id,
        "rules": rules,
        "include_development": include_development,
        "now_us": now_us,
    }
    from_us, until_us = read_period(filters, now_us)
    period = Period(from_us, until_us if filters.get("started_at_before") is not None else None)
    scope = open_scope(connection, filters, **known)
    parts = list(gather_days(connection, scope, period))
    groups = fold_groups(parts, names_of(scope.life))
    totals = _fold(sums_of for _, sums_of in groups)
    times = times_of(parts)
    times_by_value = read_times(connection, scope, times_by, zone)[1] if times_by else {}
    before = None
    if compare and from_us is not None and from_us < until_us:
        bounds = {"started_at_after": 2 * from_us - until_us - 1, "started_at_before": from_us - 1}
        earlier = {**filters, **{name: iso_from_us(max(at_us, 0)) for name, at_us in bounds.items()}}
        earlier_period = Period(*(max(at_us, 0) for at_us in bounds.values()))
        before = _numbers(connection, open_scope(connection, earlier, **known), earlier_period), earlier
    by_quarter = [
        (quarter, dict(zip(PER_HOUR, values, strict=True)))
        for quarter, values in gather_days_by_quarter(connection, scope, period).items()
    ]
    return {
        "period": {"from": None if from_us is None else iso_from_us(from_us), "until": iso_from_us(until_us)},
        "before": None
        if before is None
        else {"from": before[1]["started_at_after"], "until": before[1]["started_at_before"]},
        "environments": scope.environments,
        "metrics": [_shape(metric, totals, times, None if before is None else before[0]) for metric in METRICS],
        "by": with_times({**_origin_rows(groups), **_clock_rows(by_quarter, zone)}, times_by, times_by_value),
        "days": _days(by_quarter, zone),
        "peak_hours": _peak_hours(parts, zone),
        "customers": _customers(connection, scope),
        "world": [
            {"country": row["value"], "conversations": row["conversations"]}
            for row in _origin_rows(groups)["country"]
            if row["value"] is not None
        ],
    }


# -- reading ---------------------------------------------------------------------------------------------------------


def _numbers(connection: Connection, scope: Scope, period: Period) -> tuple[Sums, Times]:
    parts = list(gather_days(connection, scope, period))
    return _fold(sums_of for _, sums_of in fold_groups(parts, names_of(scope.life))), times_of(parts)


def _peak_hours(parts: Iterable[Part], zone: tzinfo) -> list[dict[str, int]]:
    """Count messages by weekday (0 is Monday) and hour in which they were said."""
    counted: Counter[tuple[int, int]] = Counter()
    for part in parts:
        for hour, messages in part.hours.items():
            moment = datetime.fromtimestamp(hour * 3600, zone)
            counted[moment.weekday(), moment.hour] += messages
    return [{"weekday": weekday, "hour": hour, "messages": count} for (weekday, hour), count in sorted(counted.items())]


def _customers(connection: Connection, scope: Scope) -> list[dict[str, Any]]:
    customer = conversations.c.customer_id
    escalated = func.count(case((scope.life.was_escalated, 1)))
    counts = (func.count().label("conversations"), func.sum(insights.c.human_count), escalated)
    statement = select(customer, *counts).select_from(EXAMINED).where(*scope.conditions, customer.is_not(None))
    ordered = statement.group_by(customer).order_by(func.count().desc(), customer).limit(_MOST_CUSTOMERS)
    return [
        {"customer_id": name, "conversations": count, "messages": messages, "escalated": handed_over}
        for name, count, messages, handed_over in connection.execute(ordered)
    ]


# -- folding ---------------------------------------------------------------------------------------------------------


def _fold(parts: Iterable[Sums]) -> Sums:
    total: defaultdict[str, float] = defaultdict(int)
    for part in parts:
        for name, value in part.items():
            total[name] += value
    return total


def _origin_rows(groups: Sequence[tuple[tuple[Any, ...], Sums]]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for place, name in enumerate(ORIGINS):
        by_value: defaultdict[Any, list[Sums]] = defaultdict(list)
        for values, part in groups:
            by_value[values[place]].append(part)
        folded = sorted(
            ((value, _fold(parts)) for value, parts in by_value.items()),
            key=lambda item: (-item[1]["conversations"], item[0] is None, str(item[0])),
        )
        rows[name] = [_row(value, value, part) for value, part in folded[:_MOST_VALUES]]
    return rows


def _clock_rows(quarters: Sequence[tuple[int, Sums]], zone: tzinfo) -> dict[str, list[dict[str, Any]]]:
    by_hour: defaultdict[int, list[Sums]] = defaultdict(list)
    by_weekday: defaultdict[int, list[Sums]] = defaultdict(list)
    for quarter, part in quarters:
        moment = datetime.fromtimestamp(quarter * 900, zone)
        by_hour[moment.hour].append(part)
        by_weekday[moment.weekday()].append(part)
    return {
        "hour": [_row(hour, f"{hour:02d}:00", _fold(by_hour[hour])) for hour in range(24)],
        "weekday": [_row(day, None, _fold(by_weekday[day])) for day in range(7)],
    }


def _row(value: Any, label: str | None, part: Sums) -> dict[str, Any]:
    named = {
        metric.name: _value(metric, part)
        for metric in METRICS
        if metric.numerator in part and (not metric.denominator or metric.denominator in part)
    }
    return {"value": value, "label": label, "conversations": part.get("conversations", 0), **named}


def _days(quarters: Sequence[tuple[int, Sums]], zone: tzinfo) -> list[dict[str, Any]]:
    by_day: defaultdict[str, list[Sums]] = defaultdict(list)
    for quarter, part in quarters:
        by_day[f"{datetime.fromtimestamp(quarter * 900, zone):%Y-%m-%d}"].append(part)
    return [{"date": day, **{name: _fold(parts)[name] for name in PER_HOUR}} for day, parts in sorted(by_day.items())]


def _value(metric: Metric, part: Sums) -> float | None:
    if metric.denominator:
        return part.get(metric.numerator, 0) / part[metric.denominator] if part.get(metric.denominator) else None
    return part.get(metric.numerator, 0)


def _measured(metric: Metric, totals: Sums, times: Times) -> float | None:
    if not metric.times:
        return _value(metric, totals)
    return quantile(times[metric.times], metric.quantile)


def _shape(
    metric: Metric,
    totals: Sums,
    times: Times,
    before: tuple[Sums, Times] | None,
) -> dict[str, Any]:
    value = _measured(metric, totals, times)
    earlier = None if before is None else _measured(metric, *before)
    change = None if value is None or not earlier else value / earlier - 1
    behind: dict[str, str] = {"insight": metric.insight} if metric.insight else {}
    if metric.times and value is not None:
        name = "first_response_over_ms" if metric.times == "first" else "response_over_ms"
        behind = {name: str(int(value) - 1)}  # as long as this, or longer
    return {
        "name": metric.name,
        "group": metric.group,
        "title": metric.title,
        "definition": metric.definition,
        "unit": metric.unit,
        "value": value,
        "before": earlier,
        "change": change,
        "numerator": totals.get(metric.numerator, 0) if metric.numerator else len(times[metric.times]),
        "denominator": totals.get(metric.denominator, 0) if metric.denominator else None,
        "filter": behind,
    }
