"""Turn pages: orderings, keyset cursors and the documented page envelope.

In: conditions, an ordering and a position. Out: the rows of one page and the URLs of its neighbours.
Loses: nothing; a row that stays where it is in the order is shown once, whatever arrives while pages are turned.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, literal, or_, select

from agentsight_auto.exceptions import InvalidQueryException, NotFoundException
from agentsight_auto.query.expressions import known_ids
from agentsight_auto.query.filter_values import read_ordering
from agentsight_auto.query.parameters import read_text, unreadable
from agentsight_auto.query.plan import WINDOW, Ways
from agentsight_auto.store.schema import conversations

CONVERSATIONS_URL = "https://api.agentsight.io/api/conversations/"
_LARGEST_INTEGER = 2**63 - 1
_ORDERABLE: Mapping[str, ColumnElement[Any]] = {
    "started_at": conversations.c.started_at_us,
    "ended_at": conversations.c.ended_at_us,
    "id": conversations.c.id,
    "customer_id": conversations.c.customer_id,
    "is_marked": conversations.c.is_marked,
    "language": conversations.c.language,
}
_SAMPLE = 1_000
"""So many rows are asked to tell how soon others are met."""
_PROBE = 1.8
"""What asking one row costs more than looking for it in a set, in ids that are put into the set meanwhile."""
_NEVER_NULL = frozenset({"started_at", "id", "is_marked"})
_WITH_IDS = select(conversations).where(conversations.c.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True)
class Ordering:
    """An order of conversations: one of the orderable fields, then the id in the same direction; nulls come last."""

    name: str = "started_at"
    is_descending: bool = True

    @property
    def text(self) -> str:
        """Return the ordering as the `ordering` parameter writes it."""
        return f"-{self.name}" if self.is_descending else self.name

    def clauses(self, *, backwards: bool = False) -> list[ColumnElement[Any]]:
        """Return the ORDER BY clauses, or those of the opposite order."""
        column, id_column = _ORDERABLE[self.name], conversations.c.id
        descending = self.is_descending is not backwards
        clauses: list[ColumnElement[Any]] = [
            column.desc() if descending else column.asc(),
            id_column.desc() if descending else id_column.asc(),
        ]
        if self.name not in _NEVER_NULL:
            is_null = column.is_(None)
            clauses.insert(0, is_null.desc() if backwards else is_null.asc())
        return clauses

    def key(self, row: Row[Any]) -> tuple[Any, int]:
        """Return the place of a conversation's row in this order."""
        return getattr(row, _ORDERABLE[self.name].key or ""), row.id

    def beyond(self, value: Any, row_id: int, *, backwards: bool) -> ColumnElement[bool]:
        """Return the condition for the rows after (or before) a place in this order."""
        column, id_column = _ORDERABLE[self.name], conversations.c.id
        downwards = self.is_descending is not backwards
        next_id = id_column < row_id if downwards else id_column > row_id
        if value is None:
            same = and_(column.is_(None), next_id)
            return or_(column.is_not(None), same) if backwards else same
        here = literal(value, column.type)
        # the first term is implied by the second: it is there so that an index can start at the place
        reached = column <= here if downwards else column >= here
        further = and_(reached, or_(column < here if downwards else column > here, next_id))
        return further if backwards or self.name in _NEVER_NULL else or_(further, column.is_(None))


def parse_ordering(value: object) -> Ordering:
    """Read the `ordering` parameter: a field's name, with ``-`` before it for descending."""
    return Ordering(*read_ordering(value))


@dataclass(frozen=True)
class Place:
    """Where a page begins: beyond a row's key, in the ordering's direction or backwards from it."""

    ordering: Ordering
    backwards: bool
    value: Any
    row_id: int

    def token(self) -> str:
        """Return the place as the url-safe text of the `cursor` parameter."""
        payload = msgspec.json.encode([self.ordering.text, self.backwards, self.value, self.row_id])
        return base64.urlsafe_b64encode(_checksum(payload) + payload).decode().rstrip("=")


def parse_cursor(value: object, ordering: Ordering) -> Place:
    """Read a cursor back.

    Raises:
        InvalidQueryException: not a cursor that this library wrote, or one of another ordering.
    """
    error = unreadable("cursor", value, "the cursor of a `next` or `previous` URL, unchanged, with its ordering")
    try:
        token = read_text("cursor", value).encode("ascii")
        raw = base64.b64decode(token + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if raw[:4] != _checksum(raw[4:]):
            raise error
        text, backwards, key, row_id = msgspec.json.decode(raw[4:], type=tuple[str, bool, str | int | bool | None, int])
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, ValueError) as reason:
        if isinstance(reason, InvalidQueryException):
            raise
        raise error from reason
    is_text = ordering.name in {"customer_id", "language"}
    fits = key is None or (isinstance(key, str) if is_text else isinstance(key, int) and abs(key) <= _LARGEST_INTEGER)
    if text != ordering.text or not fits or abs(row_id) > _LARGEST_INTEGER:
        raise error
    return Place(ordering, backwards, key, row_id)


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=4, person=b"as-cursor").digest()


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
    if number < 1 or (place is None and offset > _LARGEST_INTEGER - size):
        raise NotFoundException(f"There is no page {number if abs(number) < 10**20 else 'of that number'}.")
    backwards = place is not None and place.backwards
    beyond = [] if place is None else [ordering.beyond(place.value, place.row_id, backwards=backwards)]
    first = offset if place is None else 0
    query = select(conversations.c.id).where(*beyond).order_by(*ordering.clauses(backwards=backwards))
    if first:
        conditions = ways.walk if ways.skip is None or _is_met_sooner(connection, query, ways, first) else ways.skip
        ids = connection.execute(query.where(*conditions).limit(size + 1).offset(first)).scalars().all()
    elif ways.is_sorted and ways.probes:
        ids = _sorted_ids(connection, query, ways, size + 1)
    else:
        ids = _first_ids(connection, query.limit(size + 1), ways, ordering, size=size, backwards=backwards)
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


def _is_met_sooner(connection: Connection, query: Select[Any], ways: Ways, first: int) -> bool:
    """Tell whether asking each row until `first` are met takes less than a set of all members, told from some rows."""
    has_all = and_(*ways.probes).label("has_all")
    some = query.with_only_columns(has_all).where(*ways.own).limit(_SAMPLE).subquery()
    share = float(connection.execute(select(func.avg(some.c.has_all))).scalar() or 0.0)
    number = int(connection.execute(select(func.max(conversations.c.id))).scalar() or 0)
    return _PROBE * first < share * share * number  # first / share rows are asked, share * number are in the set


def _sorted_ids(connection: Connection, query: Select[Any], ways: Ways, most: int) -> list[int]:
    """Return the first ids of few candidates, which are sorted, and looked into until there are enough."""
    found: list[int] = []
    start, number = 0, 4 * most
    while len(found) < most:
        candidates = query.where(*ways.own).offset(start).limit(number)
        portion = connection.execute(candidates).scalars().all()
        asked = select(conversations.c.id).where(conversations.c.id.in_(known_ids(portion)), *ways.probes)
        passed = set(connection.execute(asked).scalars().all())
        found += [row_id for row_id in portion if row_id in passed]
        if len(portion) < number:
            break
        start, number = start + number, 8 * number
    return found[:most]


def _first_ids(
    connection: Connection, query: Select[Any], ways: Ways, ordering: Ordering, *, size: int, backwards: bool
) -> Sequence[int]:
    """Return the ids of the first rows of a query, in its order."""
    bound = [] if ways.gather is None else _bound(connection, query, ways, ordering, backwards=backwards)
    found = connection.execute(query.where(*ways.walk, *bound)).scalars().all()
    if ways.gather is None or not bound or len(found) > size:
        return found
    return connection.execute(query.where(*ways.gather)).scalars().all()


def _bound(
    connection: Connection, query: Select[Any], ways: Ways, ordering: Ordering, *, backwards: bool
) -> list[ColumnElement[bool]]:
    """Return the condition that ends a walk after `WINDOW` conversations; none where it ends before by itself."""
    column = _ORDERABLE[ordering.name]
    if ordering.name not in _NEVER_NULL:
        return []
    last = query.with_only_columns(column).where(*ways.own).offset(WINDOW).limit(1)
    place = connection.execute(last).scalar_one_or_none()
    if place is None:
        return []
    return [column >= place if ordering.is_descending is not backwards else column <= place]


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
