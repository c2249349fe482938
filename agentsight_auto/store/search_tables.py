"""The virtual tables of the search index: how they are made, and made anew.

In: a driver connection to a migrated file. Out: FTS5 tables of trigrams that know all that was stored.
Loses: nothing; see `search_index` for what is in them.

A table for each column of names, as the index cannot skip what another column says: many ids begin alike.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

NAME_TABLES = {"id_search": "conversation_id", "name_search": "name", "customer_search": "customer_id"}
"""The column of `conversations` that each knows, in the order of `conversation_state.Names`."""
TABLES = ("message_search", *NAME_TABLES)
AT_ONCE = 50_000
"""The longest stretch of a tail that another process has left that is indexed in one transaction."""

PROGRESS = "SELECT messages_until, conversations_until FROM search_progress"
LAST = "SELECT (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM conversations)"
_CREATE = (
    "CREATE VIRTUAL TABLE {} USING fts5(content, content='', columnsize=0, tokenize='trigram case_sensitive 1', "
    "detail=none)"
)
_CREATED_EARLIER = (
    "CREATE VIRTUAL TABLE {} USING fts5(content, content='', columnsize=0, tokenize='trigram', detail=none)"
)
"""It folds once more what is case-folded already, which takes a tenth of the time and changes nothing."""
_FILL_MESSAGES = (
    "DELETE FROM search_documents",
    """
    INSERT INTO search_documents (agent_id, conversation_pk, first_message_id, last_message_id)
        SELECT agent_id, conversation_pk, min(id), max(id) FROM messages WHERE kind != 'action'
        GROUP BY conversation_pk
    """,
    """
    INSERT INTO message_search (rowid, content)
        SELECT d.id, casefold((SELECT group_concat(said.content, char(10)) FROM (
            SELECT content FROM messages AS m WHERE m.conversation_pk = d.conversation_pk AND m.kind != 'action'
                AND m.id BETWEEN d.first_message_id AND d.last_message_id ORDER BY m.id) AS said))
        FROM search_documents AS d
    """,
    "UPDATE search_progress SET messages_until = (SELECT coalesce(max(id), 0) FROM messages)",
)
_FILL_NAMES = (
    *(
        f"INSERT INTO {table} (rowid, content) "  # noqa: S608
        f"SELECT id, casefold({column}) FROM conversations WHERE {column} != ''"
        for table, column in NAME_TABLES.items()
    ),
    "UPDATE search_progress SET conversations_until = (SELECT coalesce(max(id), 0) FROM conversations)",
)
_PARTS = ((("message_search",), _FILL_MESSAGES), (tuple(NAME_TABLES), _FILL_NAMES))
"""The tables that have come equally far, and what fills them."""
_EXTENT = f"""
    SELECT messages_until, conversations_until,
        (SELECT coalesce(max(id), 0) FROM search_documents), (SELECT coalesce(max(id), 0) FROM conversations),
        (SELECT total(1) FROM sqlite_master WHERE name IN ({", ".join("?" * len(TABLES))})),
        (SELECT has_search_gap FROM agents WHERE id = ?)
    FROM search_progress
"""  # noqa: S608
_MADE = f"SELECT name, sql FROM sqlite_master WHERE name IN ({', '.join('?' * len(TABLES))})"  # noqa: S608


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Tell whether this process's SQLite has FTS5 with trigrams."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(_CREATE.format("message_search"))
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def ensure(handle: sqlite3.Connection) -> None:
    """Make the index of a migrated file where it is missing or has a gap; does nothing without FTS5.

    A tail longer than is indexed in one transaction was written without FTS5: then it is made anew as well.
    """
    if not is_available() or not _incomplete(handle):
        return
    handle.execute("BEGIN IMMEDIATE")
    try:
        for tables, fill in _incomplete(handle):
            for table in tables:
                handle.execute(f"DROP TABLE IF EXISTS {table}")
                handle.execute(_CREATE.format(table))
            for statement in fill:
                handle.execute(statement)
        handle.execute("UPDATE agents SET has_search_gap = 0")
        handle.execute("COMMIT")
    except BaseException:
        if handle.in_transaction:
            handle.execute("ROLLBACK")
        raise


def _incomplete(handle: sqlite3.Connection) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return those of `_PARTS` that are not there as they should be, or do not know everything."""
    made = dict(handle.execute(_MADE, TABLES).fetchall())
    (gaps,) = handle.execute("SELECT count(*) FROM agents WHERE has_search_gap").fetchone()
    reached, last = handle.execute(PROGRESS).fetchone(), handle.execute(LAST).fetchone()
    is_lost = gaps or max(end - start for start, end in zip(reached, last, strict=True)) > AT_ONCE
    return [
        (tables, fill)
        for tables, fill in _PARTS
        if is_lost or not all(_is_as_it_should_be(made, table) for table in tables)
    ]


def _is_as_it_should_be(made: dict[str, str], table: str) -> bool:
    return made.get(table) in {_CREATE.format(table), _CREATED_EARLIER.format(table)}


class Extent(NamedTuple):
    """How far the index reaches: the last message and conversation that it knows, and the last rows in its tables."""

    message_id: int
    conversation_pk: int
    last_document: int
    last_conversation: int


def read_extent(connection: Connection, agent_id: int) -> Extent | None:
    """Return how far the index reaches; None where it does not know what the agent's conversations before that say."""
    if not is_available():
        return None
    *extent, number, has_gap = connection.exec_driver_sql(_EXTENT, (*TABLES, agent_id)).one()
    return None if has_gap or number < len(TABLES) else Extent(*extent)
