"""Many rows at once: SQLAlchemy writes the statement, the driver's executemany does the rows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Connection, Dialect, Select, Table, bindparam, insert, update

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_MAX_PARAMETERS = 500
"""Values in one IN list; SQLite's lowest limit in the field is 999 parameters."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples that hold every column but the database id, in the order of the table."""
    if rows:
        connection.exec_driver_sql(_insert_sql(table, connection.dialect), list(rows))


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


@lru_cache(maxsize=64)
def _insert_sql(table: Table, dialect: Dialect) -> str:
    columns = [column.name for column in table.c if not (column.primary_key and column.name == "id")]
    compiled = insert(table).compile(dialect=dialect, column_keys=columns)
    assert compiled.positiontup == columns
    return str(compiled)


@lru_cache(maxsize=64)
def _update_sql(table: Table, columns: tuple[str, ...], dialect: Dialect) -> str:
    compiled = update(table).where(table.c.id == bindparam("row_id")).compile(dialect=dialect, column_keys=columns)
    assert compiled.positiontup == [*columns, "row_id"]
    return str(compiled)
