"""The numbers: each with its definition, beside that of the period before, and the conversations behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from starlette.responses import Response

from agentsight_auto.query.board.board import Board
from agentsight_auto.query.board.times import BREAKDOWNS
from agentsight_auto.query.definitions import METRICS
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import RANGES, Asked, read_asked
from agentsight_auto.server.dashboard.chosen import chips
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
from agentsight_auto.server.dashboard.views.breakdown import COLUMNS, rows_of
from agentsight_auto.server.dashboard.views.conversations import volume
from agentsight_auto.server.dashboard.visits import Visit

PATH = "/numbers/"
DEFAULT_RANGE = "30d"
_BETTER_UP = frozenset({"containment_rate", "resolution_rate", "satisfaction", "use_rate"})
_BETTER_DOWN = frozenset({
    "escalation_rate", "abandonment_rate", "abandoned_after_failure_rate", "unanswered_rate", "left_asking_rate",
    "repeated_rate", "loop_rate", "action_error_rate", "first_response_p50_ms", "first_response_p95_ms",
    "response_p50_ms", "response_p95_ms", "average_response_ms", "cost_per_conversation",
})  # fmt: skip
"""Rates and times alone: more of anything is no worse where there are more conversations."""
_LEAST_CHANGE = 0.0005
_TREND = 60


def show(visit: Visit) -> Response:
    """Show the numbers of a stretch of time."""
    asked = read_asked(visit, DEFAULT_RANGE)
    by = visit.given.get("by", BREAKDOWNS[0])
    found = Board(visit.backend).metrics(asked.filters, zone=visit.texts.zone_name, times_by=by)
    trends = trends_of(found["days"], found["metrics"])
    cards = [_card(visit, asked, metric, trends) for metric in found["metrics"]]
    return page(
        visit,
        "numbers.html",
        asked=asked,
        ranges=RANGES,
        groups=[(name, list(group)) for name, group in groupby(cards, key=lambda card: card["group"])],
        has_any=bool(found["metrics"][0]["value"]),
        behind=found["behind"],
        volume=volume(visit, asked, PATH),
        by=by,
        breakdowns=[(name, asked.url(PATH, by=name)) for name in BREAKDOWNS],
        rows=rows_of(visit, asked, by, found),
        columns=[card for name in COLUMNS for card in cards if card["name"] == name],
        hours=_hours(visit, found["peak_hours"]),
        chips=chips(visit, asked, PATH),
    )


def _card(visit: Visit, asked: Asked, metric: Mapping[str, Any], trends: Mapping[str, Any]) -> dict[str, Any]:
    name, unit, value, before = metric["name"], metric["unit"], metric["value"], metric["before"]
    is_share = unit == "ratio"
    change = value - before if is_share and value is not None and before is not None else metric["change"]
    is_better = None
    if change is not None and abs(change) >= _LEAST_CHANGE and name in _BETTER_UP | _BETTER_DOWN:
        is_better = (change > 0) == (name in _BETTER_UP)
    title = visit.texts.own(f"metric_{name}", metric["title"])
    return {
        "name": name,
        "group": metric["group"],
        "title": title,
        "definition": visit.texts.own(f"define_{name}", metric["definition"]),
        "value": visit.texts.measure(unit, value),
        "before": None if before is None else visit.texts.measure(unit, before),
        "change": None if change is None else _signed(visit, change, is_share=is_share),
        "is_better": is_better,
        "href": None if not value else asked.url("/", **metric["filter"]),
        "trend": charts.line(trends[name], title=visit.texts.t("trend_of", name=title)) if name in trends else None,
    }


def trends_of(days: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return how the numbers that are known by day went, in at most `_TREND` steps; a day without any is a gap."""
    if len(days) < 2:
        return {}
    first, last = (date.fromisoformat(days[place]["date"]) for place in (0, -1))
    length = (last - first).days + 1
    width = -(-length // _TREND)
    sums: list[Counter[str]] = [Counter() for _ in range(-(-length // width))]
    for day in days:
        place = (date.fromisoformat(day["date"]) - first).days // width
        sums[place].update({name: value for name, value in day.items() if name != "date"})
    known = {
        metric.name: (metric.numerator, metric.denominator)
        for metric in METRICS
        if metric.numerator in days[0] and (not metric.denominator or metric.denominator in days[0])
    }
    return {
        metric["name"]: [
            part[over] / part[under] if part[under] else None if under else float(part[over]) for part in sums
        ]
        for metric in metrics
        if metric["name"] in known
        for over, under in [known[metric["name"]]]
    }


def _signed(visit: Visit, change: float, *, is_share: bool) -> str:
    """Write a change; one of a share in points of a hundred, as "2 % more of 10 %" could mean two things."""
    sign = "±" if abs(change) < _LEAST_CHANGE else "+" if change > 0 else "\u2212"
    if is_share:
        return sign + visit.texts.t("points", value=visit.texts.number(abs(change) * 100))
    return sign + visit.texts.percent(abs(change))


def _hours(visit: Visit, peaks: list[dict[str, int]]) -> Any:
    """Return messages by weekday and hour, in the reader's zone."""
    if not peaks:
        return None
    cells = [[0.0] * 24 for _ in range(7)]
    for peak in peaks:
        cells[peak["weekday"]][peak["hour"]] += peak["messages"]
    rows = [(visit.texts.weekday(day), cells[day]) for day in range(7)]
    cell = visit.texts.t("heat_cell", row="{row}", column="{column}", value="{value}")
    return charts.heat(rows, [f"{hour:02}" for hour in range(24)], title=visit.texts.t("peak_hours"), cell=cell)


PAGES = (Page("GET", PATH, show),)
