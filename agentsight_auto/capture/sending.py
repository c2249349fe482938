"""`send_tracked_data()` and the summary of what waits for it, with their documented results.

In: the scope's events since its last send. Out: per-item results and a summary. Loses: nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .. import events
from .._clock import iso_from_us
from .._guard import guarded
from ..exceptions import NoDataToSendException
from .unsent import Recorded, Stub, Unsent, item_type, total_tokens

if TYPE_CHECKING:
    from .._runtime import Runtime
    from .scope import ConversationScope

_PREVIEW_CHARACTERS = 100
_COUNTED = {
    "question": "questions",
    "answer": "answers",
    "attachments": "attachments",
    "action": "actions",
    "button": "buttons",
}
_KEPT_FOR_LATER = "not answered in time: the event is kept and will be delivered"


class Item(NamedTuple):
    """One documented item and the events that stand behind it."""

    item_type: str
    at_us: int
    event_ids: list[str]
    data: dict[str, Any]


def _items(recorded: list[Recorded], conversation_id: str) -> list[Item]:
    """Return the items in order; all token usage together is one action named token_usage before the last item."""
    items = [
        Item(item_type(event), event.at_us, [event.id], _data(event, conversation_id))
        for event in recorded
        if item_type(event)
    ]
    usages = [event for event in recorded if isinstance(event, events.TokenUsage)]
    if usages:
        data = {
            "action_name": "token_usage",
            "conversation_id": conversation_id,
            "metadata": dict(total_tokens(usages)),
        }
        item = Item("action", usages[-1].at_us, [usage.id for usage in usages], data)
        items.insert(max(len(items) - 1, 0) if len(items) > 1 else len(items), item)
    return items


class Outcome(NamedTuple):
    """What became of events: those that wait or were rejected (with the reason), and what the store calls the rest."""

    unanswered: dict[str, str | None]
    conversation: dict[str, Any]
    stored: dict[str, dict[str, Any]]


def send(runtime: Runtime, scope: ConversationScope, unsent: Unsent, timeout_s: float) -> dict[str, Any]:
    """Deliver the scope's unsent events and answer for each item; see `ConversationScope.send_tracked_data`."""
    summary: Counter[str] = Counter()
    results: list[dict[str, Any]] = []
    if scope.is_recording:
        runtime.check_target()
        items = _items(unsent.take(), scope.conversation_id)
        if not items:
            raise NoDataToSendException(f"Nothing has been tracked for conversation {scope.conversation_id!r}.")
        ids = [event_id for item in items for event_id in item.event_ids]
        outcome = _deliver(runtime, scope, ids, timeout_s) or Outcome(dict.fromkeys(ids), {}, {})
        for index, item in enumerate(items):
            results.append(_result(index, item, outcome))
            if not results[-1]["success"]:
                summary["errors"] += 1
            elif item.item_type in _COUNTED:
                summary[_COUNTED[item.item_type]] += 1
    return {"items": results, "summary": {name: summary[name] for name in (*_COUNTED.values(), "errors")}}


@guarded
def _deliver(runtime: Runtime, scope: ConversationScope, ids: list[str], timeout_s: float) -> Outcome:
    pipeline = runtime.pipeline
    pipeline.release(scope.key)
    pipeline.flush(timeout_s, release_held=False)
    unanswered = pipeline.unanswered(ids)
    answered = [event_id for event_id in ids if event_id not in unanswered]
    return Outcome(unanswered, *(runtime.stored_rows(scope.conversation_id, answered) if answered else ({}, {})))


def _result(index: int, item: Item, outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "type": item.item_type, "timestamp": iso_from_us(item.at_us)}
    for event_id in item.event_ids:
        if event_id in outcome.unanswered:
            reason = outcome.unanswered[event_id]
            error = _KEPT_FOR_LATER if reason is None else f"rejected: {reason}"
            return {**result, "success": False, "error": error}
    if item.item_type == "conversation":
        return {**result, "success": True, "response": outcome.conversation}
    rest = {"conversation": outcome.conversation["id"]} if outcome.conversation else {}
    return {**result, "success": True, "response": outcome.stored.get(item.event_ids[-1], rest)}


def summarize(recorded: list[Recorded], conversation_id: str) -> dict[str, Any]:
    """Return the documented summary of what waits to be sent."""
    items = _items(recorded, conversation_id)
    counts = Counter(item.item_type for item in items)
    summary = {"conversation": counts["conversation"]}
    summary |= {plural: counts[kind] for kind, plural in _COUNTED.items()}
    return {
        "items": [
            {
                "index": index,
                "type": item.item_type,
                "timestamp": iso_from_us(item.at_us),
                "data": item.data,
                "preview": _preview(item.item_type, item.data),
            }
            for index, item in enumerate(items)
        ],
        "summary": {**summary, "total": len(items)},
        "conversation_id": conversation_id,
    }


def _data(event: Recorded, conversation_id: str) -> dict[str, Any]:
    if isinstance(event, Stub):
        return {"conversation_id": conversation_id}
    data: dict[str, Any] = msgspec.to_builtins(event)
    for internal in ("id", "kind", "at_us", "parent_id"):
        data.pop(internal, None)
    for name in ("started_at", "ended_at"):
        moment_us = data.pop(f"{name}_us", None)
        if moment_us is not None:
            data[name] = iso_from_us(moment_us)
    data.setdefault("metadata", {})
    return data


def _preview(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    if kind == "conversation":
        return {name: data.get(name) for name in ("conversation_id", "customer_id", "name", "environment")}
    if kind in {"question", "answer"}:
        content = data.get("content", "")
        more = "..." if len(content) > _PREVIEW_CHARACTERS else ""
        return {
            "content_preview": content[:_PREVIEW_CHARACTERS] + more,
            "sender": data.get("sender"),
            "has_metadata": bool(data.get("metadata")),
        }
    if kind == "attachments":
        files = [attachment["filename"] for attachment in data.get("attachments", [])]
        more_files = [f"... and {len(files) - 3} more"] if len(files) > 3 else []
        return {"count": len(files), "sender": data.get("sender"), "files": files[:3] + more_files}
    if kind == "action":
        return {
            "action_name": data.get("action_name"),
            "duration_ms": data.get("duration_ms"),
            "has_error": bool(data.get("error_msg")),
            "has_response": data.get("response") is not None,
        }
    return {"label": data.get("label"), "value": data.get("value"), "event": data.get("button_event")}
