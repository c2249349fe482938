"""The numbers: each with its definition, beside that of the period before, and the conversations behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.responses import Response

from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import RANGES, Asked, read_asked, utc_text
from agentsight_auto.server.dashboard.languages import NO_VALUE
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
from agentsight_auto.server.dashboard.views.conversations import volume, with_environment
from agentsight_auto.server.dashboard.visits import Visit

PATH = "/numbers/"
_DEFAULT_RANGE = "30d"


@dataclass(frozen=True)
class Card:
    """One number: how it comes out of the metrics, how it is written, and which filter finds what is behind it.

    `rising` says whether more of it is good (1), bad (-1) or neither (0).
    """

    name: str
    value: Callable[[Mapping[str, Any]], float | None]
    form: str = "count"
    behind: Mapping[str, str] | None = None
    rising: int = 0


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None


CARDS = (
    Card("conversations", lambda s: s["conversations"], behind={}),
    Card("customers", lambda s: s["customers"], behind={}),
    Card("messages", lambda s: s["messages"], behind={"has_messages": "true"}),
    Card("containment", lambda s: None if s["escalation_rate"] is None else 1 - s["escalation_rate"], "share", None, 1),
    Card("escalation", lambda s: s["escalation_rate"], "share", None, -1),
    Card("response", lambda s: s["average_response_ms"], "duration", None, -1),
    Card("length", lambda s: s["average_conversation_ms"], "duration"),
    Card("action_errors", lambda s: _ratio(s["action_errors"], s["action_calls"]), "share", {"has_action": "true"}, -1),
    Card("satisfaction", lambda s: _ratio(s["feedbacks"]["positive"], sum(s["feedbacks"].values())), "share",
         {"has_feedback": "true"}, 1),
    Card("tokens", lambda s: _ratio(s["tokens"]["total_tokens"], s["used_conversations"]), "count"),
)  # fmt: skip


def show(visit: Visit) -> Response:
    """Show the numbers of a stretch of time."""
    asked = _asked(visit)
    with_environment(visit, asked)
    filters = {**asked.filters, "include_development": True}
    now = visit.backend.stats(filters)
    before = _before(visit, asked)
    return page(
        visit,
        "numbers.html",
        asked=asked,
        ranges=RANGES,
        cards=[_card(visit, asked, card, now, before) for card in CARDS],
        has_any=bool(now["conversations"]),
        volume=volume(visit, asked, PATH),
        breakdowns=[_breakdown(visit, asked, name, now) for name in ("source", "device", "language", "country")],
        hours=_hours(visit, now["peak_hours"]),
        environment=asked.filters.get("environment"),
    )


def _asked(visit: Visit) -> Asked:
    asked = read_asked(visit)
    if asked.begin is None and asked.end is None and "range" not in asked.given:
        asked.given["range"] = _DEFAULT_RANGE
        begin = datetime.now(timezone.utc) - timedelta(days=RANGES[_DEFAULT_RANGE])
        asked = Asked(asked.given, {**asked.filters, "started_at_after": utc_text(begin)}, begin, None)
    return asked


def _before(visit: Visit, asked: Asked) -> Mapping[str, Any] | None:
    """Return the metrics of the stretch of the same length before this one; None where there is no beginning."""
    if asked.begin is None:
        return None
    end = asked.end or datetime.now(timezone.utc)
    stretch = {
        "started_at_after": utc_text(asked.begin - (end - asked.begin)),
        "started_at_before": utc_text(asked.begin),
    }
    return visit.backend.stats({**asked.filters, **stretch, "include_development": True})


def write(visit: Visit, form: str, value: float | None) -> str:
    """Write a number in its form; a dash for one that there is not."""
    if value is None:
        return NO_VALUE
    texts = visit.texts
    writers: Mapping[str, Callable[[float], str]] = {
        "share": texts.percent,
        "duration": texts.duration,
        "money": texts.money,
    }
    return writers.get(form, texts.compact)(value)


def _card(
    visit: Visit, asked: Asked, card: Card, now: Mapping[str, Any], before: Mapping[str, Any] | None
) -> dict[str, Any]:
    value, earlier = card.value(now), None if before is None else card.value(before)
    change = None
    if value is not None and earlier:
        change = value - earlier if card.form == "share" else value / earlier - 1
    better = None if not change or not card.rising else (change > 0) == (card.rising > 0)
    return {
        "name": card.name,
        "value": write(visit, card.form, value),
        "before": None if earlier is None else write(visit, card.form, earlier),
        "change": None if change is None else _signed(visit, change),
        "is_better": better,
        "href": None if card.behind is None else asked.url("/", **card.behind),
    }


def _signed(visit: Visit, change: float) -> str:
    sign = "+" if change > 0 else "\u2212" if change < 0 else "±"
    return sign + visit.texts.percent(abs(change))


def _breakdown(visit: Visit, asked: Asked, name: str, stats: Mapping[str, Any]) -> dict[str, Any]:
    counted = [(row[name], row["conversations"]) for row in stats[f"by_{name}"]]
    most = max((count for _, count in counted), default=0)
    words = {"language": visit.texts.language_name, "country": visit.texts.country}
    rows = [
        {
            "label": words.get(name, str)(value) if value else visit.texts.t("unknown"),
            "count": count, "bar": charts.share(count, most),
            "href": asked.url("/", **{name: value}) if value and name != "country" else None,
        }
        for value, count in counted[:12]
    ]  # fmt: skip
    return {"name": name, "rows": rows}


def _hours(visit: Visit, peaks: list[dict[str, int]]) -> Any:
    """Return messages by weekday and hour, in the reader's zone as it is now."""
    if not peaks:
        return None
    offset = datetime.now(visit.texts.zone).utcoffset() or timedelta()
    shift = round(offset.total_seconds() / 3600)
    cells = [[0.0] * 24 for _ in range(7)]
    for peak in peaks:
        moved = peak["weekday"] * 24 + peak["hour"] + shift
        cells[moved // 24 % 7][moved % 24] += peak["messages"]
    rows = [(visit.texts.weekday(day), cells[day]) for day in range(7)]
    cell = visit.texts.t("heat_cell", row="{row}", column="{column}", value="{value}")
    return charts.heat(rows, [f"{hour:02}" for hour in range(24)], title=visit.texts.t("peak_hours"), cell=cell)


PAGES = (Page("GET", PATH, show),)
