"""Eight conversations small enough to count by hand, and short ways to ask for numbers."""

from __future__ import annotations

from typing import Any

from agentsight_auto.events import TokenUsage
from agentsight_auto.query.board import Board

from ..query.story import HOUR, SECOND, START_US, Story

QUESTION = "where is my order number seven please"


def tell_eight(story: Story) -> None:
    """What happened, in the words in which it is counted by hand in the tests.

    solved      web: asks, answered after 2 s, says thanks, answered after 4 s; resolved; positive; priced 0.02
    handed      web: asks, action contact_human, agent after 10 s; feedback negative
    left        whatsapp: asks, answered after 6 s, asks again with a question mark and is not answered
    failed      whatsapp: asks, action fails, agent says sorry after 8 s; nothing more
    again       voice, DE: asks three times in nearly the same words, answered after 1 s each
    loop        voice, DE: asks; the same action with the same arguments three times; answered after 30 s
    alone       asks and never gets an answer; unpriced call
    visit       only opened
    """
    at = HOUR
    story.started("solved", at, source="web", environment="production", customer_id="mia", customer_ip_address="::1")
    story.human("solved", "how do I pay this bill?", at)
    story.agent_says("solved", "like this", at + 2 * SECOND)
    story.human("solved", "thanks", at + 3 * SECOND)
    story.agent_says("solved", "bye", at + 7 * SECOND)
    story.action("solved", "resolve_conversation", at + 8 * SECOND)
    story.feedback("solved", "positive", at + 9 * SECOND)
    _usage(story, "solved", at + 9 * SECOND, model="gpt", cost_usd=0.02)

    story.started("handed", at, source="web", environment="production", customer_id="mia")
    story.human("handed", "I want a refund", at)
    story.action("handed", "contact_human", at + 9 * SECOND, duration_ms=100.0)
    story.agent_says("handed", "a colleague will help you", at + 10 * SECOND)
    story.feedback("handed", "negative", at + 11 * SECOND)
    story.feedback("handed", "negative", at + 11 * SECOND, source="platform")

    story.started("left", at, source="whatsapp", environment="production")
    story.human("left", "hello", at)
    story.agent_says("left", "hi", at + 6 * SECOND)
    story.human("left", "can you book a table for two?", at + 20 * SECOND)

    story.started("failed", at, source="whatsapp", environment="production")
    story.human("failed", "book a table", at)
    story.action("failed", "book", at + SECOND, duration_ms=300.0, error_msg="TimeoutError: no answer")
    story.agent_says("failed", "sorry, that did not work", at + 8 * SECOND)

    story.started("again", at, source="voice", environment="production")
    for number, words in enumerate((QUESTION, f"{QUESTION} now", "again: where is my order number seven")):
        story.human("again", words, at + number * 10 * SECOND)
        story.agent_says("again", f"let me see, part {number}", at + number * 10 * SECOND + SECOND)

    story.started("loop", at, source="voice", environment="production")
    story.human("loop", "find it", at)
    for number in range(3):
        story.action("loop", "find", at + number * SECOND, duration_ms=10.0, tools_used={"parameters": {"q": 1}})
    story.agent_says("loop", "found", at + 30 * SECOND)

    story.started("alone", at, environment="production")
    story.human("alone", "is anybody there", at)
    _usage(story, "alone", at, model="unknown-model")

    story.started("visit", at, environment="production", is_used=False)


def _usage(story: Story, conversation_id: str, at: int, **metadata: Any) -> None:
    story.store(TokenUsage(story.event_id(), conversation_id, START_US + at, 60, 40, metadata=metadata))


def values(story: Story, filters: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return each metric's value by name."""
    computed = Board(story.backend).metrics(filters or {}, **options)
    return {metric["name"]: metric["value"] for metric in computed["metrics"]}


def listed(story: Story, **filters: Any) -> set[str]:
    """Return the text ids that these filters find."""
    page = Board(story.backend).conversations(filters, page_size=100)
    return {row["conversation_id"] for row in page["results"]}
