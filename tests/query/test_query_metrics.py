from __future__ import annotations

import pytest

from agentsight_auto.events import Message, TokenUsage
from agentsight_auto.exceptions import InvalidQueryException

from .story import DAY, HOUR, SECOND, START_US, Story


def test_nothing_has_metrics_too(story: Story) -> None:
    """An empty store answers zeros and nulls, and every key is there."""
    assert story.backend.stats({}) == {
        "environments": {"counted": [], "left_out": []},
        "conversations": 0, "used_conversations": 0, "visited_only_conversations": 0, "customers": 0,
        "average_conversation_ms": None, "conversations_per_day": [],
        "by_device": [], "by_source": [], "by_language": [], "by_country": [],
        "messages": 0, "human_messages": 0, "agent_messages": 0, "messages_per_day": [], "peak_hours": [],
        "action_calls": 0, "action_errors": 0, "actions": [],
        "escalation_actions": ["fallback_to_human", "open_ticket", "ticket", "contact_human"],
        "escalated_conversations": 0, "escalation_rate": None, "average_response_ms": None,
        "tokens": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "embedding_tokens": 0},
        "feedbacks": {"positive": 0, "neutral": 0, "negative": 0},
    }  # fmt: skip


def test_messages_are_what_a_person_or_the_agent_said(story: Story) -> None:
    """Actions, buttons, attachments, system messages and token usage are no messages in the metrics."""
    story.human("c1", "hello", 1)
    story.agent_says("c1", "hi", 2)
    story.agent_says("c1", "more", DAY + 3)
    story.store(Message(story.event_id(), "c1", START_US + 4, sender="system", content="note"))
    story.action("c1", "find", 5)
    story.button("c1", "e", "l", "v", 6)
    story.attachments("c1", ("a", "text/plain", b"a"), at=7)
    story.tokens("c1", 1, 2, 8)
    stats = story.backend.stats({})
    assert (stats["messages"], stats["human_messages"], stats["agent_messages"]) == (3, 1, 2)
    assert stats["messages_per_day"] == [
        {"date": "2026-01-01", "human_messages": 1, "agent_messages": 1},
        {"date": "2026-01-02", "human_messages": 0, "agent_messages": 1},
    ]
    assert stats["peak_hours"] == [
        {"weekday": 3, "hour": 0, "messages": 2}, {"weekday": 4, "hour": 0, "messages": 1},
    ]  # fmt: skip


def test_the_response_time_is_that_to_the_agents_next_message(story: Story) -> None:
    """Each message of a person counts from itself; actions between do not answer, unanswered messages do not count."""
    story.human("c1", "one", 0)
    story.human("c1", "two", 2 * SECOND)
    story.action("c1", "find", 3 * SECOND)
    story.agent_says("c1", "answer", 4 * SECOND)
    story.agent_says("c1", "more", 9 * SECOND)
    story.human("c1", "unanswered", 10 * SECOND)
    story.human("c2", "alone", 0)
    story.human("c3", "quick", 0)
    story.agent_says("c3", "yes", SECOND // 2)
    assert story.backend.stats({})["average_response_ms"] == pytest.approx((4000 + 2000 + 500) / 3)


def test_actions_are_counted_by_name(story: Story) -> None:
    """Calls, errors and the average duration, the most frequent name first; an unknown duration is left out."""
    story.action("c1", "find", duration_ms=10.0)
    story.action("c1", "find", duration_ms=20.5, error_msg="boom")
    story.action("c2", "find", error_msg="")
    story.action("c2", "pay")
    stats = story.backend.stats({})
    assert stats["actions"] == [
        {"action_name": "find", "calls": 3, "errors": 1, "average_duration_ms": 15.25},
        {"action_name": "pay", "calls": 1, "errors": 0, "average_duration_ms": None},
    ]
    assert (stats["action_calls"], stats["action_errors"]) == (4, 1)


def test_conversations_are_counted_by_day_origin_and_use(story: Story) -> None:
    """Used and only visited ones, days in UTC, customers once, and the most frequent origin first."""
    story.started("c1", 23 * HOUR, device="mobile", source="web", language="en", customer_id="u")
    story.human("c1", "x", 23 * HOUR + 4 * SECOND)
    story.started("c2", 25 * HOUR, device="mobile", customer_id="u")
    story.started("c3", 26 * HOUR, is_used=False, device="desktop", customer_id="v")
    stats = story.backend.stats({})
    assert (stats["conversations"], stats["used_conversations"], stats["visited_only_conversations"]) == (3, 2, 1)
    assert stats["customers"] == 2
    assert stats["conversations_per_day"] == [
        {"date": "2026-01-01", "conversations": 1}, {"date": "2026-01-02", "conversations": 2},
    ]  # fmt: skip
    assert stats["by_device"] == [
        {"device": "mobile", "conversations": 2}, {"device": "desktop", "conversations": 1},
    ]  # fmt: skip
    assert stats["by_source"] == [
        {"source": None, "conversations": 2}, {"source": "web", "conversations": 1},
    ]  # fmt: skip
    assert stats["average_conversation_ms"] == 2000


def test_only_feedback_of_customers_counts(story: Story) -> None:
    """Feedback from the platform is left out."""
    story.feedback("c1", "positive")
    story.feedback("c1", "negative")
    story.feedback("c2", "negative")
    story.feedback("c2", "neutral", source="platform")
    assert story.backend.stats({})["feedbacks"] == {"positive": 1, "neutral": 0, "negative": 2}


def test_escalations_are_conversations_that_were_handed_to_a_human(story: Story) -> None:
    """The rate is that among used conversations; the list of action names is the caller's to choose."""
    story.action("c1", "open_ticket")
    story.action("c1", "ticket")
    story.action("c2", "call_boss")
    story.human("c3", "hello")
    story.human("c4", "hello")
    story.started("visit", is_used=False)
    stats = story.backend.stats({})
    assert (stats["escalated_conversations"], stats["escalation_rate"]) == (1, 0.25)
    for names in (["call_boss", "ticket"], "call_boss, ticket"):
        stats = story.backend.stats({"escalation_actions": names})
        assert (stats["escalated_conversations"], stats["escalation_rate"]) == (2, 0.5)
        assert stats["escalation_actions"] == ["call_boss", "ticket"]
    assert story.backend.stats({"escalation_actions": []})["escalated_conversations"] == 0
    with pytest.raises(InvalidQueryException, match="escalation_actions"):
        story.backend.stats({"escalation_actions": 7})


def test_tokens_are_summed_beyond_64_bits(story: Story) -> None:
    """Hostile counters are counted, not an error of the database."""
    huge = TokenUsage(story.event_id(), "c1", START_US, prompt_tokens=2**53, total_tokens=2**53)
    story.store(huge)
    story.tokens("c1", 3, 4)
    tokens = story.backend.stats({})["tokens"]
    assert tokens["completion_tokens"] == 4
    assert tokens["prompt_tokens"] == pytest.approx(2**53)


def test_development_is_left_out_when_there_is_production(story: Story) -> None:
    """Within the range asked for; the answer says what was counted, and one switch or an environment changes it."""
    story.started("dev", 0, environment="development")
    assert story.backend.stats({})["environments"] == {"counted": ["development"], "left_out": []}
    story.started("prod", DAY, environment="production")
    story.started("stage", DAY, environment="staging")
    story.human("dev", "x")
    stats = story.backend.stats({})
    assert stats["environments"] == {"counted": ["production", "staging"], "left_out": ["development"]}
    assert (stats["conversations"], stats["messages"]) == (2, 0)
    stats = story.backend.stats({"include_development": True})
    assert stats["environments"] == {"counted": ["development", "production", "staging"], "left_out": []}
    assert (stats["conversations"], stats["messages"]) == (3, 1)
    assert story.backend.stats({"environment": "dev"})["messages"] == 1
    assert story.backend.stats({"started_at_before": "2026-01-01T12:00:00Z"})["conversations"] == 1


def test_metrics_use_the_filters_and_hide_what_was_deleted(story: Story) -> None:
    """Every filter of fetch_conversations narrows the metrics too."""
    story.human("c1", "x", metadata=None)
    story.started("c2", metadata={"plan": "gold"})
    story.human("c2", "y")
    story.agent_says("c3", "z")
    story.backend.delete_conversation("c3")
    assert story.backend.stats({})["messages"] == 2
    assert story.backend.stats({"include_deleted": True})["messages"] == 3
    stats = story.backend.stats({"metadata": "plan:gold"})
    assert (stats["conversations"], stats["messages"]) == (1, 1)
    with pytest.raises(InvalidQueryException, match="has_messages"):
        story.backend.stats({"has_messages": "maybe"})
