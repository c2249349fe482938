"""What browsers report of a page that tried something its policy forbids: a sign of an attack, or of a mistake of ours.

In: reports of browsers. Out: a line in the log, at most one a minute. Loses: the others.
Source: https://www.w3.org/TR/CSP3/#reporting
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from agentsight_auto._guard import warn_at_most_once_a_minute
from agentsight_auto.server.dashboard.markup import visible
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import REPORTS_PATH
from agentsight_auto.server.dashboard.visits import Visit

_LONGEST = 80


def take(visit: Visit) -> Response:
    """Say in the log which rule was broken on which page; no query and no content goes there."""
    try:
        told = msgspec.json.decode(visit.field("report"))
    except msgspec.DecodeError:
        told = None
    for report in (told if isinstance(told, list) else [told])[:1]:
        body = report.get("csp-report", report.get("body")) if isinstance(report, dict) else None
        if isinstance(body, dict):
            rule = body.get("effective-directive", body.get("effectiveDirective"))
            page = body.get("document-uri", body.get("documentURL"))
            warn_at_most_once_a_minute(
                "policy", "agentsight-auto dashboard: a page broke its policy: %s on %s", _short(rule), _path(page)
            )
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def _short(value: Any) -> str:
    return visible(value[:_LONGEST]).replace("\n", " ") if isinstance(value, str) else "?"


def _path(value: Any) -> str:
    try:
        return _short(urlsplit(value).path) if isinstance(value, str) else "?"
    except ValueError:
        return "?"


PAGES = (Page("POST", REPORTS_PATH, take, role=None),)
