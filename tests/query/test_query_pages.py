from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as sqlalchemy_event

from agentsight_auto.events import ConversationStarted
from agentsight_auto.exceptions import InvalidQueryException, NotFoundException

from .story import START_US, Story

COUNT = 23
ORDERINGS = ["started_at", "ended_at", "id", "customer_id", "is_marked", "language"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Conversations in fours that began at the same microsecond; every third has no customer, some are marked."""
    story = Story(tmp_path_factory.mktemp("shelf"))
    for number in range(COUNT):
        story.started(
            f"c{number}", number // 4, name="even" if number % 2 == 0 else "odd",
            customer_id=None if number % 3 == 0 else f"u{number % 5}", language="en" if number % 4 else None,
        )  # fmt: skip
        story.backend.mark_conversation(f"c{number}", number % 5 == 0)
    yield story
    story.database.close()


def ids(page: dict[str, Any]) -> list[str]:
    """Return the text ids on a page."""
    return [conversation["conversation_id"] for conversation in page["results"]]


def follow(story: Story, url: str) -> dict[str, Any]:
    """Ask for the page of a `next` or `previous` URL with the parameters that it carries."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://api.agentsight.io/api/conversations/"
    asked: dict[str, Any] = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    paging = {name: asked.pop(name) for name in ("page", "page_size", "cursor")}
    return story.backend.fetch_conversations(**paging, filters=asked)


def all_pages(story: Story, size: int, **filters: Any) -> list[dict[str, Any]]:
    """Follow `next` from the first page to the last."""
    pages = [story.backend.fetch_conversations(page_size=size, filters=filters)]
    while pages[-1]["next"]:
        pages.append(follow(story, pages[-1]["next"]))
    return pages


def test_the_order_is_newest_first_then_highest_id(shelf: Story) -> None:
    """Conversations of the same microsecond come by id, the highest first."""
    assert shelf.ids() == [f"c{number}" for number in reversed(range(COUNT))]


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 30),
    ordering=st.sampled_from([None, *ORDERINGS, *(f"-{name}" for name in ORDERINGS)]),
    name=st.sampled_from([None, "odd", "even"]),
)
def test_pages_together_are_the_whole_list(shelf: Story, size: int, ordering: str | None, name: str | None) -> None:
    """By cursor and by page number, forwards and back, no conversation is missing or shown twice."""
    whole = shelf.ids(ordering=ordering, name=name)
    pages = all_pages(shelf, size, ordering=ordering, name=name)
    assert [key for page in pages for key in ids(page)] == whole
    assert {page["count"] for page in pages} == {len(whole)}
    for number, page in enumerate(pages, 1):
        by_number = shelf.backend.fetch_conversations(
            page=number, page_size=size, filters={"ordering": ordering, "name": name}
        )
        assert ids(by_number) == ids(page)
        assert by_number["count"] == len(whole)
    assert pages[0]["previous"] is None
    backwards = [pages[-1]]
    while backwards[-1]["previous"]:
        backwards.append(follow(shelf, backwards[-1]["previous"]))
        assert len(backwards) <= len(pages) + 1
    assert [key for page in reversed(backwards) for key in ids(page)] == whole


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(1, 5),
    arrivals=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), max_size=6),
    data=st.data(),
)
def test_new_conversations_neither_skip_nor_repeat_a_row(
    tmp_path_factory: pytest.TempPathFactory, size: int, arrivals: list[tuple[int, int]], data: st.DataObject
) -> None:
    """While pages are turned conversations arrive, newer and older ones: each old one is still seen exactly once."""
    story = Story(tmp_path_factory.mktemp("arrivals"))
    story.store(*(ConversationStarted(story.event_id(), f"old{n}", START_US + n // 2) for n in range(9)))
    whole = story.ids()
    page = story.backend.fetch_conversations(page_size=size, filters={})
    seen = ids(page)
    while page["next"]:
        for _ in range(data.draw(st.integers(0, 2))):
            if arrivals:
                at, late = arrivals.pop()
                story.started(f"new{at}-{late}-{len(arrivals)}", at)
        page = follow(story, page["next"])
        seen += ids(page)
    assert [key for key in seen if key.startswith("old")] == whole
    assert len(seen) == len(set(seen))
    story.database.close()


def test_urls_carry_the_filters_the_page_and_a_cursor(shelf: Story) -> None:
    """`next` is the documented URL; its filters are text that means the same."""
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    filters = {"started_at_after": moment, "has_messages": False, "name": "o", "nothing": "here", "metadata": None}
    page = shelf.backend.fetch_conversations(page=2, page_size=3, filters=filters)
    query = parse_qs(urlsplit(page["next"]).query)
    assert query.pop("cursor")
    assert query == {
        "started_at_after": ["2026-01-01T00:00:00.000000Z"], "has_messages": ["false"], "name": ["o"],
        "page_size": ["3"], "page": ["3"],
    }  # fmt: skip
    assert parse_qs(urlsplit(page["previous"]).query)["page"] == ["1"]
    assert ids(follow(shelf, page["previous"])) == ids(shelf.backend.fetch_conversations(page_size=3, filters=filters))


@pytest.mark.parametrize(
    ("asked", "rows"),
    [(1, 1), (0, 1), (-1, 1), (-(10**30), 1), (7, 7), ("7", 7), (1000, COUNT), (10**30, COUNT), ("9" * 5000, COUNT)],
    ids=lambda value: str(value)[:12],
)
def test_the_page_size_is_clamped(shelf: Story, asked: int | str, rows: int) -> None:
    """Below 1 is 1, above 100 is 100, whatever the number."""
    page = shelf.backend.fetch_conversations(page_size=asked, filters={})  # type: ignore[arg-type]
    assert len(page["results"]) == rows
    if page["next"]:
        assert parse_qs(urlsplit(page["next"]).query)["page_size"] == [str(rows)]


def test_at_most_a_hundred_rows_are_on_a_page(story: Story) -> None:
    """A page size of 1000 gives a hundred rows and a next page; the default is ten."""
    story.store(*(ConversationStarted(story.event_id(), f"c{n}", START_US + n) for n in range(101)))
    page = story.backend.fetch_conversations(page_size=1000, filters={})
    assert (len(page["results"]), page["count"]) == (100, 101)
    assert ids(follow(story, page["next"])) == ["c0"]
    assert len(story.backend.fetch_conversations(filters={})["results"]) == 10


@pytest.mark.parametrize(
    "page", [0, -1, 4, 10**18, -(10**18), 10**30, "0", "4", "-5", "9" * 5000], ids=lambda v: str(v)[:9]
)
def test_a_page_that_is_not_there_is_not_found(shelf: Story, page: int) -> None:
    """Page 0, negative pages and pages past the end have status 404."""
    with pytest.raises(NotFoundException) as caught:
        shelf.backend.fetch_conversations(page=page, filters={})
    assert caught.value.status_code == 404


def test_the_first_page_of_nothing_is_empty(story: Story) -> None:
    """No conversations at all is an answer, not an error; a second page of nothing is none."""
    empty = {"count": 0, "next": None, "previous": None, "results": []}
    assert story.backend.fetch_conversations(filters={}) == empty
    with pytest.raises(NotFoundException):
        story.backend.fetch_conversations(page=2, filters={})


@pytest.mark.parametrize("name", ["page", "page_size"])
@pytest.mark.parametrize("value", ["x", "", "1.5", 1.5, None, True, [1], "\u0661", "1e3"])
def test_numbers_that_cannot_be_read_are_refused(shelf: Story, name: str, value: Any) -> None:
    """The error names the parameter and asks for a whole number."""
    with pytest.raises(InvalidQueryException, match=f"^{name}: .*whole number"):
        shelf.backend.fetch_conversations(**{name: value}, filters={})


def cursor_of(page: dict[str, Any]) -> str:
    """Return the cursor of the next page."""
    return parse_qs(urlsplit(page["next"]).query)["cursor"][0]


def test_a_cursor_of_another_ordering_is_refused(shelf: Story) -> None:
    """A place in one order means nothing in another."""
    cursor = cursor_of(shelf.backend.fetch_conversations(filters={}))
    with pytest.raises(InvalidQueryException, match=r"^cursor: "):
        shelf.backend.fetch_conversations(cursor=cursor, filters={"ordering": "id"})


def forged(cursor: str, change: bytes) -> str:
    """Return a cursor with bytes put in after its checksum."""
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    return base64.urlsafe_b64encode(raw[:4] + change + raw[4:]).decode().rstrip("=")


@pytest.mark.parametrize(
    "text", ["", "x", "%", "ä", "\0", "AAAA", "A" * 60_000, "\ud800", 7, b"x", ["c"]], ids=lambda v: repr(v)[:9]
)
def test_garbage_is_no_cursor(shelf: Story, text: Any) -> None:
    """Whatever is not a cursor is refused as one."""
    with pytest.raises(InvalidQueryException, match=r"^cursor: "):
        shelf.backend.fetch_conversations(cursor=text, filters={})


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_cursor_is_refused(shelf: Story, data: st.DataObject) -> None:
    """Changing any character of a cursor, or adding bytes, makes it garbage."""
    cursor = cursor_of(shelf.backend.fetch_conversations(page_size=2, filters={}))
    position = data.draw(st.integers(0, len(cursor) - 2))  # the last character has bits that mean nothing
    letter = data.draw(st.sampled_from("AZaz09-_").filter(lambda letter: letter != cursor[position]))
    for text in (cursor[:position] + letter + cursor[position + 1 :], forged(cursor, data.draw(st.binary(min_size=1)))):
        with pytest.raises(InvalidQueryException):
            shelf.backend.fetch_conversations(cursor=text, filters={})


def test_a_cursor_is_safe_in_a_url(shelf: Story) -> None:
    """It needs no escaping."""
    cursor = cursor_of(shelf.backend.fetch_conversations(page_size=2, filters={"ordering": "customer_id"}))
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_page_without_a_count_counts_nothing(shelf: Story) -> None:
    """count=False answers null, and no statement counts. Spelt as nowhere else: other tests' counts are remembered."""
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement.lower())

    with shelf.database.read() as connection:
        engine = connection.engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        without = shelf.backend.fetch_conversations(count=False, filters={"name": "oDd"})
        assert without["count"] is None
        assert not any("count(" in statement for statement in statements)
        assert shelf.backend.fetch_conversations(filters={"name": "oDd"})["count"] == 11
        assert sum("count(" in statement for statement in statements) == 1
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)


def test_a_cursor_whose_rows_are_gone_gives_an_empty_page(story: Story) -> None:
    """When the rest of the list is deleted while pages are turned, the last page is empty rather than an error."""
    for number in range(3):
        story.started(f"c{number}", number)
    page = story.backend.fetch_conversations(page_size=2, filters={})
    story.backend.delete_conversation("c0")
    last = follow(story, page["next"])
    assert (last["results"], last["next"]) == ([], None)


def test_deep_pages_by_cursor_use_the_index(shelf: Story, caplog: pytest.LogCaptureFixture) -> None:
    """The plan of a page beyond a place walks the index in order: no sorting, and a range on the start."""
    with shelf.database.read() as connection:
        engine = connection.engine
        seen: list[tuple[str, Any]] = []

        def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
            seen.append((statement, parameters))

        cursor = cursor_of(shelf.backend.fetch_conversations(page_size=2, filters={}))
        sqlalchemy_event.listen(engine, "before_cursor_execute", note)
        try:
            shelf.backend.fetch_conversations(cursor=cursor, page_size=2, count=False, filters={})
        finally:
            sqlalchemy_event.remove(engine, "before_cursor_execute", note)
        statement, parameters = next(call for call in seen if "ORDER BY conversations.started_at_us" in call[0])
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    text = " ".join(str(row[-1]) for row in plan)
    assert "started_at_us<" in text
    assert "TEMP B-TREE" not in text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
