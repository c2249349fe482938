"""A conversation as its transcript shows it: entries in order, actions with their children inside them.

In: a whole conversation in the documented shape. Out: `Entry` values, and the part of them that a page shows.
Loses: nothing; what is nested deeper than `DEEPEST` lies beside the action at that depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsight_auto._clock import parse_moment
from agentsight_auto.interchange.csv_format import kind_of

DEEPEST = 12
PART = 400
"""So many entries are on one page."""


@dataclass
class Entry:
    """One entry: a message, an action, a button, attachments; for an answer how long it took, in milliseconds."""

    message: dict[str, Any]
    kind: str
    log: dict[str, Any] | None = None
    children: list[Entry] = field(default_factory=list)
    waited_ms: float | None = None
    is_hit: bool = False
    is_open: bool = False
    begins_day: bool = False

    @property
    def has_error(self) -> bool:
        """Whether the action, or one inside it, failed."""
        return bool(self.log and self.log["error_message"]) or any(child.has_error for child in self.children)

    @property
    def is_model_call(self) -> bool:
        """Whether the action is a call of a model."""
        return self.log is not None and (self.log["metadata"] or {}).get("kind") == "model_call"

    def walk(self) -> Iterator[Entry]:
        """Go through this entry and all inside it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Part:
    """The entries that a page shows: number `number` of `count` parts, from 1, beginning with entry `first`, from 1."""

    entries: Sequence[Entry]
    number: int
    count: int
    first: int
    total: int


def arrange(shape: dict[str, Any], needle: str = "") -> list[Entry]:
    """Return the entries of the transcript; those in which `needle` was said are hits."""
    entries = [
        Entry(message, kind_of(message), next(iter(message["action_logs"]), None)) for message in shape["messages"]
    ]
    by_log = {entry.log["id"]: entry for entry in entries if entry.log is not None}
    homes = _homes(by_log)
    folded = needle.strip().casefold()
    top: list[Entry] = []
    asked_at = None
    for entry in entries:
        home = homes.get(entry.log["id"]) if entry.log is not None else None
        if home is not None:
            by_log[home].children.append(entry)
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


def _homes(by_log: Mapping[int, Entry]) -> dict[int, int | None]:
    """Return in which action each one is shown: its parent, or the one above it at the greatest depth.

    Of parents that name each other in a circle, which only an import can bring, one is in none.
    """
    homes: dict[int, int | None] = {}
    depths: dict[int, int] = {}
    for start in by_log:
        chain: list[int] = []
        current: int | None = start
        while current is not None and current not in homes:
            chain.append(current)
            homes[current] = None  # so that a circle ends here
            log = by_log[current].log
            parent = None if log is None else log["parent_id"]
            current = parent if parent in by_log else None
        above = current if current in depths else None  # one of a circle has no depth yet
        for log_id in reversed(chain):
            home = homes[above] if above is not None and depths[above] >= DEEPEST else above
            homes[log_id] = home
            depths[log_id] = 0 if home is None else depths[home] + 1
            above = log_id
    return homes


def cut(entries: Sequence[Entry], *, number: int | None, at: int | None) -> Part:
    """Return one part of the entries, the first unless one is asked for: by its number, or by a message that is in it.

    The actions around that message are opened.
    """
    count = max(-(-len(entries) // PART), 1)
    if number is None and at is not None:
        place = next((index for index, entry in enumerate(entries) if _open_to(entry, at)), 0)
        number = place // PART + 1
    number = min(max(number or 1, 1), count)
    first = (number - 1) * PART
    return Part(entries[first : first + PART], number, count, first + 1, len(entries))


def _open_to(entry: Entry, message_id: int) -> bool:
    """Open what is around a message, and tell whether it is this entry or inside it."""
    is_it = entry.message["id"] == message_id
    entry.is_open = any(_open_to(child, message_id) for child in entry.children) or (is_it and entry.kind == "action")
    return is_it or entry.is_open


def mark_days(entries: Sequence[Entry], day_of: Any) -> None:
    """Note where a new day begins; `day_of` gives the reader's day of a moment."""
    previous = None
    for entry in entries:
        day = day_of(entry.message["timestamp"])
        entry.begins_day = day != previous
        previous = day
