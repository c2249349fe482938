"""The list of conversations, and what arrives while somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.environments import list_environments
from agentsight_auto.query.volume import count_over_time
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import EVERYTHING, RANGES, Asked, cursor_of, read_asked
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page, safe_headers
from agentsight_auto.server.dashboard.summaries import summarise
from agentsight_auto.server.dashboard.visits import Visit

PAGE_SIZE = 30
_MOST_NEW = 99
_DAY_US = 86_400_000_000
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
        volume=volume(visit, asked),
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


def volume(visit: Visit, asked: Asked, path: str = "/") -> Any:
    """Return the strip of conversations over time; each bar leads to its stretch."""
    texts = visit.texts
    offset = datetime.now(texts.zone).utcoffset() or timedelta()
    offset_us = round(offset.total_seconds() * 1_000_000)
    found = count_over_time(visit.service.database, visit.backend.agent_id, asked.filters, offset_us=offset_us)
    if found is None:
        return None
    write = texts.when if found.step_us < _DAY_US else (lambda moment: texts.day(moment, "medium"))
    items = []
    for number, count in enumerate(found.counts):
        begin_us = found.begin_us + number * found.step_us
        begin, end = iso_from_us(begin_us), iso_from_us(begin_us + found.step_us - 1)
        label = f"{write(begin)}: {texts.n('conversations', count)}"
        items.append(charts.Bar(count, label, asked.url(path, **{"from": begin, "to": end, "range": None}), begin, end))
    return {
        "chart": charts.bars(items, title=texts.t("volume")),
        "first": write(items[0].begin),
        "last": write(items[-1].end),
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
