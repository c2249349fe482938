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
from agentsight_auto.query import page_ids, plan, search
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
        page = backend.fetch_conversations(page_size=3, cursor=cursor_in(page["next"]), count=False, filters=filters)


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
            _COUNTED_TEXTS=most,
        ),
        mock.patch.object(page_ids, "WINDOW", 4 if few else 1),
        mock.patch.object(search, "_RARE", few),
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
    with mock.patch.multiple(plan, _FEW=2, _SOME_ALONE=3), mock.patch.object(page_ids, "WINDOW", 5):
        assert texts(backend, feedback_sentiment="negative") == [f"c{number}" for number in range(24, 4, -1)]
        answer = backend.fetch_conversations(page=2, page_size=5, filters={"feedback_sentiment": "negative"})
    assert [shape["conversation_id"] for shape in answer["results"]] == ["c19", "c18", "c17", "c16", "c15"]
    assert answer["count"] == 20


def test_few_candidates_are_looked_into_until_a_page_is_full(backend: EmbeddedBackend) -> None:
    """Newer conversations that have all three letters of it, but not the word, hide none that has it."""
    decoys = [said(number, "ebr zeb bra") for number in range(10, 210)]
    backend.ingest([*decoys, *(said(number, "zebra") for number in range(8))])
    assert texts(backend, message_contains="zebra") == [f"c{number}" for number in range(7, -1, -1)]


@pytest.mark.parametrize("sorted_at_once", [True, False])
@pytest.mark.parametrize("share", [1, 2, 7])
@pytest.mark.parametrize("ordering", ["-started_at", "started_at", "-ended_at"])
def test_candidates_are_met_on_the_way_or_sorted(
    backend: EmbeddedBackend, ordering: str, share: int, sorted_at_once: bool
) -> None:
    """However many of the candidates have the word, and whichever way is taken: the same pages, forwards and back."""
    decoy, other = "ebr zeb bra", "hello"
    contents = ["zebra" if number % share == 0 else decoy if number % 2 else other for number in range(60)]
    backend.ingest([said(number, content) for number, content in enumerate(contents)])
    expected = [f"c{number}" for number, content in enumerate(contents) if content == "zebra"]
    filters = {"message_contains": "zebra", "ordering": ordering}
    with mock.patch.multiple(page_ids, _FEW=0, _SORTED=0 if sorted_at_once else 10**6):
        assert texts(backend, **filters) == (expected[::-1] if ordering.startswith("-") else expected)
        first = backend.fetch_conversations(page_size=3, filters=filters)
        second = backend.fetch_conversations(page_size=3, cursor=cursor_in(first["next"]), filters=filters)
        again = backend.fetch_conversations(page_size=3, cursor=cursor_in(second["previous"]), filters=filters)
        by_number = backend.fetch_conversations(page=2, page_size=3, filters=filters)
    assert second["results"] != first["results"] == again["results"]
    assert by_number["results"] == second["results"]


def cursor_in(url: str) -> str:
    """Return the cursor of a neighbour's URL."""
    return url.partition("cursor=")[2]


@pytest.mark.parametrize("probe", [0.0, 1e9], ids=["asking each row", "with sets of members"])
@pytest.mark.parametrize("word", [{}, {"message_contains": "hello"}])
def test_pages_by_number_are_the_same_on_every_way(
    backend: EmbeddedBackend, probe: float, word: dict[str, str]
) -> None:
    """Whether each row on the way is asked, or looked for in sets of all members, the same rows are on a page."""
    events: list[AnyEvent] = [said(number, "hello") for number in range(40)]
    for number in range(0, 40, 3):
        at_us = T0_US + number * 1_000_000
        events.append(Feedback(ids.next(at_us), f"c{number}", at_us, "negative"))
    backend.ingest(events)
    filters = {"feedback_sentiment": "negative", **word}
    found: list[str] = []
    with mock.patch.multiple(plan, _FEW=1, _SOME_ALONE=2, _SOME=2), mock.patch.object(page_ids, "_PROBE", probe):
        for number in range(1, 6):
            page = backend.fetch_conversations(page=number, page_size=3, filters=filters)
            assert page["count"] == 14
            found += [shape["conversation_id"] for shape in page["results"]]
    assert found == [f"c{number}" for number in range(39, -1, -3)]


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
