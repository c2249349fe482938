"""All pages, as routes of the server."""

from __future__ import annotations

from itertools import groupby

from starlette.routing import BaseRoute, Route

from agentsight_auto.server.dashboard.pages import Page, PageEndpoint
from agentsight_auto.server.dashboard.rendering import static_file
from agentsight_auto.server.dashboard.views import (
    attachments,
    conversations,
    edits,
    numbers,
    operation,
    reports,
    signing_in,
    transcript,
)
from agentsight_auto.server.service import Service

PAGES = (
    *conversations.PAGES,
    *transcript.PAGES,
    *edits.PAGES,
    *attachments.PAGES,
    *numbers.PAGES,
    *operation.PAGES,
    *reports.PAGES,
    *signing_in.PAGES,
    Page("GET", "/static/{name}", static_file, role=None),
)


def routes_of(service: Service) -> list[BaseRoute]:
    """Return one route per path."""
    ordered = sorted(PAGES, key=lambda found: found.path)
    by_path = groupby(ordered, key=lambda found: found.path)
    return [Route(path, PageEndpoint(service, list(group))) for path, group in by_path]
