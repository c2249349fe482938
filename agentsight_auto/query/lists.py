"""Lists by page number: what the newer clients ask for spans, token usage, actions and feedback.

In: a query, an order, a page. Out: its rows and how many there are in all. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query import parameters
from agentsight_auto.store.schema import conversations

_LARGEST_INTEGER = 2**63 - 1

Order = Sequence[ColumnElement[Any]]


@dataclass(frozen=True)
class Place:
    """Which page, and how many rows are on it."""

    number: int = 1
    size: int = 15


@dataclass(frozen=True)
class Listed:
    """One page of shapes, and how many there are in all."""

    results: list[dict[str, Any]]
    total: int


def fetch_rows(
    connection: Connection, query: Select[Any], order: Order, place: Place
) -> tuple[Sequence[Row[Any]], int]:
    """Return the rows of one page, and how many there are in all.

    Raises:
        NotFoundException: page 0, or beyond the last one; the first is always there.
    """
    offset = (place.number - 1) * place.size
    if place.number < 1 or offset > _LARGEST_INTEGER - place.size:
        raise NotFoundException("There is no such page.")
    total = connection.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()
    if offset and offset >= total:
        raise NotFoundException(f"There is no page {place.number}.")
    return connection.execute(query.order_by(*order).limit(place.size).offset(offset)).all(), total


def read_order(
    given: Mapping[str, str], columns: Mapping[str, ColumnElement[Any]], row_id: ColumnElement[Any], default: str
) -> Order:
    """Read the `ordering` parameter; equal rows are in the order of their ids, in the same direction.

    Raises:
        InvalidQueryException: not one of `columns`.
    """
    text = given.get("ordering", default).strip()
    column = columns.get(text.removeprefix("-"))
    if column is None:
        accepted = f"one of {', '.join(columns)}, with - before it for descending"
        raise parameters.unreadable("ordering", text, accepted)
    is_descending = text.startswith("-")
    return [part.desc() if is_descending else part.asc() for part in (column, row_id)]


def read_row_id(name: str, value: str) -> int:
    """Read a database id; one that no row can have is -1."""
    number = parameters.read_whole_number(name, value)
    return number if 0 < number <= _LARGEST_INTEGER else -1


def between(given: Mapping[str, str], name: str, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Read ``<name>_after`` and ``<name>_before``, inclusive moments."""
    conditions: list[ColumnElement[bool]] = []
    if (after := given.get(f"{name}_after")) is not None:
        conditions.append(column >= parameters.read_moment_us(f"{name}_after", after))
    if (before := given.get(f"{name}_before")) is not None:
        conditions.append(column <= parameters.read_moment_us(f"{name}_before", before))
    return conditions


def of_conversation(given: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Read `conversation`, `conversation_id` and `environment`; what is of a deleted conversation is hidden."""
    columns = conversations.c
    conditions: list[ColumnElement[bool]] = [columns.is_deleted.is_(False)]
    if "conversation" in given:
        conditions.append(columns.id == read_row_id("conversation", given["conversation"]))
    if "conversation_id" in given:
        conditions.append(columns.conversation_id == given["conversation_id"])
    if "environment" in given:
        slug = parameters.read_environment("environment", given["environment"])
        conditions.append(columns.environment == slug)
    return conditions
