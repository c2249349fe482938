"""Turn pages: the documented page envelope.

In: conditions, an ordering and a position. Out: the rows of one page and the URLs of its neighbours.
Loses: nothing; see `ordering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, Row, bindparam, select

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.ordering import LARGEST_INTEGER, Ordering, Place
from agentsight_auto.query.page_ids import page_ids
from agentsight_auto.query.plan import Ways
from agentsight_auto.store.schema import conversations

CONVERSATIONS_URL = "https://api.agentsight.io/api/conversations/"
_WITH_IDS = select(conversations).where(conversations.c.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True)
class Page:
    """The rows of one page, and the places of its neighbours where there are any."""

    rows: Sequence[Row[Any]]
    number: int
    size: int
    offset: int | None
    """How many rows lie before it; None when a cursor was followed."""
    next: Place | None
    previous: Place | None


def fetch_page(
    connection: Connection,
    ways: Ways,
    *,
    ordering: Ordering,
    number: int,
    size: int,
    place: Place | None,
) -> Page:
    """Fetch one page of conversations, by cursor where one is given and by number otherwise.

    Raises:
        NotFoundException: the page number is below 1, or beyond the last page.
    """
    offset = (number - 1) * size
    if number < 1 or (place is None and offset > LARGEST_INTEGER - size):
        raise NotFoundException(f"There is no page {number if abs(number) < 10**20 else 'of that number'}.")
    backwards = place is not None and place.backwards
    first = offset if place is None else 0
    ids = page_ids(connection, ways, ordering, place=place, first=first, most=size + 1)
    if not ids and first:
        raise NotFoundException(f"There is no page {number}.")
    has_more, ids = len(ids) > size, ids[:size]
    rows = _rows(connection, ids[::-1] if backwards else ids)
    has_next = bool(rows) if backwards else has_more
    has_previous = bool(rows) and (number > 1 or (place is not None and not backwards))
    return Page(
        rows=rows,
        number=number,
        size=size,
        offset=offset if place is None else None,
        next=Place(ordering, False, *ordering.key(rows[-1])) if has_next else None,
        previous=Place(ordering, True, *ordering.key(rows[0])) if has_previous else None,
    )


def _rows(connection: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    rows = {row.id: row for row in connection.execute(_WITH_IDS, {"ids": ids}).all()}
    return [rows[row_id] for row_id in ids]


def neighbour_urls(page: Page, parameters: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the documented URLs of the next and the previous page with their filters; None where there is none."""
    return (
        _url(parameters, page.next, number=page.number + 1, size=page.size),
        _url(parameters, page.previous, number=max(page.number - 1, 1), size=page.size),
    )


def _url(parameters: Mapping[str, str], place: Place | None, *, number: int, size: int) -> str | None:
    if place is None:
        return None
    query = {**parameters, "page_size": str(size), "page": str(number), "cursor": place.token()}
    return f"{CONVERSATIONS_URL}?{urlencode(query)}"
