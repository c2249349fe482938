from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsight_auto.events import ConversationStarted, Message
from agentsight_auto.exceptions import ConversationTrackingException, InvalidQueryException
from agentsight_auto.query.filters import KNOWN_FILTERS

from .story import START_US, Story

TEXTS = [
    "%", "_", "\\", "%%%", "'", '"', "' OR 1=1 --", '";DROP TABLE messages;--', '"*^:NEAR', "(a+)+$", "$.plan",
    "a.b.c:d", "\0", "a\0b", "\ud800", "\U0010ffff", "", " ", "x" * 60_000, "%" * 60_000, "ä" * 60_000, "a:" * 30_000,
    "a," * 30_000, "2026-01-01T00:00:00", "0001-01-01", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00",
    "1767225600000", "9" * 5000, "1e999", "-0.0",
]  # fmt: skip
NUMBERS = [-1, 0, 2**63, -(2**63) - 1, 2**64, 10**18, 10**400, 10**5000, 1.5, float("nan"), float("inf"), True, False]
OTHERS = [b"\xff", [], {}, object(), {"a": {"b": "c"}}, ["x"] * 1000]
HOSTILE: list[Any] = [*TEXTS, *NUMBERS, *OTHERS]


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call answers, or the documented error that it raises."""
    try:
        return call()
    except ConversationTrackingException as error:
        return error


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Give a small store; nothing in this module changes it, except that messages are added."""
    story = Story(tmp_path_factory.mktemp("town"))
    story.started("c1", name="n", customer_id="u", metadata={"plan": "gold", "a.b": {"c": "d"}})
    story.human("c1", "100%_\\ 'quoted'")
    story.action("c1", "find")
    yield story
    story.database.close()


@pytest.mark.parametrize("name", KNOWN_FILTERS)
def test_a_hostile_filter_is_answered_or_refused(town: Story, name: str) -> None:
    """Whatever a filter's value, the answer is a page or a documented error."""
    for value in HOSTILE:
        answer = outcome(functools.partial(town.backend.fetch_conversations, filters={name: value}))
        if isinstance(answer, ConversationTrackingException):
            assert isinstance(answer, InvalidQueryException)
            assert len(str(answer)) < 600
        else:
            assert answer["count"] == len(answer["results"]) <= 2


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_every_call_survives_a_hostile_argument(town: Story, value: Any) -> None:
    """Ids, pages, cursors, metrics, exports and edits answer, or raise a documented error."""
    backend = town.backend
    calls = [
        lambda: backend.fetch_conversations(page=value, filters={}),
        lambda: backend.fetch_conversations(page_size=value, filters={}),
        lambda: backend.fetch_conversations(cursor=value, filters={}),
        lambda: backend.fetch_conversations(filters={"metadata_key": "plan", "metadata_value": value}),
        lambda: backend.fetch_conversation(value),
        lambda: backend.fetch_conversation_attachments(value),
        lambda: backend.stats({"escalation_actions": value}),
        lambda: backend.stats({"include_development": value}),
        lambda: list(backend.export_conversations({"search": value})),
        lambda: backend.known_event_ids([value]),
        lambda: backend.rename_conversation(value, "n"),
        lambda: backend.delete_conversation(value),
        lambda: backend.update_conversation("nobody", metadata={"a": value}),
        lambda: backend.submit_feedback("nobody", value, event_id="0" * 32, at_us=START_US),
        lambda: backend.submit_feedback("nobody", "positive", value, event_id="0" * 32, at_us=START_US),
    ]
    for call in calls:
        outcome(call)


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(KNOWN_FILTERS) | st.text(max_size=8),
        st.text(max_size=20) | st.integers() | st.booleans() | st.none() | st.floats() | st.datetimes() | st.dates(),
        max_size=4,
    )
)
def test_random_filters_are_answered_or_refused(town: Story, filters: dict[str, Any]) -> None:
    """No combination of values leads to another error than the documented ones."""
    for call in (lambda: town.backend.fetch_conversations(filters=filters), lambda: town.backend.stats(filters)):
        answer = outcome(call)
        assert isinstance(answer, dict | InvalidQueryException)


def test_stored_text_with_nul_does_no_harm(town: Story) -> None:
    """Text that came with NUL from elsewhere is read, filtered and counted."""
    town.store(Message(town.event_id(), "nul", START_US, sender="agent", content="a\0b"))
    assert town.backend.fetch_conversation("nul")["messages"][0]["content"] in {"a\0b", "a\ufffdb"}
    assert "nul" in town.ids(message_contains="a")
    town.backend.stats({})


def test_reading_goes_on_while_others_write(story: Story) -> None:
    """Pages, metrics and exports see one state each, while a thread stores conversations of two messages."""
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(60):
                key = f"c{number}"
                pair = [Message(story.event_id(), key, START_US, sender="agent", content="x") for _ in range(2)]
                story.store(ConversationStarted(story.event_id(), key, START_US), *pair)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    rounds = 0
    while not done.is_set() or rounds == 0:
        page = story.backend.fetch_conversations(page_size=100, filters={})
        assert page["count"] == len(page["results"])
        assert all(len(conversation["messages"]) == 2 for conversation in page["results"])
        stats = story.backend.stats({})
        assert stats["messages"] == 2 * stats["conversations"]
        rounds += 1
    writer.join(timeout=30)
    assert len(story.ids()) == 60
