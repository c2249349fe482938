"""Search in texts: the index, the walk and the plain scan answer alike, and a count is remembered until a write."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as sqlalchemy_event

from agentsight_auto._ids import IdSource
from agentsight_auto.events import Action, AnyEvent, ConversationStarted, Feedback, Message
from agentsight_auto.query import counts, pages, plan
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store import search_index, search_tables
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database

T0_US = 1_795_000_000_000_000
ids = IdSource()
_agents = (f"agent {number}" for number in itertools.count())


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One store for all tests of this module, which keep apart by agent."""
    database = Database.open(tmp_path_factory.mktemp("search") / "store.db")
    yield database
    database.close()


@pytest.fixture(autouse=True, params=["indexed", "not indexed yet"])
def _tail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask everything of the index, and of what it does not know yet."""
    monkeypatch.setattr(search_index, "TAIL", 1 if request.param == "indexed" else 10**6)


@pytest.fixture
def backend(database: Database, tmp_path: Path) -> EmbeddedBackend:
    """An agent without conversations."""
    return EmbeddedBackend(database, AttachmentFolder(tmp_path / "attachments"), agent=next(_agents))


def said(number: int, content: str, *, to: str | None = None) -> Message:
    """Return a message of conversation `number`, which begins so many seconds after the beginning of time."""
    at_us = T0_US + number * 1_000_000
    return Message(ids.next(at_us), to or f"c{number}", at_us, "end_user", content)


def texts(backend: EmbeddedBackend, **filters: Any) -> list[str]:
    """Return the text ids of all that match, page by page, and check the count against them."""
    found: list[str] = []
    page = backend.fetch_conversations(page_size=3, filters=filters)
    total = page["count"]
    while True:
        found += [shape["conversation_id"] for shape in page["results"]]
        if page["next"] is None:
            assert total == len(found)
            return found
        cursor = page["next"].partition("cursor=")[2]
        page = backend.fetch_conversations(page_size=3, cursor=cursor, count=False, filters=filters)


_piece = st.sampled_from(["zeb", "bra", "a", "ß", "SS", "É", "é", "%", "_", "\\", '"', " ", "\n", "AND", "漢字", "İ"])
_text = st.lists(_piece, max_size=5).map("".join)


@pytest.mark.parametrize("limits", [(500, 2_000, 8_000), (2, 2, 3), (0, 0, 0)])
@given(contents=st.lists(_text, min_size=1, max_size=12), needle=_text.filter(bool))
@settings(max_examples=40, deadline=None)
def test_every_way_finds_what_python_finds(
    database: Database, tmp_path_factory: pytest.TempPathFactory, limits: tuple[int, int, int],
    contents: list[str], needle: str,
) -> None:  # fmt: skip
    """Few, some or many candidates, walking or gathering: the same conversations, in the documented order."""
    reader = EmbeddedBackend(database, AttachmentFolder(tmp_path_factory.getbasetemp()), agent=next(_agents))
    reader.ingest([said(number, content) for number, content in enumerate(contents)])
    folded = str.casefold if not needle.isascii() else ascii_lower
    expected = [f"c{number}" for number, content in enumerate(contents) if folded(needle) in folded(content)][::-1]
    few, some, most = limits
    with (
        mock.patch.multiple(
            plan,
            _FEW=some,
            _SOME=most,
            _SOME_TEXTS=most,
            _SOME_ROWS=some,
            _TOGETHER=most,
            MOST_COUNTED=most,
        ),
        mock.patch.object(counts, "MOST_COUNTED", most),
        mock.patch.object(pages, "WINDOW", 4 if few else 1),
    ):
        assert texts(reader, message_contains=needle) == expected


def ascii_lower(text: str) -> str:
    """Fold the case of ASCII letters alone."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def test_without_fts5_the_same_is_found(backend: EmbeddedBackend) -> None:
    """A SQLite that has no FTS5 reads the messages themselves."""
    backend.ingest([said(1, "zebra"), said(2, "quagga")])
    with mock.patch.object(search_tables, "is_available", return_value=False):
        assert texts(backend, message_contains="ZEB") == ["c1"]


def test_an_action_is_found_by_the_message_it_is(backend: EmbeddedBackend) -> None:
    """The documented message of an action is not in the index, its name leads to it."""
    at_us = T0_US + 5
    backend.ingest([said(1, "hello"), Action(ids.next(at_us), "c1", at_us, "find_zebra"), said(2, "zebra crossing")])
    assert texts(backend, message_contains="zebra") == ["c2", "c1"]
    assert texts(backend, message_contains="Action find_zebra perf") == ["c1"]
    assert texts(backend, message_contains="zebra perf") == ["c1"]


def test_names_ids_and_customers_are_searched(backend: EmbeddedBackend) -> None:
    """`search` finds a conversation by its name, its id, its customer or what is said; a deleted one is not found."""
    starts = [
        ConversationStarted(ids.next(T0_US + n), text_id, T0_US + n, customer_id=customer, name=name)
        for n, (text_id, customer, name) in enumerate(
            [("order-zebra", None, None), ("c2", "zebra-17", None), ("c3", None, "The Zebra"), ("c4", "gnu", "gnu")]
        )
    ]
    backend.ingest([*starts, said(9, "a zebra!", to="c5"), said(9, "none", to="c6")])
    assert set(texts(backend, search="zebra")) == {"order-zebra", "c2", "c3", "c5"}
    assert texts(backend, name="zebra") == ["c3"]
    assert texts(backend, name="order") == []
    assert texts(backend, customer_id__icontains="EBRA-") == ["c2"]
    backend.delete_conversation("c3")
    assert texts(backend, name="zebra") == []
    assert texts(backend, name="zebra", include_deleted=True) == ["c3"]


def test_members_that_are_all_old_are_found_beyond_the_window(backend: EmbeddedBackend) -> None:
    """A walk that meets too few in its window is given up, and the page is full all the same."""
    events: list[AnyEvent] = [said(number, "hello") for number in range(60)]
    for number in range(5, 25):
        at_us = T0_US + number * 1_000_000
        events.append(Feedback(ids.next(at_us), f"c{number}", at_us, "negative"))
    backend.ingest(events)
    with mock.patch.multiple(plan, _FEW=2, _SOME_ALONE=3), mock.patch.object(pages, "WINDOW", 5):
        assert texts(backend, feedback_sentiment="negative") == [f"c{number}" for number in range(24, 4, -1)]
        answer = backend.fetch_conversations(page=2, page_size=5, filters={"feedback_sentiment": "negative"})
    assert [shape["conversation_id"] for shape in answer["results"]] == ["c19", "c18", "c17", "c16", "c15"]
    assert answer["count"] == 20


def test_a_count_is_remembered_until_something_is_written(backend: EmbeddedBackend, database: Database) -> None:
    """The second count reads no conversation; any write, also another agent's, makes it void."""
    backend.ingest([said(number, "zebra") for number in range(4)])
    counted: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        counted.extend([statement] if "count(" in statement.lower() else [])

    with database.read() as connection:
        engine = connection.engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        ask = lambda: backend.fetch_conversations(page_size=2, filters={"message_contains": "zebra"})["count"]  # noqa: E731
        assert ask() == 4
        assert counted
        counted.clear()
        assert ask() == 4
        assert not counted
        backend.delete_conversation("c1")
        assert ask() == 3
        backend.ingest([said(9, "zebra")])
        assert ask() == 4
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)
