"""What is counted of a conversation, and how events add to it.

In: events in any order. Out: the summary columns of `conversations`, in the order of the table.
Loses: nothing; words that arrive before words said earlier make it stale, and it is then made anew from the rows.

Counted as said is only what a person or the agent said. A response is the time from a message of a person to the
agent's next one; a person's messages that are not answered yet wait.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from agentsight_auto.events import Action, AnyEvent, Attachments, Button, Feedback, Message, TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTERS = (
    "message_count", "action_count", "human_message_count", "agent_message_count", "transcript_count",
    "action_error_count", "feedback_count", "positive_count", "neutral_count", "negative_count", "prompt_tokens",
    "completion_tokens", "total_tokens", "embedding_tokens", "response_count", "response_total_us", "waiting_count",
    "waiting_total_us",
)  # fmt: skip
MOMENTS = ("first_human_at_us", "last_human_at_us", "first_agent_at_us", "last_agent_at_us", "last_entry_at_us")
COLUMNS = (*COUNTERS, *MOMENTS)
_values = attrgetter(*COLUMNS)
FLAGS = ("has_messages", "has_action", "has_feedback")

HOUR_US = 3_600_000_000
_MOST = 2**62
"""Sums stop here, so that they fit in 64 bits whatever is counted."""


class Summary:
    """The counts of one conversation; `is_stale` asks for `summaries.rebuild` once the rows are stored."""

    __slots__ = (*COLUMNS, "is_stale")

    message_count: int
    action_count: int
    human_message_count: int
    agent_message_count: int
    transcript_count: int
    action_error_count: int
    feedback_count: int
    positive_count: int
    neutral_count: int
    negative_count: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    embedding_tokens: int
    response_count: int
    response_total_us: int
    waiting_count: int
    waiting_total_us: int
    """How long the waiting messages had waited when the last of them was said."""
    first_human_at_us: int | None
    last_human_at_us: int | None
    first_agent_at_us: int | None
    last_agent_at_us: int | None
    last_entry_at_us: int | None

    def __init__(self, values: Iterable[int | None] = ()) -> None:
        """Begin with nothing, or with the values of `COLUMNS`."""
        self.is_stale = False
        self.message_count = self.action_count = self.human_message_count = self.agent_message_count = 0
        self.transcript_count = self.action_error_count = self.feedback_count = self.positive_count = 0
        self.neutral_count = self.negative_count = self.prompt_tokens = self.completion_tokens = 0
        self.total_tokens = self.embedding_tokens = self.response_count = self.response_total_us = 0
        self.waiting_count = self.waiting_total_us = 0
        self.first_human_at_us = self.last_human_at_us = self.first_agent_at_us = self.last_agent_at_us = None
        self.last_entry_at_us = None
        for name, value in zip(COLUMNS, values, strict=False):
            setattr(self, name, value)

    def values(self) -> tuple[int | None, ...]:
        """Return the values of `COLUMNS`."""
        return _values(self)

    def flags(self) -> tuple[bool, bool, bool]:
        """Return the values of `FLAGS`."""
        return self.transcript_count > 0, self.action_count > 0, self.feedback_count > 0

    def add(self, event: AnyEvent) -> None:
        """Count one event; what is about the conversation itself counts nothing."""
        if isinstance(event, Message):
            at_us = event.at_us
            self.add_entry(at_us)
            if event.sender == "end_user":
                self.add_human(at_us)
            elif event.sender == "agent":
                self.add_agent(at_us)
        elif isinstance(event, Action):
            self.add_entry(event.at_us)
            self.action_count += 1
            self.action_error_count += bool(event.error_msg)
        elif isinstance(event, (Button, Attachments)):
            self.add_entry(event.at_us)
        elif isinstance(event, TokenUsage):
            total = event.total_tokens or event.prompt_tokens + event.completion_tokens
            self.add_tokens(event.prompt_tokens, event.completion_tokens, total, event.embedding_tokens)
        elif isinstance(event, Feedback):
            self.add_feedback(event.sentiment, event.source)

    def add_entry(self, at_us: int) -> None:
        """Count a row of the transcript."""
        self.transcript_count += 1
        if self.last_entry_at_us is None or at_us > self.last_entry_at_us:
            self.last_entry_at_us = at_us

    def add_human(self, at_us: int, *, in_order: bool = False) -> None:
        """Count a message of a person: it waits for an answer. `in_order`: it is known to be the last so far."""
        self.message_count += 1
        self.human_message_count += 1
        last_us = self.last_human_at_us
        if in_order or self._is_later(at_us):
            if self.waiting_count and last_us is not None:
                self.waiting_total_us = min(self.waiting_total_us + self.waiting_count * (at_us - last_us), _MOST)
            self.waiting_count += 1
        if last_us is None or at_us > last_us:
            self.last_human_at_us = at_us
        if self.first_human_at_us is None or at_us < self.first_human_at_us:
            self.first_human_at_us = at_us

    def add_agent(self, at_us: int, *, in_order: bool = False) -> None:
        """Count a message of the agent: it answers all that wait."""
        self.message_count += 1
        self.agent_message_count += 1
        asked_us = self.last_human_at_us
        if (in_order or self._is_later(at_us)) and self.waiting_count and asked_us is not None:
            waited_us = self.waiting_total_us + self.waiting_count * (at_us - asked_us)
            self.response_total_us = min(self.response_total_us + waited_us, _MOST)
            self.response_count += self.waiting_count
            self.waiting_count = self.waiting_total_us = 0
        if self.last_agent_at_us is None or at_us > self.last_agent_at_us:
            self.last_agent_at_us = at_us
        if self.first_agent_at_us is None or at_us < self.first_agent_at_us:
            self.first_agent_at_us = at_us

    def _is_later(self, at_us: int) -> bool:
        """Tell whether this is the last that was said; what is not, or at the same moment, needs the rows' order."""
        human, agent = self.last_human_at_us, self.last_agent_at_us
        if (human is None or at_us > human) and (agent is None or at_us > agent):
            return True
        self.is_stale = True
        return False

    def add_tokens(self, prompt: int, completion: int, total: int, embedding: int) -> None:
        """Count one token usage."""
        self.prompt_tokens = min(self.prompt_tokens + prompt, _MOST)
        self.completion_tokens = min(self.completion_tokens + completion, _MOST)
        self.total_tokens = min(self.total_tokens + total, _MOST)
        self.embedding_tokens = min(self.embedding_tokens + embedding, _MOST)

    def add_feedback(self, sentiment: str, source: str) -> None:
        """Count one judgement, by sentiment if it is the customer's."""
        self.feedback_count += 1
        if source == "customer":
            name = f"{sentiment}_count"
            setattr(self, name, getattr(self, name) + 1)
