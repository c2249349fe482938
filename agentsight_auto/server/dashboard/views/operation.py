"""Actions: how each goes. Health: what was captured, what is still on its way, what was lost."""

from __future__ import annotations

import platform
import sqlite3
from typing import Any

from starlette.responses import Response

from agentsight_auto.deliver.overview import look_into
from agentsight_auto.query.board.board import Board
from agentsight_auto.server.dashboard import charts
from agentsight_auto.server.dashboard.asking import RANGES, read_asked
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page
from agentsight_auto.server.dashboard.views.conversations import with_environment
from agentsight_auto.server.dashboard.views.numbers import with_range
from agentsight_auto.server.dashboard.visits import Visit


def show_actions(visit: Visit) -> Response:
    """Show all actions, the most frequent first, the slowest calls and the most frequent errors."""
    asked = with_range(read_asked(visit))
    with_environment(visit, asked)
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
        environment=asked.filters.get("environment"),
    )


def show_health(visit: Visit) -> Response:
    """Show how recording is doing on this machine."""
    settings = visit.service.settings
    home = settings.db_path.parent
    outbox = look_into(home / "outbox", None, 0) if (home / "outbox").exists() else None
    return page(
        visit,
        "health.html",
        store=settings.db_path,
        store_bytes=sum(_size(settings.db_path.with_name(settings.db_path.name + end)) for end in ("", "-wal")),
        outbox=outbox,
        versions=_versions(),
        environment=None,
    )


def _size(path: Any) -> int:
    try:
        return int(path.stat().st_size)
    except OSError:
        return 0


def _versions() -> dict[str, str]:
    return {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}


PAGES = (Page("GET", "/actions/", show_actions), Page("GET", "/health/", show_health))
