"""The search index: which documents have three characters in a row, by FTS5 with trigrams.

In: texts of messages and names of conversations. Out: two virtual tables, and how far they have come.
Loses: nothing. What was stored since is the tail: at most about `TAIL` messages, which whoever searches reads through.
They are indexed together, which costs half of what it costs in every transaction.

Where SQLite has no FTS5 the tail grows, and a name that changes marks the agent's index as having a gap: nobody trusts
it then, and the next process whose SQLite has FTS5 makes it anew.

``message_search`` has a document for what one stretch of messages adds to one conversation (`search_documents` says
which): a word that is said often there costs once. What an action says is not in it: `conversation_actions` has
the names. ``id_search``, ``name_search`` and ``customer_search`` have one for each conversation, where it is not empty.
Texts are case-folded. None keeps text or positions: whoever finds candidates here looks into the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select, update

from agentsight_auto.store import search_tables
from agentsight_auto.store.bulk import driver, insert_rows, next_id
from agentsight_auto.store.conversation_state import Names
from agentsight_auto.store.schema import agents, conversations, messages, search_documents
from agentsight_auto.store.search_tables import NAME_TABLES, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TAIL = 4_000
"""Messages, or conversations, that are indexed together. Reading through so many takes about two milliseconds."""

_ADD = "INSERT INTO {0} (rowid, content) VALUES (?, ?)"
_REMOVE = "INSERT INTO {0} ({0}, rowid, content) VALUES ('delete', ?, ?)"
_TAIL_MESSAGES = (
    "SELECT id, agent_id, conversation_pk, content FROM messages WHERE id > ? AND id <= ? AND kind != 'action' "
    "ORDER BY id"
)
_TAIL_NAMES = "SELECT id, conversation_id, name, customer_id FROM conversations WHERE id > ? AND id <= ?"


class Progress(NamedTuple):
    """How far the index has come: the last message and the last conversation that it knows, by database id."""

    message_id: int
    conversation_pk: int


def progress(connection: Connection) -> Progress:
    """Return how far the index has come."""
    return Progress(*connection.exec_driver_sql(search_tables.PROGRESS).one())


def catch_up(connection: Connection) -> None:
    """Index what was stored since the last time, inside a `write` block, once it is `TAIL` or more."""
    if not search_tables.is_available():
        return
    reached, last = progress(connection), Progress(*connection.exec_driver_sql(search_tables.LAST).one())
    ahead = Progress(*(min(end, start + search_tables.AT_ONCE) for start, end in zip(reached, last, strict=True)))
    if max(last.message_id - reached.message_id, last.conversation_pk - reached.conversation_pk) < TAIL:
        return
    _add_messages(connection, reached.message_id, ahead.message_id)
    bounds = (reached.conversation_pk, ahead.conversation_pk)
    told = connection.exec_driver_sql(_TAIL_NAMES, bounds).all()
    _change_names(connection, _ADD, [(pk, names) for pk, *names in told])
    connection.exec_driver_sql("UPDATE search_progress SET messages_until = ?, conversations_until = ?", tuple(ahead))


def _add_messages(connection: Connection, after: int, until: int) -> None:
    told: dict[int, tuple[list[int], list[str]]] = {}
    for message_id, agent_id, pk, text in driver(connection).execute(_TAIL_MESSAGES, (after, until)):
        document = told.get(pk)
        if document is None:
            told[pk] = [agent_id, pk, message_id, message_id], [text]
        else:
            document[0][3] = message_id
            document[1].append(text)
    first = next_id(connection, search_documents) if told else 0
    documents = [(number, *columns) for number, (columns, _) in enumerate(told.values(), first)]
    insert_rows(connection, search_documents, documents, with_id=True)
    folded = [(number, "\n".join(texts).casefold()) for number, (_, texts) in enumerate(told.values(), first)]
    _execute(connection, _ADD.format("message_search"), folded)


def change_names(connection: Connection, agent_id: int, changes: Sequence[tuple[int, Names, Names | None]]) -> None:
    """Tell the index of conversations' names: (database id, names before, names after); None where they go."""
    if not search_tables.is_available():
        _mark_gap(connection, agent_id)
        return
    known = progress(connection).conversation_pk if changes else 0
    indexed = [change for change in changes if change[0] <= known and change[1] != change[2]]
    _change_names(connection, _REMOVE, [(pk, before) for pk, before, _ in indexed])
    _change_names(connection, _ADD, [(pk, after) for pk, _, after in indexed if after is not None])


def _change_names(connection: Connection, sql: str, told: Sequence[tuple[int, Sequence[str | None]]]) -> None:
    """Add or remove names, each in the table of its column; what is empty is in none."""
    for place, table in enumerate(NAME_TABLES):
        named = [(pk, name.casefold()) for pk, names in told if (name := names[place])]
        _execute(connection, sql.format(table), named)


def forget(connection: Connection, conversation_pks: Iterable[int]) -> None:
    """Take conversations out of the index, before their rows are removed.

    Their trigrams are marked as gone; `optimize` rewrites the index without them.
    """
    if not search_tables.is_available():
        return
    for pk in conversation_pks:
        of_conversation = search_documents.c.conversation_pk == pk
        for document in connection.execute(select(search_documents).where(of_conversation)).all():
            text = "\n".join(connection.execute(_texts(document)).scalars())
            _execute(connection, _REMOVE.format("message_search"), [(document.id, text.casefold())])
        connection.execute(search_documents.delete().where(of_conversation))
        names = (conversations.c.conversation_id, conversations.c.name, conversations.c.customer_id)
        row = connection.execute(select(conversations.c.agent_id, *names).where(conversations.c.id == pk)).one_or_none()
        if row is not None:
            change_names(connection, row[0], [(pk, (row[1], row[2], row[3]), None)])


def optimize(connection: Connection) -> None:
    """Rewrite the index without what was taken out of it: nothing of that remains. Takes seconds per gigabyte."""
    if search_tables.is_available():
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
        driver(connection).executemany(sql, rows)
