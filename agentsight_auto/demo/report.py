"""Compare the store with what the demo did.

In: the desks with their logs, and the store. Out: counts of what is stored, and the differences.
Loses: nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import _runtime, agentsight_api
from .desk import HAND_OVER, Desk, Entry
from .scenarios import Case

_SHOWN_DIFFERENCES = 5


def done_counts(desks: Iterable[Desk], cases: Iterable[Case]) -> dict[str, int]:
    """Count what was said and done, from the logs of the desks."""
    counts: Counter[str] = Counter()
    for desk in desks:
        counts["conversations"] += 1
        counts["escalated_conversations"] += desk.is_escalated
        counts["total_tokens"] += desk.total_tokens
        counts.update(_KIND_COUNTS[entry.kind] for entry in desk.log)
        counts["action_errors"] += sum(entry.is_failed for entry in desk.log)
    counts.update(f"{case.feedback[0]}_feedbacks" for case in cases if case.feedback is not None)
    return _in_order(counts)


def stored_counts(run: str, stored: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count what the store holds of a run: from its metrics, and buttons and attachments from the conversations."""
    filters = {"metadata": f"demo.run:{run}", "escalation_actions": [HAND_OVER]}
    stats = _runtime.default().backend().stats(filters)
    counts: Counter[str] = Counter({name: stats[name] for name in _STATS})
    counts["total_tokens"] = stats["tokens"]["total_tokens"]
    counts.update({f"{sentiment}_feedbacks": count for sentiment, count in stats["feedbacks"].items()})
    for shape in stored:
        counts["buttons"] += sum(message["button"] is not None for message in shape["messages"])
        counts["attachments"] += sum(len(message["attachments"]) for message in shape["messages"])
    return _in_order(counts)


def stored_conversations(run: str) -> dict[str, dict[str, Any]]:
    """Return the conversations of a run by their ids."""
    found = agentsight_api.iter_conversations(metadata=f"demo.run:{run}")
    return {shape["conversation_id"]: shape for shape in found}


def differences(
    done: Mapping[str, int], stored: Mapping[str, int], desks: Sequence[Desk], shapes: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Say in words where the store differs: a count, or the sequence of a conversation."""
    found = [
        f"{name.replace('_', ' ')}: {count} were made, {stored[name]} are stored"
        for name, count in done.items()
        if count != stored[name]
    ]
    astray = [desk.conversation_id for desk in desks if _story(shapes.get(desk.conversation_id)) != desk.log]
    if astray:
        shown = ", ".join(astray[:_SHOWN_DIFFERENCES])
        found.append(f"{len(astray)} conversations differ from what was said and done in them: {shown}")
    return found


def _story(shape: Mapping[str, Any] | None) -> list[Entry]:
    """Return a stored conversation in the words of the log."""
    entries = []
    for message in shape["messages"] if shape else ():
        if message["button"]:
            entries.append(Entry("button", message["button"]["label"]))
        elif message["action_name"]:
            is_failed = bool(message["action_logs"][0]["error_message"])
            entries.append(Entry("action", message["action_name"], is_failed))
        elif message["content"]:
            entries.append(Entry(message["sender"], message["content"]))
        entries += [Entry("attachment", attachment["filename"]) for attachment in message["attachments"]]
    return entries


def most_telling(desks: Sequence[Desk], cases: Iterable[Case]) -> str:
    """Return the id of a conversation in which the most different things happened, an English one if possible."""
    english = {case.known["conversation_id"] for case in cases if case.known["language"] == "en"}
    return max(desks, key=lambda desk: (_variety(desk), desk.conversation_id in english)).conversation_id


def _variety(desk: Desk) -> int:
    return len({(entry.kind, entry.text if entry.kind == "action" else "", entry.is_failed) for entry in desk.log})


_KIND_COUNTS = {
    "end_user": "human_messages",
    "agent": "agent_messages",
    "action": "action_calls",
    "button": "buttons",
    "attachment": "attachments",
}
_STATS = (
    "conversations",
    "human_messages",
    "agent_messages",
    "action_calls",
    "action_errors",
    "escalated_conversations",
)
_ORDER = (
    *_STATS,
    "attachments",
    "buttons",
    "positive_feedbacks",
    "neutral_feedbacks",
    "negative_feedbacks",
    "total_tokens",
)


def _in_order(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in _ORDER}
