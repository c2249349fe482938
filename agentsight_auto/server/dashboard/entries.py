"""A conversation as its transcript shows it: entries in order, actions with their children inside them.

In: a whole conversation in the documented shape. Out: `Entry` values. Loses: nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsight_auto._clock import parse_moment
from agentsight_auto.interchange.csv_format import kind_of


@dataclass
class Entry:
    """One entry: a message, an action, a button, attachments; for an answer how long it took, in milliseconds."""

    message: dict[str, Any]
    kind: str
    log: dict[str, Any] | None = None
    children: list[Entry] = field(default_factory=list)
    waited_ms: float | None = None
    is_hit: bool = False
    begins_day: bool = False

    @property
    def has_error(self) -> bool:
        """Whether the action, or one inside it, failed."""
        return bool(self.log and self.log["error_message"]) or any(child.has_error for child in self.children)

    def walk(self) -> Sequence[tuple[int, Entry]]:
        """Return this entry and all inside it, each with its depth."""
        return [(0, self), *((depth + 1, entry) for child in self.children for depth, entry in child.walk())]


def arrange(shape: dict[str, Any], needle: str = "") -> list[Entry]:
    """Return the entries of the transcript; those in which `needle` was said are hits."""
    entries = [
        Entry(message, kind_of(message), next(iter(message["action_logs"]), None)) for message in shape["messages"]
    ]
    by_log = {entry.log["id"]: entry for entry in entries if entry.log is not None}
    folded = needle.strip().casefold()
    top: list[Entry] = []
    asked_at = None
    for entry in entries:
        parent = by_log.get(entry.log["parent_id"]) if entry.log is not None else None
        if parent is not None and parent is not entry and not _is_inside(parent, entry, by_log):
            parent.children.append(entry)
            continue
        if entry.kind == "message":
            at = parse_moment(entry.message["timestamp"])
            if entry.message["sender"] == "agent" and asked_at is not None:
                entry.waited_ms = (at - asked_at).total_seconds() * 1000
            if entry.message["sender"] != "system":
                asked_at = at if entry.message["sender"] == "end_user" else None
        entry.is_hit = bool(folded) and folded in (entry.message["content"] or "").casefold()
        top.append(entry)
    return top


def _is_inside(entry: Entry, other: Entry, by_log: dict[int, Entry]) -> bool:
    """Tell whether `entry` hangs below `other`, as parents that name each other would have it."""
    seen: set[int] = set()
    current: Entry | None = entry
    while current is not None and current.log is not None and current.log["id"] not in seen:
        if current is other:
            return True
        seen.add(current.log["id"])
        current = by_log.get(current.log["parent_id"])
    return current is not None and current.log is not None and current.log["id"] in seen


def mark_days(entries: Sequence[Entry], day_of: Any) -> None:
    """Note where a new day begins; `day_of` gives the reader's day of a moment."""
    previous = None
    for entry in entries:
        day = day_of(entry.message["timestamp"])
        entry.begins_day = day != previous
        previous = day


def by_sender(entries: Sequence[Entry]) -> dict[str, int]:
    """Count what was said by each sender."""
    counts: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        if entry.kind == "message":
            counts[entry.message["sender"]] += 1
    return counts
