"""Actions: how each goes. Health: what was captured, what is still on its way, what was lost."""

from __future__ import annotations

from starlette.responses import Response

from agentsight_auto.query.board.board import Board
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import EVERYTHING, RANGES, read_asked
from agentsight_auto.server.dashboard.chosen import chips
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
from agentsight_auto.server.dashboard.views.numbers import DEFAULT_RANGE
from agentsight_auto.server.dashboard.visits import Visit, url
from agentsight_auto.server.health import examine_health
from agentsight_auto.store.keys import list_agents


def show_actions(visit: Visit) -> Response:
    """Show all actions, the most frequent first, the slowest calls and the most frequent errors."""
    asked = read_asked(visit, DEFAULT_RANGE)
    found = Board(visit.backend).actions(asked.filters)
    rows = [
        {
            **row,
            "trend": charts.line(row["trend"], title=visit.texts.t("trend")),
            "href": asked.url("/", action_name=row["action_name"]),
        }
        for row in found["actions"]
    ]
    return page(
        visit,
        "actions.html",
        asked=asked,
        rows=rows,
        slowest=found["slowest"],
        errors=found["errors"],
        ranges=RANGES,
        chips=chips(visit, asked, "/actions/"),
    )


def show_health(visit: Visit) -> Response:
    """Show what became of all that was recorded, and how store and outbox are; what belongs to all, to the owner."""
    service = visit.service
    outbox = service.settings.db_path.parent / "outbox"
    found = examine_health(service.database, visit.agent.id, outbox=outbox if outbox.exists() else None)
    return page(
        visit,
        "health.html",
        health=found,
        is_owner=visit.is_local or len(list_agents(service.database)) == 1,
        received=service.metrics.event_counts(),
        implicit_href=url("/", {"insight": "implicit", "environment": EVERYTHING}),
    )


PAGES = (Page("GET", "/actions/", show_actions), Page("GET", "/health/", show_health))
