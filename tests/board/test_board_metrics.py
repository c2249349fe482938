"""Each number against a count by hand, and the list behind it against the conversations that were counted."""

from __future__ import annotations

from typing import Any

import pytest

from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query.board import Board
from agentsight_auto.query.definitions import METRICS
from agentsight_auto.query.lifecycle import LISTS

from ..query.story import DAY, SECOND, Story
from .support import listed, tell_eight, values


def test_the_numbers_are_those_counted_by_hand(story: Story) -> None:
    """Eight conversations, seven of them used, in all of which a customer said something."""
    tell_eight(story)
    assert values(story) == {
        "conversations": 8,
        "used_conversations": 7,
        "visited_conversations": 1,
        "use_rate": 7 / 8,
        "messages": 20,  # customers: 2+1+2+1+3+1+1 = 11, agent: 2+1+1+1+3+1+0 = 9
        "human_messages": 11,
        "agent_messages": 9,
        "messages_per_conversation": pytest.approx(20 / 7),
        "average_conversation_ms": pytest.approx((8 + 10 + 20 + 8 + 21 + 30 + 0) * 1000 / 7),
        "containment_rate": pytest.approx(4 / 7),  # solved, failed, again, loop
        "escalation_rate": pytest.approx(1 / 7),
        "escalated_conversations": 1,
        "resolution_rate": pytest.approx(1 / 7),
        "abandonment_rate": pytest.approx(3 / 7),  # left, failed, alone
        "abandoned_after_failure_rate": pytest.approx(1 / 4),  # of solved, handed, failed, loop
        "unanswered_rate": pytest.approx(2 / 7),
        "left_asking_rate": pytest.approx(2 / 7),
        "first_response_p50_ms": 6000,  # 1, 2, 6, 8, 10, 30 s: the third of six
        "first_response_p95_ms": 30_000,
        "response_p50_ms": 4000,  # 1, 1, 1, 2, 4, 6, 8, 10, 30 s: the fifth of nine
        "response_p95_ms": 30_000,
        "average_response_ms": pytest.approx(63_000 / 9),
        "repeated_rate": pytest.approx(1 / 7),
        "repeated_messages": 2,
        "loop_rate": pytest.approx(1 / 7),
        "satisfaction": 1 / 2,
        "feedbacks": 2,
        "action_calls": 6,
        "action_errors": 1,
        "action_error_rate": pytest.approx(1 / 6),
        "tokens": 200,
        "cost_usd": pytest.approx(0.02),
        "cost_per_conversation": pytest.approx(0.02),
        "unpriced_calls": 1,
    }


LISTED = {
    "used": {"solved", "handed", "left", "failed", "again", "loop", "alone"},
    "visited": {"visit"},
    "talked": {"solved", "handed", "left", "failed", "again", "loop", "alone"},
    "answered": {"solved", "handed", "left", "failed", "again", "loop"},
    "escalated": {"handed"},
    "contained": {"solved", "failed", "again", "loop"},
    "resolved": {"solved"},
    "abandoned": {"left", "failed", "alone"},
    "abandoned_after_failure": {"failed"},
    "unanswered": {"left", "alone"},
    "left_asking": {"left", "alone"},
    "repeated": {"again"},
    "looped": {"loop"},
    "acted": {"solved", "handed", "failed", "loop"},
    "failed": {"failed"},
    "judged": {"solved", "handed"},
    "satisfied": {"solved"},
    "dissatisfied": {"handed"},
    "priced": {"solved"},
    "unpriced": {"alone"},
    "metered": {"solved", "alone"},
    "implicit": {"conv_0123456789ab"},
}


def test_each_list_opens_the_conversations_that_were_counted(story: Story) -> None:
    """Every list has its conversations, and none is left out of the test."""
    tell_eight(story)
    story.started("conv_0123456789ab", is_used=False)
    for named in ("conv_0123456789abc", "conv_", "convx0123456789ab"):
        story.started(named, is_used=False)
    assert LISTED.keys() == LISTS.keys()
    for name, expected in LISTED.items():
        found = listed(story, insight=name, **({} if name == "implicit" else {"environment": "production"}))
        assert found == expected, name


def test_each_number_opens_a_list_as_long_as_it_says(story: Story) -> None:
    """The filter of a rate finds its numerator, where that counts conversations; every filter can be read."""
    tell_eight(story)
    board = Board(story.backend)
    for metric in board.metrics({})["metrics"]:
        found = board.conversations(metric["filter"], page_size=100)["count"]
        definition = next(one for one in METRICS if one.name == metric["name"])
        if definition.numerator.endswith("_conversations"):
            assert found == metric["numerator"], metric["name"]
        assert metric["definition"].endswith(".")
        assert found > 0, metric["name"]


def test_a_time_opens_the_conversations_that_took_longer(story: Story) -> None:
    """The filters of p50 and p95 are response times; the same in the list of the documented API."""
    tell_eight(story)
    assert listed(story, first_response_over_ms=6000) == {"failed", "handed", "loop"}
    assert listed(story, response_over_ms="9999") == {"handed", "loop"}
    assert set(story.ids(first_response_over_ms=9999)) == {"handed", "loop"}


def test_numbers_by_origin_hour_and_weekday(story: Story) -> None:
    """Each row of a breakdown is counted like the whole; hours and weekdays are those of the zone."""
    tell_eight(story)
    by = Board(story.backend).metrics({}, zone="America/New_York")["by"]
    web = next(row for row in by["source"] if row["value"] == "web")
    assert (web["conversations"], web["escalation_rate"], web["containment_rate"]) == (2, 0.5, 0.5)
    assert web["average_response_ms"] == pytest.approx((2000 + 4000 + 10_000) / 3)
    assert [row["value"] for row in by["hour"] if row["conversations"]] == [20]  # 01:00 UTC
    assert [row["value"] for row in by["weekday"] if row["conversations"]] == [2]  # the evening before: Wednesday
    peaks = Board(story.backend).metrics({})["peak_hours"]
    assert peaks == [{"weekday": 3, "hour": 1, "messages": 20}]


def test_response_times_are_told_apart_by_one_breakdown(story: Story) -> None:
    """Half and 95 % of the answers of each value took no longer; the hours and weekdays are those of the zone."""
    tell_eight(story)
    board = Board(story.backend)
    names = ("first_response_p50_ms", "first_response_p95_ms", "response_p50_ms", "response_p95_ms")

    def rows(by: str) -> dict[Any, list[Any]]:
        found = board.metrics({}, zone="America/New_York", times_by=by)["by"][by]
        return {row["value"]: [row[name] for name in names] for row in found if row["conversations"]}

    assert rows("source") == {
        "web": [2000, 10_000, 4000, 10_000],
        "whatsapp": [6000, 8000, 6000, 8000],
        "voice": [1000, 30_000, 1000, 30_000],
        None: [None] * 4,
    }
    assert rows("hour") == {20: [6000, 30_000, 4000, 30_000]}
    assert rows("weekday") == {2: [6000, 30_000, 4000, 30_000]}
    assert rows("country") == {None: [6000, 30_000, 4000, 30_000]}
    with pytest.raises(InvalidQueryException, match="by: 'moon'"):
        board.metrics({}, times_by="moon")


def test_the_period_before_is_as_long_and_ends_where_this_one_begins(story: Story) -> None:
    """The change is relative to it; without a beginning there is none."""
    for day, count in ((0, 2), (1, 3)):
        for number in range(count):
            story.human(f"d{day}n{number}", "hello", day * DAY)
    bounds = {"started_at_after": "2026-01-02T00:00:00Z", "started_at_before": "2026-01-02T23:59:59.999999Z"}
    computed = Board(story.backend).metrics(bounds)
    first = computed["metrics"][0]
    assert (first["value"], first["before"], first["change"]) == (3, 2, 0.5)
    assert computed["before"] == {"from": "2026-01-01T00:00:00.000000Z", "until": "2026-01-01T23:59:59.999999Z"}
    assert Board(story.backend).metrics({})["before"] is None


def test_development_is_left_out_by_one_rule(story: Story) -> None:
    """As in stats: with production beside it, unless the switch or a filter says otherwise."""
    story.human("dev", "hello")
    assert values(story)["conversations"] == 1
    story.started("prod", environment="production")
    computed = Board(story.backend).metrics({})
    assert computed["environments"] == {"counted": ["production"], "left_out": ["development"]}
    assert values(story)["conversations"] == 1
    assert values(story, include_development=True)["conversations"] == 2
    assert values(story, {"environment": "development"})["human_messages"] == 1


def test_nothing_has_numbers_too(story: Story) -> None:
    """Zeros, and null where there is nothing to divide."""
    numbers = values(story)
    assert (numbers["conversations"], numbers["containment_rate"], numbers["response_p95_ms"]) == (0, None, None)


def test_late_words_correct_the_numbers(story: Story) -> None:
    """A conversation that changes is examined again, in whatever order its events arrive."""
    story.human("c", "is anybody there?", 10 * SECOND)
    assert values(story)["left_asking_rate"] == 1
    story.agent_says("c", "yes", 12 * SECOND)
    story.human("c", "hello?", 5 * SECOND)
    numbers = values(story)
    assert (numbers["left_asking_rate"], numbers["first_response_p50_ms"]) == (0, 7000)


def test_what_cannot_be_read_is_said(story: Story) -> None:
    """An unknown list, status or zone is one of the documented errors."""
    board = Board(story.backend)
    for filters in ({"insight": "nonsense"}, {"status": "dead"}, {"response_over_ms": "slow"}):
        with pytest.raises(InvalidQueryException, match=next(iter(filters))):
            board.conversations(filters)
    with pytest.raises(InvalidQueryException, match="zone"):
        board.metrics({}, zone="Atlantis/Capital")
