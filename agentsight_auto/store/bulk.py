"""Many rows at once: the driver does them, past SQLAlchemy, which takes as long for a statement as SQLite for ten rows.

In: a connection inside a transaction, rows as tuples. Out: rows. Loses: nothing; errors are the driver's own.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Connection, Select, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

NULL = -(2**63)
"""For `insert_rows` the same as None: the driver looks for an adapter for each None, which takes longer than the rest.

No column of ours has this number."""

_MAX_PARAMETERS = 500
"""Values in one IN list; SQLite's lowest limit in the field is 999 parameters."""
_TOGETHER = 20
"""Rows of few columns inserted by one statement."""
_FEW_COLUMNS = 12
"""Statements for several rows of more columns than that are slower than one for each."""


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, which is in the same transaction."""
    handle = connection.connection.driver_connection
    assert isinstance(handle, sqlite3.Connection)
    return handle


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], *, with_id: bool = False
) -> None:
    """Insert tuples that hold every column in the order of the table; the database id only `with_id`.

    Where a column may be null, `NULL` is faster than None; numbers are faster than booleans.
    """
    handle, done = driver(connection), 0
    if len(rows) >= _TOGETHER and len(rows[0]) <= _FEW_COLUMNS:
        done = len(rows) // _TOGETHER * _TOGETHER
        together = _insert_sql(table, with_id=with_id, rows=_TOGETHER)
        for start in range(0, done, _TOGETHER):
            handle.execute(together, tuple(chain.from_iterable(rows[start : start + _TOGETHER])))
    if len(rows) > done:
        handle.executemany(_insert_sql(table, with_id=with_id, rows=1), rows[done:])


def next_id(connection: Connection, table: Table) -> int:
    """Return the database id that the next row gets, one that no row ever had where the table promises that.

    Only for the one writer, inside its transaction: there the ids that follow are free as well.
    """
    handle = driver(connection)
    (highest,) = handle.execute(f"SELECT coalesce(max(id), 0) FROM {table.name}").fetchone()  # noqa: S608
    if table.dialect_options["sqlite"]["autoincrement"]:
        given = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?"
        highest = max(highest, *handle.execute(given, (table.name,)).fetchone())
    return int(highest) + 1


def add_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples of counts under a composite key, or add the counts to those of the row that has the key."""
    if rows:
        driver(connection).executemany(_add_sql(table), rows)


def update_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Update by database id: tuples of the values of `columns`, then the id."""
    if rows:
        driver(connection).executemany(_update_sql(table, columns), rows)


def in_slices(connection: Connection, query: Select[Any], column: Column[T], values: Sequence[T]) -> Iterator[Any]:
    """Give the rows of `query` whose `column` is one of `values`, asking for a few hundred at a time."""
    for start in range(0, len(values), _MAX_PARAMETERS):
        yield from connection.execute(query.where(column.in_(values[start : start + _MAX_PARAMETERS])))


def rows_among(
    connection: Connection, query: str, leading: tuple[Any, ...], values: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a query that ends in ``IN {}``, for some values at a time; `leading` are the values before it.

    The statements are few, so that the driver has them prepared: the last value stands in for those that are missing.
    """
    handle = driver(connection)
    for start in range(0, len(values), _MAX_PARAMETERS):
        some = values[start : start + _MAX_PARAMETERS]
        size = 1 << (len(some) - 1).bit_length()
        marks = f"({', '.join('?' * size)})"
        yield from handle.execute(query.format(marks), (*leading, *some, *[some[-1]] * (size - len(some))))


@lru_cache(maxsize=64)
def _add_sql(table: Table) -> str:
    names = [column.name for column in table.c]
    key = [column.name for column in table.primary_key]
    added = [name for name in names if name.endswith(("_count", "_total_ms"))]
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in added)
    marks = ", ".join("?" * len(names))
    conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sums}"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) {conflict}"  # noqa: S608


@lru_cache(maxsize=64)
def _insert_sql(table: Table, *, with_id: bool, rows: int) -> str:
    columns = [column for column in table.c if with_id or not (column.primary_key and column.name == "id")]
    row = ", ".join(f"nullif(?, {NULL})" if column.nullable else "?" for column in columns)
    names = ", ".join(column.name for column in columns)
    return f"INSERT INTO {table.name} ({names}) VALUES {', '.join([f'({row})'] * rows)}"  # noqa: S608


@lru_cache(maxsize=64)
def _update_sql(table: Table, columns: tuple[str, ...]) -> str:
    return f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?"  # noqa: S608
