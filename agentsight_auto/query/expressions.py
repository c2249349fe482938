"""Words of SQL that SQLAlchemy has no name for, and many ids at once.

In: columns, ids. Out: expressions, ids. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    TextClause,
    UnaryExpression,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.sql.operators import custom_op


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column's value as an expression that no index is used for."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def known_ids(ids: Collection[int]) -> TextClause:
    """Return a subquery of these ids that is one parameter, however many they are."""
    each = bindparam("ids", str(sorted(ids)), String, unique=True)
    return text("SELECT value FROM json_each(:ids)").bindparams(each)


def read_ids(connection: Connection, ids: Select[Any]) -> set[int]:
    """Return the ids that a subquery gives, told as one text: thousands of rows would be objects of their own."""
    given = ids.subquery()
    told = connection.execute(select(func.json_group_array(given.c[0]))).scalar_one()
    return set(msgspec.json.decode(told, type=list[int]))
