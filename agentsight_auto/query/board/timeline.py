"""One conversation on one axis of time: messages, nested actions, model calls, and how each answer's time was spent.

In: a conversation in the documented shape. Out: items in order, with offsets from the first in milliseconds.
Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsight_auto._clock import parse_moment, us_from_datetime

Shape = dict[str, Any]
_RUNNING = frozenset({"action", "model_call"})


def lay_out(conversation: Shape) -> Shape:
    """Return the timeline of a conversation; see `Board.timeline`."""
    items = [item for message in conversation["messages"] for item in _items(message)]
    origin_us = min([_us(conversation["started_at"]), *(item["start_us"] for item in items)])
    depths = _depths({item["id"]: item["parent_id"] for item in items})
    end_us = max([origin_us, *(item["start_us"] + item["duration_ms"] * 1000 for item in items)])
    shaped = [
        {
            **{name: value for name, value in item.items() if name != "start_us"},
            "offset_ms": (item["start_us"] - origin_us) / 1000,
            "depth": depths[item["id"]],
        }
        for item in sorted(items, key=lambda item: item["start_us"])
    ]
    return {
        "conversation_id": conversation["conversation_id"],
        "id": conversation["id"],
        "started_at": conversation["started_at"],
        "duration_ms": (end_us - origin_us) / 1000,
        "items": shaped,
        "turns": _turns(shaped),
    }


def _items(message: Shape) -> list[Shape]:
    logs = message["action_logs"]
    if not logs:
        kind = "button" if message["button"] else "message" if message["content"] else "attachments"
        common = {"duration_ms": 0.0, "parent_id": None, "is_error": False, "message_id": message["id"]}
        label = message["content"] or ", ".join(item["filename"] for item in message["attachments"])
        return [
            {"id": f"m{message['id']}", "kind": kind, "label": label, "sender": message["sender"],
             "start_us": _us(message["timestamp"]), **common}
        ]  # fmt: skip
    return [_action(message, log) for log in logs]


def _action(message: Shape, log: Shape) -> Shape:
    told_us = _us(message["timestamp"])
    duration_ms = max(log["duration_ms"] or 0.0, 0.0)
    start_us = _us(log["started_at"]) if log["started_at"] else told_us - round(duration_ms * 1000)
    is_model = (log["metadata"] or {}).get("kind") == "model_call"
    return {
        "id": f"a{log['id']}",
        "kind": "model_call" if is_model else "action",
        "label": message["action_name"],
        "sender": "agent",
        "start_us": start_us,
        "duration_ms": duration_ms,
        "parent_id": None if log["parent_id"] is None else f"a{log['parent_id']}",
        "is_error": bool(log["error_message"]),
        "message_id": message["id"],
    }


def _depths(parents: dict[str, str | None]) -> dict[str, int]:
    """Count the actions around each; one whose parent is not there has none.

    A circle of parents, which only an import can bring, ends where it closes.
    """
    depths: dict[str, int] = {}
    for start in parents:
        chain: list[str] = []
        seen: set[str] = set()
        current: str | None = start
        while current is not None and current in parents and current not in depths and current not in seen:
            chain.append(current)
            seen.add(current)
            current = parents[current]
        above = depths.get(current or "", -1)
        for item_id in reversed(chain):
            above += 1
            depths[item_id] = above
    return depths


def _turns(items: Sequence[Shape]) -> list[Shape]:
    """Return, for each message of the customer, how long the answer took and how much of it was spent in actions."""
    turns = []
    waiting: list[tuple[int, float]] = []
    busy_until = 0.0
    for place, item in enumerate(items):
        if item["kind"] in _RUNNING:
            busy_until = max(busy_until, item["offset_ms"] + item["duration_ms"])
        elif item["kind"] == "message" and item["sender"] == "end_user":
            waiting.append((place, busy_until))
        elif item["kind"] == "message" and item["sender"] == "agent":
            turns += [_turn(items, asked, place, until) for asked, until in waiting]
            waiting = []
    return turns


def _turn(items: Sequence[Shape], asked_at: int, answered_at: int, busy_until: float) -> Shape:
    """Add up what ran between two places; `busy_until` is when the last of what began before them ended."""
    asked, answer = items[asked_at], items[answered_at]
    start, end = asked["offset_ms"], answer["offset_ms"]
    reached = max(min(busy_until, end), start)
    busy_ms = reached - start
    for place in range(asked_at, answered_at):
        item = items[place]
        if item["kind"] in _RUNNING:
            until = min(item["offset_ms"] + item["duration_ms"], end)
            busy_ms += max(until - max(item["offset_ms"], reached), 0.0)
            reached = max(reached, until)
    return {
        "message_id": asked["message_id"],
        "answer_id": answer["message_id"],
        "offset_ms": start,
        "duration_ms": end - start,
        "busy_ms": busy_ms,
    }


def _us(text: str) -> int:
    return us_from_datetime(parse_moment(text))
