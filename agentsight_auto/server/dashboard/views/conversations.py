"""The list of conversations, and what arrives while somebody looks at it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query.board.board import Board
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import EVERYTHING, RANGES, Asked, read_asked
from agentsight_auto.server.dashboard.chosen import chips, words_of
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page, safe_headers
from agentsight_auto.server.dashboard.visits import Visit

PAGE_SIZE = 30
_BUCKETS = 90
_DAY_S = 86_400


def show(visit: Visit) -> Response:
    """Show one page of the list."""
    asked = read_asked(visit)
    board, cursor = Board(visit.backend), visit.given.get("cursor")
    found = board.conversations(asked.filters, page_size=PAGE_SIZE, cursor=cursor)
    newer, older = found["previous"], found["next"]
    return page(
        visit,
        "conversations.html",
        asked=asked,
        rows=found["results"],
        total=found["count"],
        is_exact=found["count_is_exact"],
        newer=None if newer is None else asked.url("/", cursor=newer),
        older=None if older is None else asked.url("/", cursor=older),
        newest=found["newest"] if cursor is None else None,
        ranges=RANGES,
        volume=volume(visit, asked),
        facets=_facets(visit, asked, board.facets(asked.filters)["facets"]),
        chips=chips(visit, asked, "/"),
        is_new=not found["results"] and not has_any(visit),
    )


def has_any(visit: Visit) -> bool:
    """Tell whether anything was recorded at all."""
    found = visit.backend.fetch_conversations(page_size=1, count=False, full=False, filters={"include_deleted": True})
    return bool(found["results"])


def volume(visit: Visit, asked: Asked, path: str = "/") -> Any:
    """Return the strip of conversations over time; each bar leads to its stretch."""
    texts = visit.texts
    found = Board(visit.backend).volume(asked.filters, buckets=_BUCKETS, zone=texts.zone_name)
    if not any(bucket["conversations"] for bucket in found["buckets"]):
        return None
    is_by_day = found["width_s"] >= _DAY_S
    items = []
    for bucket in found["buckets"]:
        begin, end, count = bucket["from"], bucket["until"], bucket["conversations"]
        label = f"{_written(visit, begin, is_by_day)}: {texts.n('conversations', count)}"
        items.append(charts.Bar(count, label, asked.url(path, **{"from": begin, "to": end, "range": None}), begin, end))
    return {
        "chart": charts.bars(items, title=texts.t("volume")),
        "first": _written(visit, items[0].begin, is_by_day),
        "last": _written(visit, items[-1].end, is_by_day),
    }


def _written(visit: Visit, moment: str, is_by_day: bool) -> str:
    return visit.texts.day(moment, "medium") if is_by_day else visit.texts.when(moment)


def _facets(visit: Visit, asked: Asked, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the facets with words and links: each value adds itself to what is asked for, or takes itself away."""
    texts = visit.texts
    facets = []
    for facet in found:
        name, parameter = facet["name"], facet["parameter"]
        if parameter is None:
            continue
        values = [
            {
                "label": words_of(texts, parameter, item["value"]),
                "count": item["count"],
                "is_on": item["is_selected"],
                "href": asked.toggled("/", parameter, item["value"]),
            }
            for item in facet["values"]
        ]
        if name == "environment" and len(values) > 1:
            is_on = "environment" not in asked.filters
            href = asked.url("/", environment=EVERYTHING)
            values.append({"label": texts.t("everything"), "count": None, "is_on": is_on, "href": href})
        if values:
            facets.append({"name": name, "values": values})
    return facets


def new_ones(visit: Visit) -> Response:
    """Tell how many conversations have begun since the newest one that a page shows."""
    asked = read_asked(visit)
    known, after = visit.given.get("known", ""), visit.given.get("after", "")
    count = 0
    if known.isascii() and known.isdigit() and len(known) < 19:
        count = Board(visit.backend).newer(asked.filters, {"started_at": after, "id": int(known)})["count"]
    body = {"count": count, "text": visit.texts.n("new_conversations", count)}
    return Response(msgspec.json.encode(body), 200, safe_headers(visit), "application/json")


PAGES = (Page("GET", "/", show), Page("GET", "/new/", new_ones))
