"""Two words of SQL that SQLAlchemy has no name for.

In: columns, ids. Out: expressions. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, select
from sqlalchemy.sql.operators import custom_op


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column's value as an expression that no index is used for."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def known_ids(ids: Collection[int]) -> Select[Any]:
    """Return a subquery of these ids that is one parameter, however many they are."""
    each = func.json_each(str(sorted(ids))).table_valued("value")
    return select(each.c.value)
