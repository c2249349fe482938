"""What the list says of a conversation: its first and last words, how long it took, what went wrong.

In: a whole conversation in the documented shape. Out: a `Summary`. Loses: what a line has no place for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentsight_auto._clock import parse_moment
from agentsight_auto.interchange.csv_format import kind_of
from agentsight_auto.server.dashboard.markup import snippet


@dataclass(frozen=True)
class Summary:
    """One row of the list; a duration in milliseconds, costs in US dollars."""

    shape: dict[str, Any]
    title: str
    first_words: str
    last_words: str
    last_sender: str
    hit: str
    duration_ms: float
    messages: int
    actions: int
    errors: int
    tokens: int
    cost_usd: float | None
    sentiment: str | None
    outcome: str | None


def summarise(shape: dict[str, Any], needle: str = "", outcome: str | None = None) -> Summary:
    """Return the row of one conversation; `needle` is what was searched for."""
    said = [entry for entry in shape["messages"] if kind_of(entry) == "message" and entry["sender"] != "system"]
    logs = [log for entry in shape["messages"] for log in entry["action_logs"]]
    asked = [entry for entry in said if entry["sender"] == "end_user"]
    first, last = (asked or said or [None])[0], said[-1] if len(said) > 1 else None
    judged = [item["sentiment"] for item in shape["feedbacks"] if item["source"] == "customer"]
    used = shape["token_usage"] or {}
    cost = float(used.get("cost_usd") or 0)
    until = shape["messages"][-1]["timestamp"] if shape["messages"] else shape["started_at"]
    return Summary(
        shape=shape,
        title=shape["name"] or shape["customer_id"] or shape["conversation_id"],
        first_words=snippet(first["content"]) if first else "",
        last_words=snippet(last["content"]) if last else "",
        last_sender=last["sender"] if last else "",
        hit=_hit(said, needle),
        duration_ms=(parse_moment(until) - parse_moment(shape["started_at"])).total_seconds() * 1000,
        messages=len(said),
        actions=len(logs),
        errors=sum(1 for log in logs if log["error_message"]),
        tokens=int(used.get("total_tokens") or 0),
        cost_usd=cost or None,
        sentiment=judged[-1] if judged else None,
        outcome=outcome or ("failed" if shape["error"] else None),
    )


def _hit(said: list[dict[str, Any]], needle: str) -> str:
    """Return the words around the first place where the search was found."""
    folded = needle.strip().casefold()
    found = next((entry["content"] for entry in said if folded and folded in entry["content"].casefold()), "")
    return snippet(found, needle.strip())
