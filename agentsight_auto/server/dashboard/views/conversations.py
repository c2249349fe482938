"""The list of conversations, and what arrives while somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query.environments import list_environments
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import EVERYTHING, RANGES, Asked, cursor_of, read_asked, utc_text
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page, safe_headers
from agentsight_auto.server.dashboard.summaries import summarise
from agentsight_auto.server.dashboard.visits import Visit

PAGE_SIZE = 30
_MOST_NEW = 99
_MOST_BARS = 90
_FACETS = ("device", "source", "language")


def show(visit: Visit) -> Response:
    """Show one page of the list."""
    asked = read_asked(visit)
    environments = with_environment(visit, asked)
    found = visit.backend.fetch_conversations(
        page=1, page_size=PAGE_SIZE, cursor=visit.given.get("cursor"), filters=asked.filters
    )
    rows = [summarise(shape, asked.given.get("search", "")) for shape in found["results"]]
    stats = visit.backend.stats({**asked.filters, "include_development": True})
    newer, older = cursor_of(found["previous"]), cursor_of(found["next"])
    return page(
        visit,
        "conversations.html",
        asked=asked,
        rows=rows,
        total=found["count"],
        newer=None if newer is None else asked.url("/", cursor=newer),
        older=None if older is None else asked.url("/", cursor=older),
        newest=rows[0].shape if rows and visit.given.get("cursor") is None else None,
        ranges=RANGES,
        volume=volume(visit, asked, stats["conversations_per_day"]),
        facets=_facets(visit, asked, stats, environments),
        is_filtered=bool(set(asked.given) - {"ordering"}),
        is_new=not rows and not has_any(visit),
        environment=asked.filters.get("environment"),
    )


def with_environment(visit: Visit, asked: Asked) -> list[str]:
    """Leave development out where there is production and nobody has chosen; return the environments that there are."""
    slugs = [
        item["slug"] for item in list_environments(visit.service.database, visit.backend.agent_id) if item["created_at"]
    ]
    if "environment" not in asked.given and "production" in slugs and len(slugs) > 1:
        asked.filters["environment"] = "production"
    return slugs


def has_any(visit: Visit) -> bool:
    """Tell whether anything was recorded at all."""
    found = visit.backend.fetch_conversations(page_size=1, count=False, full=False, filters={"include_deleted": True})
    return bool(found["results"])


def volume(visit: Visit, asked: Asked, days: Sequence[dict[str, Any]]) -> Any:
    """Return the strip of conversations over time; each bar leads to its stretch."""
    if not days:
        return None
    counted = {date.fromisoformat(day["date"]): day["conversations"] for day in days}
    first, last = min(counted), max(counted)
    if asked.begin is not None:
        first = min(first, asked.begin.date())
    step = max(1, -(-((last - first).days + 1) // _MOST_BARS))
    items = []
    for offset in range(0, (last - first).days + 1, step):
        begin = first + timedelta(days=offset)
        count = sum(counted.get(begin + timedelta(days=more), 0) for more in range(step))
        start = datetime(begin.year, begin.month, begin.day, tzinfo=timezone.utc)
        span = utc_text(start), utc_text(start + timedelta(days=step) - timedelta(microseconds=1))
        label = f"{visit.texts.skeleton(start, 'yMMMd')}: {visit.texts.n('conversations', count)}"
        href = asked.url("/", **{"from": span[0], "to": span[1], "range": None})
        items.append(charts.Bar(count, label, href, *span))
    return {
        "chart": charts.bars(items, title=visit.texts.t("volume")),
        "first": visit.texts.skeleton(datetime(first.year, first.month, first.day, tzinfo=timezone.utc), "yMMMd"),
        "last": visit.texts.skeleton(datetime(last.year, last.month, last.day, tzinfo=timezone.utc), "yMMMd"),
    }


def _facets(visit: Visit, asked: Asked, stats: dict[str, Any], environments: list[str]) -> list[dict[str, Any]]:
    texts = visit.texts
    chosen = asked.filters.get("environment", EVERYTHING)
    facets = [
        {
            "name": "environment",
            "values": [
                {"value": slug, "label": slug, "count": None, "is_on": slug == chosen,
                 "href": asked.url("/", environment=slug)}
                for slug in environments
            ]
            + [{"value": EVERYTHING, "label": texts.t("everything"), "count": None, "is_on": chosen == EVERYTHING,
                "href": asked.url("/", environment=EVERYTHING)}],
        }
    ]  # fmt: skip
    for name in _FACETS:
        counted = [(row[name], row["conversations"]) for row in stats[f"by_{name}"] if row[name]]
        facets.append(_facet(asked, name, counted, texts.language_name if name == "language" else str))
    facets.append(_facet(asked, "action_name", [(row["action_name"], row["calls"]) for row in stats["actions"]], str))
    judged = [(name, stats["feedbacks"][name]) for name in ("positive", "neutral", "negative")]
    facets.append(_facet(asked, "feedback_sentiment", judged, lambda word: texts.t(f"sentiment_{word}")))
    facets.append(_facet(asked, "is_marked", [("true", None)], lambda _: texts.t("marked")))
    return [facet for facet in facets if facet["values"]]


def _facet(asked: Asked, name: str, counted: Sequence[tuple[str, int | None]], word: Any) -> dict[str, Any]:
    current = asked.given.get(name)
    if current is not None and current not in {value for value, _ in counted}:
        counted = [(current, 0), *counted]
    values = [
        {
            "value": value, "label": word(value), "count": count, "is_on": value == current,
            "href": asked.url("/", **{name: None if value == current else value}),
        }
        for value, count in counted if count != 0 or value == current
    ]  # fmt: skip
    return {"name": name, "values": values}


def new_ones(visit: Visit) -> Response:
    """Tell how many conversations have begun since the newest one that a page shows."""
    asked = read_asked(visit)
    with_environment(visit, asked)
    known, after = visit.given.get("known", ""), visit.given.get("after", "")
    filters = {**asked.filters, "started_at_after": after or asked.filters.get("started_at_after"), "ordering": None}
    found = visit.backend.fetch_conversations(page_size=_MOST_NEW + 1, count=False, full=False, filters=filters)
    new = [row for row in found["results"] if str(row["id"]) != known]
    count = min(len(new), _MOST_NEW)
    body = {"count": count, "text": visit.texts.n("new_conversations", count)}
    return Response(msgspec.json.encode(body), 200, safe_headers(visit), "application/json")


PAGES = (Page("GET", "/", show), Page("GET", "/new/", new_ones))
