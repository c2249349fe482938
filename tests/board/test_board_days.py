"""Days that are summed up say what their conversations say, and are forgotten when one of those changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.board import Board, days
from agentsight_auto.query.board.days import DAY_US, Period
from agentsight_auto.query.board.sum_up import sum_up
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.query.parameters import AnyOf
from agentsight_auto.store import action_names
from agentsight_auto.store.insights import settle
from agentsight_auto.store.schema import agents
from agentsight_auto.store.schema_insights import day_numbers
from agentsight_auto.store.schema_spans import actions

from ..query.story import DAY, HOUR, SECOND, START_US, Story
from .support import tell_eight

WHOLE = Period(None, None)
CASES: dict[str, dict[str, Any]] = {
    "everything": {},
    "production": {"environment": "production"},
    "two environments": {"environment": AnyOf(("production", "staging"))},
    "a day and a half": {
        "started_at_after": iso_from_us(START_US + 12 * HOUR),
        "started_at_before": iso_from_us(START_US + 2 * DAY),
    },
    "web, which no day answers": {"source": "web"},
}


def tell_days(story: Story) -> None:
    """Eight conversations on one day, and some on the three days after it, of three environments."""
    tell_eight(story)
    for day in range(1, 4):
        for number, environment in enumerate(("production", "development", "staging", "production")):
            name, at = f"day {day}, {number}", day * DAY + number * 5 * HOUR
            story.started(name, at, environment=environment, source="web" if number % 2 else "voice")
            story.human(name, "where is it?", at)
            story.agent_says(name, "here", at + (number + day) * SECOND)


def sum_all(story: Story, rules: Rules | None = None) -> int:
    """Examine everything and sum up every day."""
    settle(story.database)
    agent_id = story.backend.agent_row_id
    return sum_up(story.database, agent_id, rules or story.backend.rules, WHOLE, wait_s=60)


def forget_all(story: Story) -> None:
    """Forget what was summed up."""
    with story.database.write() as connection:
        connection.execute(day_numbers.delete())


def summed(story: Story) -> list[int]:
    """Return the days that are summed up, counted from the first."""
    query = select(day_numbers.c.day).where(day_numbers.c.environment == " ").order_by(day_numbers.c.day)
    with story.database.read() as connection:
        return [day - START_US // DAY_US for day in connection.execute(query).scalars()]


def answers(story: Story, filters: dict[str, Any]) -> list[Any]:
    """Return metrics and volume, without summing anything up."""
    board = Board(story.backend)
    return [board.metrics(filters), board.metrics(filters, zone="Asia/Kathmandu", include_development=True),
            board.volume(filters), board.volume(filters, zone="America/New_York")]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask everything at one moment, and sum up only when a test says so."""
    now_us = time.time_ns() // 1000
    monkeypatch.setattr("agentsight_auto.query.board.board._now_us", lambda: now_us)
    monkeypatch.setattr("agentsight_auto.query.board.board._SUM_UP_S", 0)


@pytest.mark.parametrize("filters", CASES.values(), ids=CASES)
def test_days_summed_up_answer_like_their_conversations(story: Story, filters: dict[str, Any]) -> None:
    """Every number of metrics and volume is the same with them and without; some of the days are not summed up."""
    tell_days(story)
    settle(story.database)
    expected = answers(story, filters)
    assert sum_all(story) == 4
    assert {0, 1, 2, 3} <= set(summed(story))
    assert answers(story, filters) == expected
    story.human("day 2, 1", "one more thing?", 2 * DAY + 6 * HOUR)
    changed = answers(story, filters)
    assert set(summed(story)) >= {0, 1, 3}
    assert 2 not in summed(story)
    forget_all(story)
    assert answers(story, filters) == changed


def test_days_are_not_read_again(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all days of the period are summed up, no conversation is looked at but those of today."""
    tell_days(story)
    sum_all(story)
    stretches: list[Any] = []
    gather = days.gather
    monkeypatch.setattr(
        days, "gather", lambda connection, conditions, life: stretches.append(1) or gather(connection, conditions, life)
    )
    period = {"started_at_after": iso_from_us(START_US), "started_at_before": iso_from_us(START_US + 4 * DAY - 1)}
    assert Board(story.backend).metrics(period, compare=False)["metrics"][0]["value"] == 17
    assert stretches == []


CHANGES: dict[str, Callable[[Story], object]] = {
    "a message": lambda story: story.human("loop", "and now?", HOUR + 60 * SECOND),
    "a message from before": lambda story: story.human("day 1, 0", "earlier", HOUR + 5),
    "a new conversation": lambda story: story.human("new", "hello", HOUR),
    "an action": lambda story: story.action("loop", "contact_human", HOUR + 60 * SECOND),
    "feedback": lambda story: story.feedback("loop", "negative", HOUR + 60 * SECOND),
    "a deletion": lambda story: story.backend.delete_conversation("loop"),
    "an edit": lambda story: story.backend.update_conversation("loop", device="tablet"),
    "an erasure": lambda story: story.backend.erase(conversation_id="loop", at_us=time.time_ns() // 1000),
    "an action's new name": lambda story: _rename(story, "contact_human", "call_someone"),
}


def _rename(story: Story, old: str, new: str) -> None:
    agent_id = story.backend.agent_row_id
    with story.database.read() as connection:
        action_id = connection.execute(select(actions.c.id).where(actions.c.name == old)).scalar_one()
    action_names.change_action(story.database, agent_id, action_id, {"name": new})


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_a_conversation_makes_its_day_void(story: Story, change: Callable[[Story], object]) -> None:
    """In the same transaction: the next answer is that of the conversations."""
    tell_days(story)
    sum_all(story)
    assert 0 in summed(story)
    change(story)
    assert 0 not in summed(story)
    found = answers(story, {})
    forget_all(story)
    assert answers(story, {}) == found


def test_a_day_is_not_summed_up_before_its_conversations_are_quiet(story: Story) -> None:
    """Idle for a year is longer than these have been; what one set of rules has made, another does not use."""
    tell_days(story)
    patient = Rules(idle_after=("525600", "web=30"))
    sum_all(story, patient)
    assert not {0, 1, 2, 3} & set(summed(story))
    sum_all(story)
    assert {0, 1, 2, 3} <= set(summed(story))
    expected = answers(story, {})
    story.backend.rules = patient
    found = answers(story, {})
    assert found[0]["metrics"] != expected[0]["metrics"]
    forget_all(story)
    assert answers(story, {}) == found


def test_no_day_is_summed_up_while_conversations_are_due(story: Story) -> None:
    """They are told as behind then, and their numbers are still to come."""
    tell_days(story)
    assert sum_up(story.database, story.backend.agent_row_id, story.backend.rules, WHOLE, wait_s=60) == 0
    with story.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(day_numbers)).scalar() == 0


def test_days_without_conversations_are_passed_in_one_step(story: Story) -> None:
    """One conversation of the year 1970 costs no transaction for each day since."""
    story.human("long ago", "hello", -START_US)
    tell_days(story)
    settle(story.database)
    expected = answers(story, {})
    writes = select(agents.c.writes)
    with story.database.read() as connection:
        before = connection.execute(writes).scalar_one()
    assert sum_all(story) == 5
    assert {-1, 0} <= set(summed(story))
    with story.database.read() as connection:
        assert connection.execute(writes).scalar_one() - before < 12
    assert answers(story, {}) == expected
