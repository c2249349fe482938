"""Orderings of conversations, and places in them: keyset cursors.

In: the parameters `ordering` and `cursor`. Out: ORDER BY clauses, conditions for the rows beyond a place, tokens.
Loses: nothing; a row that stays where it is in the order is shown once, whatever arrives while pages are turned.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, literal, or_

from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query.filter_values import read_ordering
from agentsight_auto.query.parameters import read_text, unreadable
from agentsight_auto.store.schema import conversations

LARGEST_INTEGER = 2**63 - 1
_ORDERABLE: Mapping[str, ColumnElement[Any]] = {
    "started_at": conversations.c.started_at_us,
    "ended_at": conversations.c.ended_at_us,
    "id": conversations.c.id,
    "customer_id": conversations.c.customer_id,
    "is_marked": conversations.c.is_marked,
    "language": conversations.c.language,
}
_NEVER_NULL = frozenset({"started_at", "id", "is_marked"})


@dataclass(frozen=True)
class Ordering:
    """An order of conversations: one of the orderable fields, then the id in the same direction; nulls come last."""

    name: str = "started_at"
    is_descending: bool = True

    @property
    def column(self) -> ColumnElement[Any]:
        """Return the column of the field."""
        return _ORDERABLE[self.name]

    @property
    def has_nulls(self) -> bool:
        """Tell whether rows may have nothing in the field."""
        return self.name not in _NEVER_NULL

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
        if self.has_nulls:
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
        return further if backwards or not self.has_nulls else or_(further, column.is_(None))


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
    fits = key is None or (isinstance(key, str) if is_text else isinstance(key, int) and abs(key) <= LARGEST_INTEGER)
    if text != ordering.text or not fits or abs(row_id) > LARGEST_INTEGER:
        raise error
    return Place(ordering, backwards, key, row_id)


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=4, person=b"as-cursor").digest()
