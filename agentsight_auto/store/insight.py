"""What a transcript shows without anybody judging it: waiting, repetition, loops, how it was left.

In: the entries of one conversation in order. Out: an `Insight`. Loses: nothing.
`query.definitions` says in words what each number means; the rules themselves are here.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

FEWEST_WORDS = 4
"""Shorter messages ("yes", "thank you") are no repetition."""
ALIKE = 0.6
"""Share of common words, of all the words of both messages, from which one rephrases the other."""
LOOKED_BACK = 6
"""Earlier messages of the customer that a message is compared with."""
LOOP_LENGTH = 3
"""Times the same action with the same arguments in one turn, or the same words of the agent, make a loop."""

_WORD = re.compile(r"\w+")
_ASKS = re.compile("[?\uff1f\u061f\u037e\u055e]")
"""Question marks: Latin, fullwidth, Arabic, Greek, Armenian."""
_MOST_MS = 2**32 - 1


class Entry(NamedTuple):
    """One row of a transcript; `error` and `arguments` are an action's."""

    kind: str
    sender: str
    content: str
    at_us: int
    action_name: str | None = None
    error: str | None = None
    arguments: str | None = None


@dataclass
class Insight:
    """What was found out about one conversation; response times in milliseconds."""

    responses_ms: array[int] = field(default_factory=lambda: array("I"))
    repeated_count: int = 0
    is_looped: bool = False
    is_unanswered: bool = False
    """The customer had the last word."""
    is_left: bool = False
    """The customer's last words were not answered and ask something, or the agent never said a word."""
    is_failed_last: bool = False
    """The last action failed, and the customer said nothing after it."""
    ending_actions: dict[str, int] = field(default_factory=dict)
    """The actions after the customer's last message: when each was last recorded, by name."""


class _Reader:
    def __init__(self) -> None:
        self.found = Insight()
        self._waiting: list[int] = []
        self._asks = self._has_agent = self._has_human = False
        self._earlier: deque[frozenset[str]] = deque(maxlen=LOOKED_BACK)
        self._calls: Counter[tuple[str | None, str | None]] = Counter()
        self._said: Counter[str] = Counter()

    def read(self, entry: Entry) -> None:
        if entry.kind == "action":
            self._act(entry)
        elif entry.kind == "message" and entry.sender == "end_user":
            self._ask(entry)
        elif entry.kind == "message" and entry.sender == "agent":
            self._answer(entry)

    def _ask(self, entry: Entry) -> None:
        found = self.found
        self._has_human = True
        self._waiting.append(entry.at_us)
        self._asks = self._asks or _ASKS.search(entry.content) is not None
        found.is_failed_last = False
        found.ending_actions.clear()
        self._calls.clear()
        words = frozenset(_WORD.findall(entry.content.casefold()))
        if len(words) >= FEWEST_WORDS:
            found.repeated_count += any(_are_alike(words, others) for others in self._earlier)
            self._earlier.append(words)

    def _answer(self, entry: Entry) -> None:
        self._has_agent = True
        for asked_at_us in self._waiting:
            waited_ms = (entry.at_us - asked_at_us + 500) // 1000
            self.found.responses_ms.append(min(max(waited_ms, 0), _MOST_MS))
        self._waiting.clear()
        self._asks = False
        words = _WORD.findall(entry.content.casefold())
        if len(words) >= FEWEST_WORDS:
            said = " ".join(words)
            self._said[said] += 1
            self.found.is_looped |= self._said[said] >= LOOP_LENGTH

    def _act(self, entry: Entry) -> None:
        call = entry.action_name, entry.arguments
        self._calls[call] += 1
        self.found.is_looped |= self._calls[call] >= LOOP_LENGTH
        self.found.is_failed_last = bool(entry.error)
        if entry.action_name is not None:
            self.found.ending_actions[entry.action_name] = entry.at_us

    def end(self) -> Insight:
        self.found.is_unanswered = bool(self._waiting)
        self.found.is_left = bool(self._waiting) and (self._asks or not self._has_agent)
        self.found.is_failed_last &= self._has_human
        return self.found


def derive(entries: Iterable[Entry]) -> Insight:
    """Return what the entries show; they come in the order of the conversation."""
    reader = _Reader()
    for entry in entries:
        reader.read(entry)
    return reader.end()


def _are_alike(words: frozenset[str], others: frozenset[str]) -> bool:
    common = len(words & others)
    return common >= ALIKE * (len(words) + len(others) - common)
