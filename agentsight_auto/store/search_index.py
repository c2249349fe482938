"""The search index: which documents have three characters in a row, by FTS5 with trigrams.

In: texts of messages and names of conversations. Out: two virtual tables, and how far they have come.
Loses: nothing. What was stored since is the tail: at most about `TAIL` messages, which whoever searches reads through.
They are indexed together, which costs half of what it costs in every transaction.

Where SQLite has no FTS5 the tail grows, and a name that changes marks the agent's index as having a gap: nobody trusts
it then, and the next process whose SQLite has FTS5 makes it anew.

``message_search`` has a document for what one stretch of messages adds to one conversation (`search_documents` says
which): a word that is said often there costs once. What an action says is not in it: `conversation_actions` has
the names. ``name_search`` has one for each conversation: its ids and its name by column. Texts are case-folded.
Both keep no text and no positions: whoever finds candidates here looks into the rows.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select, update

from agentsight_auto.store.bulk import insert_rows, next_id
from agentsight_auto.store.conversation_state import Names
from agentsight_auto.store.schema import agents, conversations, messages, search_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TABLES = ("message_search", "name_search")
TAIL = 4_000
"""Messages, or conversations, that are indexed together. Reading through so many takes about two milliseconds."""
_AT_ONCE = 50_000
"""The longest stretch of a tail that another process has left that is indexed in one transaction."""

_OPTIONS = "content='', columnsize=0, tokenize='trigram'"
_CREATE = (
    f"CREATE VIRTUAL TABLE message_search USING fts5(content, {_OPTIONS}, detail=none)",
    f"CREATE VIRTUAL TABLE name_search USING fts5(conversation_id, name, customer_id, {_OPTIONS}, detail=column)",
)
_ADD_MESSAGES = "INSERT INTO message_search (rowid, content) VALUES (?, ?)"
_REMOVE_MESSAGES = "INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', ?, ?)"
_ADD_NAMES = "INSERT INTO name_search (rowid, conversation_id, name, customer_id) VALUES (?, ?, ?, ?)"
_REMOVE_NAMES = (
    "INSERT INTO name_search (name_search, rowid, conversation_id, name, customer_id) VALUES ('delete', ?, ?, ?, ?)"
)
_FILL = {
    "message_search": (
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
    ),
    "name_search": (
        """
        INSERT INTO name_search (rowid, conversation_id, name, customer_id)
            SELECT id, casefold(conversation_id), casefold(coalesce(name, '')), casefold(coalesce(customer_id, ''))
            FROM conversations
        """,
    ),
}


_REACHED = (
    "UPDATE search_progress SET messages_until = (SELECT coalesce(max(id), 0) FROM messages), "
    "conversations_until = (SELECT coalesce(max(id), 0) FROM conversations)"
)
_PROGRESS = "SELECT messages_until, conversations_until FROM search_progress"
_LAST = "SELECT (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM conversations)"
_TAIL_MESSAGES = (
    "SELECT id, agent_id, conversation_pk, content FROM messages WHERE id > ? AND id <= ? AND kind != 'action' "
    "ORDER BY id"
)
_TAIL_NAMES = "SELECT id, conversation_id, name, customer_id FROM conversations WHERE id > ? AND id <= ?"


class Progress(NamedTuple):
    """How far the index has come: the last message and the last conversation that it knows, by database id."""

    message_id: int
    conversation_pk: int


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Tell whether this process's SQLite has FTS5 with trigrams."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(_CREATE[0])
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
        for table, create in _incomplete(handle).items():
            handle.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in (create, *_FILL[table]):
                handle.execute(statement)
        handle.execute(_REACHED)
        handle.execute("UPDATE agents SET has_search_gap = 0")
        handle.execute("COMMIT")
    except BaseException:
        if handle.in_transaction:
            handle.execute("ROLLBACK")
        raise


def _incomplete(handle: sqlite3.Connection) -> dict[str, str]:
    """Return the statements that make those tables that are not there as they should be, or do not know everything."""
    made = dict(handle.execute("SELECT name, sql FROM sqlite_master WHERE name IN (?, ?)", TABLES).fetchall())
    (gaps,) = handle.execute("SELECT count(*) FROM agents WHERE has_search_gap").fetchone()
    reached, last = handle.execute(_PROGRESS).fetchone(), handle.execute(_LAST).fetchone()
    is_behind = max(end - start for start, end in zip(reached, last, strict=True)) > _AT_ONCE
    is_lost = bool(gaps) or is_behind
    return {table: sql for table, sql in zip(TABLES, _CREATE, strict=True) if is_lost or made.get(table) != sql}


def can_search(connection: Connection, agent_id: int) -> bool:
    """Tell whether the index knows all that the agent's conversations say."""
    if not is_available():
        return False
    there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name IN (?, ?)", TABLES).all()
    gap = select(agents.c.has_search_gap).where(agents.c.id == agent_id)
    return len(there) == len(TABLES) and not connection.execute(gap).scalar()


def progress(connection: Connection) -> Progress:
    """Return how far the index has come."""
    return Progress(*connection.exec_driver_sql(_PROGRESS).one())


def catch_up(connection: Connection) -> None:
    """Index what was stored since the last time, inside a `write` block, once it is `TAIL` or more."""
    if not is_available():
        return
    reached, last = progress(connection), Progress(*connection.exec_driver_sql(_LAST).one())
    ahead = Progress(*(min(end, start + _AT_ONCE) for start, end in zip(reached, last, strict=True)))
    if max(last.message_id - reached.message_id, last.conversation_pk - reached.conversation_pk) < TAIL:
        return
    _add_messages(connection, reached.message_id, ahead.message_id)
    bounds = (reached.conversation_pk, ahead.conversation_pk)
    names = connection.exec_driver_sql(_TAIL_NAMES, bounds).all()
    _execute(connection, _ADD_NAMES, [(row[0], *_folded((row[1], row[2], row[3]))) for row in names])
    connection.exec_driver_sql("UPDATE search_progress SET messages_until = ?, conversations_until = ?", tuple(ahead))


def _add_messages(connection: Connection, after: int, until: int) -> None:
    texts: dict[tuple[int, int], list[str]] = {}
    bounds: dict[tuple[int, int], tuple[int, int]] = {}
    for message_id, agent_id, pk, text in connection.exec_driver_sql(_TAIL_MESSAGES, (after, until)):
        key = agent_id, pk
        texts.setdefault(key, []).append(text)
        bounds[key] = bounds[key][0] if key in bounds else message_id, message_id
    first = next_id(connection, search_documents) if texts else 0
    documents = [(first + place, *key, *bounds[key]) for place, key in enumerate(texts)]
    insert_rows(connection, search_documents, documents, with_id=True)
    folded = [(first + place, "\n".join(lines).casefold()) for place, lines in enumerate(texts.values())]
    _execute(connection, _ADD_MESSAGES, folded)


def change_names(connection: Connection, agent_id: int, changes: Sequence[tuple[int, Names, Names | None]]) -> None:
    """Tell the index of conversations' names: (database id, names before, names after); None where they go."""
    if not is_available():
        _mark_gap(connection, agent_id)
        return
    known = progress(connection).conversation_pk if changes else 0
    indexed = [change for change in changes if change[0] <= known and change[1] != change[2]]
    _execute(connection, _REMOVE_NAMES, [(pk, *_folded(before)) for pk, before, _ in indexed])
    _execute(connection, _ADD_NAMES, [(pk, *_folded(after)) for pk, _, after in indexed if after is not None])


def _folded(names: Names) -> tuple[str, ...]:
    return tuple((name or "").casefold() for name in names)


def forget(connection: Connection, conversation_pks: Iterable[int]) -> None:
    """Take conversations out of the index, before their rows are removed.

    Their trigrams are marked as gone; `optimize` rewrites the index without them.
    """
    if not is_available():
        return
    for pk in conversation_pks:
        of_conversation = search_documents.c.conversation_pk == pk
        for document in connection.execute(select(search_documents).where(of_conversation)).all():
            text = "\n".join(connection.execute(_texts(document)).scalars())
            _execute(connection, _REMOVE_MESSAGES, [(document.id, text.casefold())])
        connection.execute(search_documents.delete().where(of_conversation))
        names = (conversations.c.conversation_id, conversations.c.name, conversations.c.customer_id)
        row = connection.execute(select(conversations.c.agent_id, *names).where(conversations.c.id == pk)).one_or_none()
        if row is not None:
            change_names(connection, row[0], [(pk, (row[1], row[2], row[3]), None)])


def optimize(connection: Connection) -> None:
    """Rewrite the index without what was taken out of it: nothing of that remains. Takes seconds per gigabyte."""
    if is_available():
        for table in TABLES:
            connection.exec_driver_sql(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608


def _mark_gap(connection: Connection, agent_id: int) -> None:
    connection.execute(update(agents).where(agents.c.id == agent_id).values(has_search_gap=True))


def _texts(document: Any) -> Any:
    between = messages.c.id.between(document.first_message_id, document.last_message_id)
    of_document = (messages.c.conversation_pk == document.conversation_pk, messages.c.kind != "action", between)
    return select(messages.c.content).where(*of_document).order_by(messages.c.id)


def _execute(connection: Connection, sql: str, rows: list[Any]) -> None:
    if rows:
        connection.exec_driver_sql(sql, rows)
