"""The search index: it knows what was said whatever happens to the store, and forgets what it is told to forget."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from unittest import mock

import pytest

from agentsight_auto.store import edit, search_index, search_tables
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest
from agentsight_auto.store.schema import conversations

from .material import conversation, rows, said, started


@contextmanager
def a_sqlite_without_fts5() -> Iterator[None]:
    """Let the store take this process's SQLite for one that has no FTS5."""
    with mock.patch.object(search_tables, "is_available", return_value=False):
        yield


@pytest.fixture(autouse=True)
def _no_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index everything at once."""
    monkeypatch.setattr(search_index, "TAIL", 1)


def found(database: Database, table: str, *trigrams: str) -> set[int]:
    """Return the conversations whose documents have all the trigrams."""
    match = " AND ".join(f'"{trigram}"' for trigram in trigrams)
    if table in search_tables.NAME_TABLES:
        sql = f"SELECT rowid FROM {table} WHERE {table} MATCH :m"
        return {row["rowid"] for row in rows(database, sql, m=match)}
    sql = (
        "SELECT conversation_pk FROM message_search AS s JOIN search_documents AS d ON d.id = s.rowid "
        "WHERE message_search MATCH :m"
    )
    return {row["conversation_pk"] for row in rows(database, sql, m=match)}


def index_bytes(database: Database) -> bytes:
    """Return all that the index of messages keeps."""
    return b"".join(row["block"] for row in rows(database, "SELECT block FROM message_search_data"))


def test_what_is_said_is_found_at_once(database: Database) -> None:
    """A message can be looked up in the transaction after the one that stored it, in any case."""
    ingest(database, [said("Where is the ZEBRA?", to="c1"), said("nowhere", to="c2")])
    assert found(database, "message_search", "zeb", "bra") == {conversation(database)["id"]}


def test_a_conversation_that_goes_on_is_found_by_its_later_words(database: Database) -> None:
    """Each batch adds a document to the same conversation."""
    ingest(database, [said("first")])
    ingest(database, [said("second", at=1)])
    assert found(database, "message_search", "sec", "ond") == found(database, "message_search", "fir", "rst")
    assert len(rows(database, "SELECT id FROM search_documents")) == 2


def test_names_follow_events_and_edits(database: Database) -> None:
    """The index of names knows the name that holds now, and no longer the one before."""
    ingest(database, [started(name="Zebra")])
    pk = conversation(database)["id"]
    assert found(database, "name_search", "zeb") == {pk}
    edit.rename_conversation(database, database.agent_id(), pk, "Quagga")
    assert found(database, "name_search", "zeb") == set()
    assert found(database, "name_search", "qua", "gga") == {pk}
    ingest(database, [started(at=1, customer_id="okapi")])
    assert found(database, "customer_search", "oka") == {pk}


def test_a_store_written_without_fts5_is_indexed_by_the_next_that_has_it(database: Database) -> None:
    """The gap is remembered, nobody trusts the index meanwhile, and opening the file fills it."""
    ingest(database, [said("before")])
    with a_sqlite_without_fts5():
        ingest(database, [said("zebra", to="c2")])
    with database.read() as connection:
        assert search_tables.read_extent(connection, database.agent_id()) is None
    database.close()
    again = Database.open(database.path)
    with again.read() as connection:
        assert search_tables.read_extent(connection, again.agent_id()) is not None
    assert found(again, "message_search", "zeb") == {conversation(again, "c2")["id"]}
    assert found(again, "message_search", "bef") == {conversation(again)["id"]}
    again.close()


def test_a_file_without_an_index_gets_one(database: Database) -> None:
    """What an earlier version stored is found after the file was opened, exactly as if it had been indexed at once."""
    ingest(database, [started(name="Okapi"), said("Straße", at=1), said("zebra", at=2), said("gnu", to="c2")])
    before = [found(database, "message_search", *trigrams) for trigrams in (("zeb", "ebr"), ("ass", "sse"), ("gnu",))]
    database.close()
    with closing(sqlite3.connect(database.path)) as connection:
        for table in search_tables.TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.commit()
    again = Database.open(database.path)
    after = [found(again, "message_search", *trigrams) for trigrams in (("zeb", "ebr"), ("ass", "sse"), ("gnu",))]
    assert before == after
    assert all(after)
    assert found(again, "name_search", "oka") == {conversation(again)["id"]}
    again.close()


def test_nothing_of_a_forgotten_conversation_remains(database: Database) -> None:
    """After forgetting and optimizing neither index has a trigram that only that conversation had."""
    ingest(database, [started(name="wyvern"), said("xylophone", at=1), said("zebra", to="c2")])
    ingest(database, [said("qoph", at=2)])
    assert b"xyl" in index_bytes(database)
    pk = conversation(database)["id"]
    with database.write() as connection:
        search_index.forget(connection, [pk])
        connection.execute(conversations.delete().where(conversations.c.id == pk))
        search_index.optimize(connection)
    assert not any(found(database, "message_search", trigram) for trigram in ("xyl", "qop"))
    assert not found(database, "name_search", "wyv")
    assert not any(trigram in index_bytes(database) for trigram in (b"xyl", b"qop", b"oph"))
    assert found(database, "message_search", "zeb") == {conversation(database, "c2")["id"]}


def test_what_cannot_be_stored_leaves_no_document(database: Database) -> None:
    """A rejected event of a batch is not in the index, those beside it are."""
    answers = ingest(database, [said("zebra"), said("quagga\ud800", at=1), said("okapi", at=2)])
    assert [answer.status for answer in answers] == ["stored", "rejected", "stored"]
    assert found(database, "message_search", "oka") == found(database, "message_search", "zeb") != set()
    assert not found(database, "message_search", "qua")


def test_what_was_stored_is_indexed_together(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is indexed before the tail has its length; then all of it is, as one document a conversation."""
    monkeypatch.setattr(search_index, "TAIL", 4)
    for number, word in enumerate(("zebra", "gnu", "okapi")):
        ingest(database, [said(word, at=number)])
    assert not found(database, "message_search", "zeb")
    ingest(database, [started(to="c2", name="Quagga"), said("quagga", to="c2")])
    (first,) = {conversation(database)["id"]}
    assert found(database, "message_search", "zeb", "oka") == {first}
    assert found(database, "name_search", "qua") == {conversation(database, "c2")["id"]}
    assert len(rows(database, "SELECT id FROM search_documents")) == 2


def test_a_message_never_gets_the_number_of_an_erased_one_that_is_indexed(database: Database) -> None:
    """Otherwise it would stand before the place that the index has reached, and never be indexed."""
    ingest(database, [said("zebra"), said("gnu", to="c2")])
    pk = conversation(database, "c2")["id"]
    with database.write() as connection:
        search_index.forget(connection, [pk])
        connection.execute(conversations.delete().where(conversations.c.id == pk))
    ingest(database, [said("okapi", to="c3")])
    assert found(database, "message_search", "oka") == {conversation(database, "c3")["id"]}


def test_a_name_that_changes_before_it_is_indexed_is_known_by_the_new_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to take out, and only the last name goes in."""
    monkeypatch.setattr(search_index, "TAIL", 3)
    ingest(database, [started(name="Zebra")])
    edit.rename_conversation(database, database.agent_id(), conversation(database)["id"], "Quagga")
    ingest(database, [started(to="c2"), started(to="c3")])
    assert found(database, "name_search", "zeb") == set()
    assert found(database, "name_search", "qua") == {conversation(database)["id"]}


def test_names_that_are_indexed_anew_leave_the_texts_where_they_are(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier file gets tables for names when it is opened; texts that wait to be indexed go on waiting."""
    monkeypatch.setattr(search_index, "TAIL", 3)
    ingest(database, [started(name="Okapi"), said("zebra")])
    database.close()
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("DROP TABLE name_search")
        connection.execute("CREATE TABLE name_search (content)")
        connection.commit()
    again = Database.open(database.path)
    assert found(again, "name_search", "oka") == {conversation(again)["id"]}
    ingest(again, [said("gnu", at=1), said("emu", at=2)])
    assert found(again, "message_search", "zeb", "ebr") == {conversation(again)["id"]}
    again.close()


def test_an_index_of_an_earlier_version_goes_on_as_it_is(database: Database) -> None:
    """Tables that fold what is folded already find the same; opening the file does not make them anew."""
    earlier = [sql.replace(" case_sensitive 1", "") for sql in made(database)]
    database.close()
    with closing(sqlite3.connect(database.path)) as connection:
        for table, sql in zip(search_tables.TABLES, earlier, strict=True):
            connection.execute(f"DROP TABLE {table}")
            connection.execute(sql)
    again = Database.open(database.path)
    ingest(again, [started(name="OKAPI"), said("Where is the ZEBRA?")])
    assert found(again, "message_search", "zeb", "bra") == found(again, "name_search", "oka") != set()
    assert made(again) == earlier
    again.close()


def made(database: Database) -> list[str]:
    """Return what made the tables of the index."""
    there = {row["name"]: row["sql"] for row in rows(database, "SELECT name, sql FROM sqlite_master")}
    return [there[table] for table in search_tables.TABLES]
