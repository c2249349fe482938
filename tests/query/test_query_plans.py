"""Query plans: what leads the way to a page or a count is the index that was made for it, and nothing is sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from agentsight_auto.events import Action, AnyEvent, ConversationStarted, Feedback
from agentsight_auto.query import plan
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database

from .test_query_search import ids, said

Explain = Callable[..., list[str]]


def told(number: int) -> list[AnyEvent]:
    """Return the events of a conversation that all filters of this module but one find."""
    first = said(number, "zebra")
    heads = [(ids.next(first.at_us + n), f"c{number}", first.at_us + n) for n in range(3)]
    known = {"device": "mobile", "source": "web", "language": "en", "metadata": {"plan": "gold"}}
    start = ConversationStarted(*heads[0], "mia", "192.0.2.1", **known)  # type: ignore[arg-type]
    feedback = Feedback(*heads[2], "positive", "platform")
    return [start, first, feedback] if number < 10 else [start, first, Action(*heads[1], "find_order"), feedback]


@pytest.fixture
def explain(tmp_path: Path) -> Iterator[Explain]:
    """A function that fetches a page and returns the plans of all statements that read conversations for it."""
    database = Database.open(tmp_path / "store.db")
    backend = EmbeddedBackend(database, AttachmentFolder(tmp_path / "attachments"))
    backend.ingest([event for number in range(30) for event in told(number)])
    for number in range(10):
        backend.mark_conversation(f"c{number}", True)

    def ask(*, count: bool = False, page: int = 1, every: bool = False, **filters: Any) -> list[str]:
        asked: list[tuple[str, Any]] = []

        def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
            asked.append((statement, parameters))

        with database.read() as connection:
            engine = connection.engine
        sqlalchemy_event.listen(engine, "before_cursor_execute", note)
        backend.fetch_conversations(page=page, page_size=3, count=count, full=False, filters=filters)
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)
        with database.read() as connection:
            return [
                "; ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))
                for sql, parameters in asked
                if sql.startswith("SELECT") and (every or "FROM conversations" in sql)
            ]

    yield ask
    database.close()


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "ix_conversations_overview"),
        ({"device": "mobile"}, "ix_conversations_device"),
        ({"source": "web"}, "ix_conversations_source"),
        ({"language": "en"}, "ix_conversations_language"),
        ({"environment": "development"}, "ix_conversations_environment"),
        ({"customer_id": "mia"}, "ix_conversations_customer_id"),
        ({"customer_ip_address": "192.0.2.1"}, "ix_conversations_customer_ip_address"),
        ({"has_messages": True}, "ix_conversations_has_messages"),
        ({"has_action": False}, "ix_conversations_has_action"),
        ({"has_feedback": True}, "ix_conversations_has_feedback"),
        ({"is_marked": True}, "ix_conversations_is_marked"),
        ({"started_at_after": "2020-01-01"}, "ix_conversations_overview"),
        ({"language": "en", "started_at_after": "2020-01-01"}, "ix_conversations_language"),
    ],
)
@pytest.mark.parametrize("page", [1, 3])
def test_a_page_is_read_from_its_index_in_order(
    explain: Explain, filters: dict[str, Any], index: str, page: int
) -> None:
    """The index covers the conditions and gives the documented order: no row is read that is not on the page."""
    (plan, *_) = explain(page=page, **filters)
    assert f"USING COVERING INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan


def test_what_is_deleted_too_is_walked_through_where_it_is_much(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value's index keeps what is deleted apart: it leads to the few, and of many a page is met on the way."""
    monkeypatch.setattr(plan, "_RARE_ROWS", (40, 50))
    assert not [one for one in explain(device="mobile", include_deleted=True) if "ix_conversations_overview" in one]
    monkeypatch.setattr(plan, "_RARE_ROWS", (5, 10))
    (walked,) = [one for one in explain(device="mobile", include_deleted=True) if "ix_conversations_overview" in one]
    assert "USING COVERING INDEX" in walked
    assert "TEMP B-TREE" not in walked


@pytest.mark.parametrize("filters", [{}, {"language": "en"}])
def test_a_count_reads_an_index_alone(explain: Explain, filters: dict[str, Any]) -> None:
    """Whether a conversation is deleted stands in the index, so that counting reads no rows."""
    *_, counted = explain(count=True, **filters)
    assert "USING COVERING INDEX" in counted


@pytest.mark.parametrize(
    ("filters", "table"),
    [
        ({"metadata": "plan:gold"}, "metadata_values USING PRIMARY KEY"),
        ({"action_name": "find_order"}, "conversation_actions USING PRIMARY KEY"),
        ({"feedback_sentiment": "positive"}, "feedbacks USING COVERING INDEX ix_feedbacks_judgement"),
        ({"feedback_source": "platform"}, "feedbacks USING COVERING INDEX ix_feedbacks_judgement"),
    ],
)
def test_members_are_found_by_an_index(explain: Explain, filters: dict[str, Any], table: str) -> None:
    """What is in a conversation is looked up by its value, and counted without a look at the conversations."""
    plans = explain(count=True, every=True, **filters)
    assert any(f"SEARCH {table}" in plan for plan in plans)
    assert not [step for plan in plans for step in plan.split("; ") if step.startswith("SCAN conversations")]


def test_few_candidates_are_looked_up_by_their_ids(explain: Explain) -> None:
    """A rare word leads to its conversations; the rest of the store is not touched."""
    plans = explain(message_contains="zebra")
    assert "SEARCH conversations USING INTEGER PRIMARY KEY (rowid=?)" in plans[0]
    assert "SCAN conversations" not in plans[0]


def test_what_two_columns_have_in_common_their_indexes_tell(explain: Explain) -> None:
    """The ids of each rare value come from its index alone, and only those of both are looked up."""
    plans = explain(count=True, device="mobile", language="en")
    for name in ("device", "language"):
        assert any(f"USING COVERING INDEX ix_conversations_{name} " in plan for plan in plans)
    assert "SEARCH conversations USING INTEGER PRIMARY KEY (rowid=?)" in plans[-1]
