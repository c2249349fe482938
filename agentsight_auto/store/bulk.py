"""Many rows at once: SQLAlchemy writes the statement, the driver's executemany does the rows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Connection, Dialect, Row, Select, Table, bindparam, update

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

NULL = -(2**63)
"""For `insert_rows` the same as None: the driver looks for an adapter for each None, which takes longer than the rest.

No column of ours has this number."""

_MAX_PARAMETERS = 500
"""Values in one IN list; SQLite's lowest limit in the field is 999 parameters."""


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], *, with_id: bool = False
) -> None:
    """Insert tuples that hold every column in the order of the table; the database id only `with_id`.

    Where a column may be null, `NULL` is faster than None; numbers are faster than booleans.
    """
    if rows:
        connection.exec_driver_sql(_insert_sql(table, with_id=with_id), list(rows))


def next_id(connection: Connection, table: Table) -> int:
    """Return the database id that the next row gets, one that no row ever had where the table promises that.

    Only for the one writer, inside its transaction: there the ids that follow are free as well.
    """
    highest = connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {table.name}").scalar_one()  # noqa: S608
    if table.dialect_options["sqlite"]["autoincrement"]:
        given = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?"
        highest = max(highest, connection.exec_driver_sql(given, (table.name,)).scalar_one())
    return int(highest) + 1


def add_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples of counts under a composite key, or add the counts to those of the row that has the key."""
    if rows:
        connection.exec_driver_sql(_add_sql(table), list(rows))


def update_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Update by database id: `columns` in the order of the table; tuples of their values, then the id."""
    if rows:
        connection.exec_driver_sql(_update_sql(table, columns, connection.dialect), list(rows))


def in_slices(connection: Connection, query: Select[Any], column: Column[T], values: Sequence[T]) -> Iterator[Any]:
    """Give the rows of `query` whose `column` is one of `values`, asking for a few hundred at a time."""
    for start in range(0, len(values), _MAX_PARAMETERS):
        yield from connection.execute(query.where(column.in_(values[start : start + _MAX_PARAMETERS])))


def rows_among(
    connection: Connection, query: str, leading: tuple[Any, ...], values: Sequence[Any]
) -> Iterator[Row[Any]]:
    """Give the rows of a query that ends in ``IN {}``, for some values at a time; `leading` are the values before it.

    The statements are few, so that the driver has them prepared: the last value stands in for those that are missing.
    """
    for start in range(0, len(values), _MAX_PARAMETERS):
        some = values[start : start + _MAX_PARAMETERS]
        size = 1 << (len(some) - 1).bit_length()
        marks = f"({', '.join('?' * size)})"
        yield from connection.exec_driver_sql(query.format(marks), (*leading, *some, *[some[-1]] * (size - len(some))))


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
def _insert_sql(table: Table, *, with_id: bool) -> str:
    columns = [column.name for column in table.c if with_id or not (column.primary_key and column.name == "id")]
    marks = (f"nullif(?, {NULL})" if table.c[name].nullable else "?" for name in columns)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join(marks)})"  # noqa: S608


@lru_cache(maxsize=64)
def _update_sql(table: Table, columns: tuple[str, ...], dialect: Dialect) -> str:
    compiled = update(table).where(table.c.id == bindparam("row_id")).compile(dialect=dialect, column_keys=columns)
    assert compiled.positiontup == [*columns, "row_id"]
    return str(compiled)
