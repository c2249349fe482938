"""The envelope of the newer clients' lists: seven keys, pages by number.

In: a request and a function that fetches one page. Out: the response. Loses: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from agentsight_auto.query import parameters
from agentsight_auto.query.lists import Listed, Place
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routing import Call, Parameter
from agentsight_auto.store.database import Database

PAGE_SIZE = 15

Fetch: TypeAlias = Callable[[Database, int, Mapping[str, str], Place], Listed]


class PageOf(msgspec.Struct):
    """One page of a list."""

    count: int
    page_size: int
    total_pages: int
    current_page: int
    next: str | None
    previous: str | None
    results: list[dict[str, Any]]


def list_parameters(names: Sequence[str], **schemas: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the query parameters of a list with these filters, for the OpenAPI document."""
    whole = {"type": "integer"}
    text = {"type": "string"}
    return (
        Parameter("page", "which page, from 1", whole),
        Parameter("page_size", f"rows on a page, at most {parameters.LARGEST_PAGE}", whole),
        *(Parameter(name, "filter", schemas.get(name, text)) for name in names),
    )


def answer_list(call: Call, fetch: Fetch, names: Sequence[str], extra: Callable[[int], Mapping[str, Any]]) -> Response:
    """Return one page of what `fetch` finds; `extra` makes further keys of the envelope from the count."""
    given = call.filters()
    size = parameters.read_whole_number("page_size", given.get("page_size", PAGE_SIZE))
    size = min(max(size, 1), call.service.settings.largest_page)
    number = parameters.read_whole_number("page", given.get("page", 1))
    filters = {name: given[name] for name in names if name in given}
    listed = fetch(call.service.database, call.backend.agent_id, filters, Place(number, size))
    pages = max(1, math.ceil(listed.total / size))

    def url(page: int) -> str | None:
        query = urlencode({**filters, "page_size": size, "page": page})
        return f"{call.address}{call.operation.path}?{query}" if 1 <= page <= pages else None

    neighbours = {"next": url(number + 1), "previous": url(number - 1)}
    envelope = {"count": listed.total, "page_size": size, "total_pages": pages, "current_page": number, **neighbours}
    return json_response({**envelope, **extra(listed.total), "results": listed.results})


def nothing_more(total: int) -> Mapping[str, Any]:
    """Add nothing to an envelope."""
    del total
    return {}
