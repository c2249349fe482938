"""The numbers by one origin, by hour or by weekday: a row for each value, and the conversations behind each number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import MULTIPLE, Asked
from agentsight_auto.server.dashboard.chosen import words_of
from agentsight_auto.server.dashboard.languages import Texts
from agentsight_auto.server.dashboard.visits import Visit

COLUMNS = (
    "containment_rate", "escalation_rate", "satisfaction", "first_response_p50_ms", "first_response_p95_ms",
    "response_p50_ms", "response_p95_ms", "cost_per_conversation",
)  # fmt: skip
"""What a breakdown says of each value, beside how many conversations it has."""
_MOST_ROWS = 25


def rows_of(visit: Visit, asked: Asked, by: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of one breakdown of `Board.metrics`; those of an origin lead to its conversations."""
    rows = found["by"][by]
    shown = [row for row in (rows[:_MOST_ROWS] if by in MULTIPLE else rows) if row["conversations"] or by == "weekday"]
    most = max((row["conversations"] for row in shown), default=0)
    metrics = {metric["name"]: metric for metric in found["metrics"]}
    return [_row(visit, asked, by, row, most, metrics) for row in shown]


def _row(
    visit: Visit, asked: Asked, by: str, row: Mapping[str, Any], most: int, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    value = row["value"]
    here = {by: (value,)} if by in MULTIPLE and value else {}
    cells = []
    for name in COLUMNS:
        number, behind = row.get(name), metrics[name]["filter"]
        if name.endswith("_ms") and number is not None:
            behind = dict.fromkeys(behind, str(int(number) - 1))  # as long as this, or longer
        href = asked.url("/", **here, **behind) if here and number else None
        cells.append({"value": visit.texts.measure(metrics[name]["unit"], number), "href": href})
    return {
        "label": _label(visit.texts, by, value),
        "count": row["conversations"],
        "bar": charts.share(row["conversations"], most),
        "href": asked.url("/", **here) if here else None,
        "cells": cells,
    }


def _label(texts: Texts, by: str, value: Any) -> str:
    if value is None:
        return texts.t("unknown")
    if by == "hour":
        return f"{value:02}:00"
    return texts.weekday(value) if by == "weekday" else words_of(texts, by, value)
