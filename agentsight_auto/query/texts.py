"""Whether a text holds another one, whatever the case: the condition in SQL.

In: a column and a part. Out: a condition. Loses: nothing.

In an ASCII part the ASCII letters are folded, as LIKE does it; in any other all letters, with the store's ``casefold``
function.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func

_LONGEST_LIKE = 200
"""Longer parts are looked for with `instr`: SQLite refuses LIKE patterns of 50,000 bytes and is slow with long ones."""


def contains(column: ColumnElement[Any], needle: str) -> ColumnElement[bool]:
    """Return the condition that `column` holds `needle` whatever the case; ``%``, ``_``, backslash mean themselves."""
    if not needle.isascii():
        return func.instr(func.casefold(column), needle.casefold()) > 0
    if len(needle) > _LONGEST_LIKE:
        return func.instr(func.lower(column), needle.lower()) > 0
    escaped = needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(f"%{escaped}%", escape="\\")
