"""One conversation: what was said and done, and on which axis of time."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.board.board import Board
from agentsight_auto.query.board.timeline import lay_out
from agentsight_auto.server.dashboard.asking import Asked, read_asked
from agentsight_auto.server.dashboard.audit import note
from agentsight_auto.server.dashboard.axis import draw, duration_of
from agentsight_auto.server.dashboard.entries import arrange, cut, mark_days
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
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
    """Show one part of the transcript: all of it, unless it is very long."""
    asked, shape, common = _common(visit)
    needle = visit.given.get("find") or str(asked.given.get("search", ""))
    entries = arrange(shape, needle)
    mark_days(entries, lambda moment: visit.texts.local(moment).date())
    note(visit, "read", conversations=[shape["id"]])
    part = cut(entries, number=parse_id(visit.given.get("part", "")), at=parse_id(visit.given.get("at", "")))
    return page(
        visit,
        "transcript.html",
        part=part,
        needle=needle,
        hits=[entry.message["id"] for entry in entries if entry.is_hit],
        is_raw=visit.given.get("raw") == "1",
        escalations=set(visit.backend.rules.escalating),
        **common,
    )


def show_timeline(visit: Visit) -> Response:
    """Show messages, actions and model calls on one axis."""
    asked, shape, common = _common(visit)
    here = common["here"]

    def link(message_id: int) -> str:
        return f"{asked.url(here, at=message_id)}#m{message_id}"

    axis = draw(lay_out(shape), visit.texts, link, parse_id(visit.given.get("part", "")) or 1)
    return page(visit, "timeline.html", axis=axis, link=link, told=duration_of, **common)


def _common(visit: Visit) -> tuple[Asked, dict[str, Any], dict[str, Any]]:
    asked, board = read_asked(visit), Board(visit.backend)
    shape = board.transcript(number_of(visit))
    around = board.neighbours(shape["id"], asked.filters)
    links = {
        name: None if around[way] is None else asked.url(f"/conversations/{around[way]}/")
        for name, way in (("newer", "previous"), ("older", "next"))
    }
    here, summary = f"/conversations/{shape['id']}/", shape["summary"]
    title = shape["name"] or shape["customer_id"] or shape["conversation_id"]
    return asked, shape, {"asked": asked, "chat": shape, "summary": summary, "title": title, "here": here, **links}


PAGES = (Page("GET", PATH, show), Page("GET", PATH + "timeline/", show_timeline))
