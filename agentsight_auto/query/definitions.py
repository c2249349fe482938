"""What each number means: its words, its numerator and denominator, and the list of conversations behind it.

In: nothing. Out: `METRICS`, and `SUMS`, the sums that they are made of. Loses: nothing.
Nothing here asks a model to judge: each number is counted from what was recorded. Semantics: messages are only what a
person or the agent said; development is left out where production conversations match, unless a switch says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Float, case, cast, func

from agentsight_auto.query.lifecycle import LISTS, UNCOUNTED, Lifecycle
from agentsight_auto.store.insight import ALIKE, FEWEST_WORDS, LOOKED_BACK, LOOP_LENGTH
from agentsight_auto.store.schema_insights import insights

_columns = insights.c


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A number: `numerator` alone, or over `denominator`; or a quantile (0 to 1) of `times`, in milliseconds.

    `unit` is ``count``, ``ratio`` (0 to 1), ``ms`` or ``usd``. `insight` is the list that opens behind it.
    """

    name: str
    group: str
    title: str
    definition: str
    unit: str
    numerator: str = ""
    denominator: str = ""
    times: str = ""
    quantile: float = 0.0
    insight: str = ""


def sums(life: Lifecycle) -> dict[str, ColumnElement[Any]]:
    """Return the sums over some conversations that the metrics are made of, by name."""
    counted = {
        f"{name}_conversations": func.count(case((condition(life), 1)))
        for name, condition in LISTS.items()
        if name not in UNCOUNTED
    }
    lasted_us = case((_columns.is_used, _columns.last_at_us - _columns.started_at_us))
    return {
        "conversations": func.count(),
        **counted,
        "messages": func.sum(_columns.human_count + _columns.agent_count),
        "human_messages": func.sum(_columns.human_count),
        "agent_messages": func.sum(_columns.agent_count),
        "lasted_ms": func.sum(cast(lasted_us, Float)) / 1000.0,
        "responses": func.sum(_columns.response_count),
        "responses_ms": func.sum(cast(_columns.response_total_ms, Float)),
        "first_responses_ms": func.sum(cast(_columns.first_response_ms, Float)),
        "repeated_messages": func.sum(_columns.repeated_count),
        "action_calls": func.sum(_columns.action_count),
        "action_errors": func.sum(_columns.error_count),
        "positive": func.sum(_columns.positive_count),
        "feedbacks": func.sum(_columns.positive_count + _columns.neutral_count + _columns.negative_count),
        "tokens": func.sum(cast(_columns.total_tokens, Float)),
        "cost_usd": func.sum(_columns.cost_usd),
        "unpriced_calls": func.sum(_columns.unpriced_count),
    }


def _rate(name: str, title: str, definition: str, numerator: str, denominator: str, insight: str = "") -> Metric:
    return Metric(
        name=name, group=_GROUPS[name], title=title, definition=definition, unit="ratio",
        numerator=numerator, denominator=denominator, insight=insight or numerator.removesuffix("_conversations"),
    )  # fmt: skip


def _count(name: str, title: str, definition: str, insight: str = "", numerator: str = "") -> Metric:
    return Metric(
        name=name, group=_GROUPS[name], title=title, definition=definition, unit="count",
        numerator=numerator or name, insight=insight,
    )  # fmt: skip


def _time(name: str, title: str, definition: str, times: str, quantile: float) -> Metric:
    return Metric(
        name=name, group="speed", title=title, definition=definition, unit="ms",
        times=times, quantile=quantile, insight="answered",
    )  # fmt: skip


_GROUPS: Mapping[str, str] = {
    **dict.fromkeys(
        ("conversations", "used_conversations", "visited_conversations", "use_rate", "messages", "human_messages",
         "agent_messages", "messages_per_conversation", "average_conversation_ms"), "volume",
    ),
    **dict.fromkeys(
        ("containment_rate", "escalation_rate", "escalated_conversations", "resolution_rate", "abandonment_rate",
         "abandoned_after_failure_rate", "unanswered_rate", "left_asking_rate"), "outcome",
    ),
    **dict.fromkeys(("repeated_rate", "repeated_messages", "loop_rate", "satisfaction", "feedbacks"), "quality"),
    **dict.fromkeys(("action_calls", "action_errors", "action_error_rate"), "actions"),
    **dict.fromkeys(("tokens", "cost_usd", "cost_per_conversation", "unpriced_calls"), "cost"),
}  # fmt: skip
_HANDED_OVER = "an action of the setting `escalation_actions`, or `escalate()`"
_WORDS = f"at least {FEWEST_WORDS} different words"

METRICS: tuple[Metric, ...] = (
    _count("conversations", "Conversations", "Conversations that began in the period, those only opened included."),
    _count("used_conversations", "Used", "Conversations in which something was recorded.", "used"),
    _count("visited_conversations", "Only opened", "Conversations that were opened and in which nothing followed.",
           "visited"),
    _rate("use_rate", "Use", "Used conversations, of all conversations.", "used_conversations", "conversations"),
    _count("messages", "Messages", "What a person or the agent said; actions, buttons and system messages are none.",
           "talked"),
    _count("human_messages", "Messages of customers", "What customers said.", "talked"),
    _count("agent_messages", "Messages of the agent", "What the agent said.", "answered"),
    Metric(name="messages_per_conversation", group="volume", title="Messages per conversation", unit="count",
           definition="Messages, divided by the conversations in which a customer said something.",
           numerator="messages", denominator="talked_conversations", insight="talked"),
    Metric(name="average_conversation_ms", group="volume", title="Average length", unit="ms",
           definition="From the start to the last entry of the transcript, on average over used conversations.",
           numerator="lasted_ms", denominator="used_conversations", insight="used"),
    _rate("containment_rate", "Containment",
          "Conversations that the agent handled by itself, of those in which a customer said something: the agent "
          "answered, nobody was handed over, and the customer did not leave with a question that was not answered.",
          "contained_conversations", "talked_conversations"),
    _rate("escalation_rate", "Escalation", f"Conversations with a hand-over to a human ({_HANDED_OVER}), of used ones.",
          "escalated_conversations", "used_conversations"),
    _count("escalated_conversations", "Handed over", f"Conversations with a hand-over to a human: {_HANDED_OVER}.",
           "escalated"),
    _rate("resolution_rate", "Resolved",
          "Conversations that were resolved, by `resolve()` or an action of the setting `resolution_actions`, and in "
          "which the customer said nothing after that; of those in which a customer said something.",
          "resolved_conversations", "talked_conversations"),
    _rate("abandonment_rate", "Abandoned",
          "Conversations that are idle, neither resolved nor handed over, and were left without a result: the "
          "customer's last words were not answered and ask something, the agent never answered, or the last action "
          "failed and the customer said nothing after it. Of those in which a customer said something.",
          "abandoned_conversations", "talked_conversations"),
    _rate("abandoned_after_failure_rate", "Abandoned after a failure",
          "Conversations that are idle, neither resolved nor handed over, whose last action failed and in which the "
          "customer said nothing after it; of those with actions.",
          "abandoned_after_failure_conversations", "acted_conversations"),
    _rate("unanswered_rate", "Customer had the last word",
          "Conversations that end with a message of the customer, a thank-you included; of those in which a customer "
          "said something.", "unanswered_conversations", "talked_conversations"),
    _rate("left_asking_rate", "Unanswered ending",
          "Conversations that end with words of the customer that were not answered and hold a question mark, or in "
          "which the agent never said anything; of those in which a customer said something.",
          "left_asking_conversations", "talked_conversations"),
    _time("first_response_p50_ms", "First response (p50)",
          "From the customer's first message to the agent's next one: half of the conversations were faster.",
          "first", 0.5),
    _time("first_response_p95_ms", "First response (p95)",
          "From the customer's first message to the agent's next one: 95 % of the conversations were faster.",
          "first", 0.95),
    _time("response_p50_ms", "Response (p50)",
          "From each message of a customer to the agent's next one: half of them were faster.", "each", 0.5),
    _time("response_p95_ms", "Response (p95)",
          "From each message of a customer to the agent's next one: 95 % of them were faster.", "each", 0.95),
    Metric(name="average_response_ms", group="speed", title="Average response", unit="ms",
           definition="From each message of a customer to the agent's next one, on average; messages that were not "
           "answered do not count.", numerator="responses_ms", denominator="responses", insight="answered"),
    _rate("repeated_rate", "Asked again",
          f"Conversations in which the customer repeated or rephrased a question: a message of {_WORDS} that shares "
          f"{ALIKE:.0%} of the words of both with one of the customer's {LOOKED_BACK} messages before it; of those in "
          "which a customer said something.", "repeated_conversations", "talked_conversations"),
    _count("repeated_messages", "Questions asked again", "Messages that repeat or rephrase an earlier one, as above.",
           "repeated"),
    _rate("loop_rate", "Loops",
          f"Conversations in which the agent ran the same action with the same arguments {LOOP_LENGTH} times between "
          f"two messages of the customer, or said the same words ({FEWEST_WORDS} or more) {LOOP_LENGTH} times; of used "
          "ones.", "looped_conversations", "used_conversations"),
    _rate("satisfaction", "Satisfaction", "Positive feedback, of all feedback of customers.", "positive", "feedbacks",
          "judged"),
    _count("feedbacks", "Feedback", "Feedback of customers; that from the platform does not count.", "judged"),
    _count("action_calls", "Actions", "Calls of actions, tools and models.", "acted"),
    _count("action_errors", "Failed actions", "Calls of actions that ended with an error.", "failed"),
    _rate("action_error_rate", "Failure rate", "Calls that ended with an error, of all calls.", "action_errors",
          "action_calls", "failed"),
    _count("tokens", "Tokens", "Tokens of all model calls, prompt and completion.", "metered"),
    Metric(name="cost_usd", group="cost", title="Cost", unit="usd", numerator="cost_usd", insight="priced",
           definition="What the model calls whose price is known cost, in US dollars, at the prices of that day."),
    Metric(name="cost_per_conversation", group="cost", title="Cost per conversation", unit="usd", numerator="cost_usd",
           denominator="priced_conversations", insight="priced",
           definition="The cost, divided by the conversations with a model call whose price is known."),
    _count("unpriced_calls", "Calls without a price", "Model calls of models that the price table does not have.",
           "unpriced"),
)  # fmt: skip
