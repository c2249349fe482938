"""One conversation: what was said and done, and on which axis of time."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.board.board import Board
from agentsight_auto.server.dashboard.asking import Asked, read_asked
from agentsight_auto.server.dashboard.axis import draw
from agentsight_auto.server.dashboard.entries import arrange, mark_days
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
from agentsight_auto.server.dashboard.views.conversations import with_environment
from agentsight_auto.server.dashboard.visits import Visit
from agentsight_auto.server.routing import parse_id

PATH = "/conversations/{id}/"


def number_of(visit: Visit) -> int:
    """Return the database id in the path.

    Raises:
        NotFoundException: it is none.
    """
    number = parse_id(visit.path_values["id"])
    if number is None:
        raise NotFoundException("There is no such conversation.")
    return number


def show(visit: Visit) -> Response:
    """Show the transcript."""
    asked, shape, common = _common(visit)
    needle = visit.given.get("find") or asked.given.get("search", "")
    entries = arrange(shape, needle)
    mark_days(entries, lambda moment: visit.texts.local(moment).date())
    return page(
        visit,
        "transcript.html",
        entries=entries,
        needle=needle,
        hits=[entry.message["id"] for entry in entries if entry.is_hit],
        is_raw=visit.given.get("raw") == "1",
        escalations=set(visit.backend.rules.escalation_actions),
        **common,
    )


def show_timeline(visit: Visit) -> Response:
    """Show messages and actions on one axis."""
    _, shape, common = _common(visit)
    return page(visit, "timeline.html", axis=draw(shape, visit.texts), **common)


def _common(visit: Visit) -> tuple[Asked, dict[str, Any], dict[str, Any]]:
    asked, board = read_asked(visit), Board(visit.backend)
    shape = board.transcript(number_of(visit))
    with_environment(visit, asked)
    around = board.neighbours(shape["id"], asked.filters)
    links = {
        name: None if around[way] is None else asked.url(f"/conversations/{around[way]}/")
        for name, way in (("newer", "previous"), ("older", "next"))
    }
    here, summary = f"/conversations/{shape['id']}/", shape["summary"]
    title = shape["name"] or shape["customer_id"] or shape["conversation_id"]
    return asked, shape, {"asked": asked, "chat": shape, "summary": summary, "title": title, "here": here, **links}


PAGES = (Page("GET", PATH, show), Page("GET", PATH + "timeline/", show_timeline))
