"""The numbers: each with its definition, beside that of the period before, and the conversations behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

from starlette.responses import Response

from agentsight_auto.query.board.board import Board
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import RANGES, Asked, read_asked
from agentsight_auto.server.dashboard.chosen import chips
from agentsight_auto.server.dashboard.languages import NO_VALUE
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
from agentsight_auto.server.dashboard.views.conversations import volume
from agentsight_auto.server.dashboard.visits import Visit

PATH = "/numbers/"
DEFAULT_RANGE = "30d"
_BETTER_UP = frozenset({"containment_rate", "resolution_rate", "satisfaction", "use_rate"})
_BETTER_DOWN = frozenset({
    "escalation_rate", "escalated_conversations", "abandonment_rate", "abandoned_after_failure_rate", "unanswered_rate",
    "left_asking_rate", "repeated_rate", "repeated_messages", "loop_rate", "action_errors", "action_error_rate",
    "first_response_p50_ms", "first_response_p95_ms", "response_p50_ms", "response_p95_ms", "average_response_ms",
    "cost_per_conversation", "unpriced_calls",
})  # fmt: skip
COLUMNS = (
    ("containment_rate", "ratio"), ("escalation_rate", "ratio"), ("average_response_ms", "ms"),
    ("satisfaction", "ratio"), ("cost_per_conversation", "usd"),
)  # fmt: skip
_DIMENSIONS = {"source": "source", "device": "device", "language": "language", "country": "country"}
_MOST_ROWS = 12


def show(visit: Visit) -> Response:
    """Show the numbers of a stretch of time."""
    asked = read_asked(visit, DEFAULT_RANGE)
    found = Board(visit.backend).metrics(asked.filters, zone=visit.texts.zone_name)
    cards = [_card(visit, asked, metric) for metric in found["metrics"]]
    return page(
        visit,
        "numbers.html",
        asked=asked,
        ranges=RANGES,
        groups=[(name, list(group)) for name, group in groupby(cards, key=lambda card: card["group"])],
        has_any=bool(found["metrics"][0]["value"]),
        behind=found["behind"],
        volume=volume(visit, asked, PATH),
        breakdowns=[_breakdown(visit, asked, name, rows) for name, rows in found["by"].items()],
        columns=COLUMNS,
        hours=_hours(visit, found["peak_hours"]),
        chips=chips(visit, asked, PATH),
    )


def write(visit: Visit, unit: str, value: float | None) -> str:
    """Write a number in its unit; a dash for one that there is not."""
    if value is None:
        return NO_VALUE
    texts = visit.texts
    writers: Mapping[str, Callable[[float], str]] = {"ratio": texts.percent, "ms": texts.duration, "usd": texts.money}
    return writers.get(unit, texts.compact)(value)


def _card(visit: Visit, asked: Asked, metric: Mapping[str, Any]) -> dict[str, Any]:
    name, unit, value, before = metric["name"], metric["unit"], metric["value"], metric["before"]
    change = metric["change"]
    if unit == "ratio" and value is not None and before is not None:
        change = value - before
    better = None if not change or name not in _BETTER_UP | _BETTER_DOWN else (change > 0) == (name in _BETTER_UP)
    return {
        "name": name,
        "group": metric["group"],
        "title": visit.texts.own(f"metric_{name}", metric["title"]),
        "definition": visit.texts.own(f"define_{name}", metric["definition"]),
        "value": write(visit, unit, value),
        "before": None if before is None else write(visit, unit, before),
        "change": None if change is None else _signed(visit, change),
        "is_better": better,
        "href": None if metric["filter"] is None or not value else asked.url("/", **metric["filter"]),
    }


def _signed(visit: Visit, change: float) -> str:
    sign = "+" if change > 0 else "\u2212" if change < 0 else "±"
    return sign + visit.texts.percent(abs(change))


def _breakdown(visit: Visit, asked: Asked, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    texts = visit.texts
    words: dict[str, Callable[[Any], str]] = {
        "language": texts.language_name,
        "country": texts.country,
        "hour": lambda hour: f"{hour:02}:00",
        "weekday": texts.weekday,
    }
    if name in _DIMENSIONS:
        found = found[:_MOST_ROWS]
    most = max((row["conversations"] for row in found), default=0)
    rows = [
        {
            "label": texts.t("unknown") if row["value"] is None else words.get(name, str)(row["value"]),
            "count": row["conversations"],
            "bar": charts.share(row["conversations"], most),
            "cells": [write(visit, unit, row.get(column)) for column, unit in COLUMNS],
            "href": asked.url("/", **{_DIMENSIONS[name]: row["value"]})
            if name in _DIMENSIONS and row["value"]
            else None,
        }
        for row in found
    ]
    return {"name": name, "rows": [row for row in rows if row["count"] or name == "weekday"]}


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
