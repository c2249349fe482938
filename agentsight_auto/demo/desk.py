"""The desk an agent serves a customer at: the shop at hand, and a log of what was really done there.

In: calls of the tools. Out: the log that the report compares with the store. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from .shop import Shop

HAND_OVER = "fallback_to_human"
"""The action that hands a conversation to a human, by its documented name."""


@dataclass
class Entry:
    """One thing that was said or done: `kind` is ``end_user``, ``agent``, ``action``, ``button`` or ``attachment``."""

    kind: str
    text: str
    is_failed: bool = False


@dataclass
class Desk:
    """Serves one conversation; the log is in the order in which things began."""

    conversation_id: str
    shop: Shop
    log: list[Entry] = field(default_factory=list)
    total_tokens: int = 0

    def note(self, kind: str, text: str) -> Entry:
        """Write down what was said or done."""
        entry = Entry(kind, text)
        self.log.append(entry)
        return entry

    @property
    def is_escalated(self) -> bool:
        """Whether the conversation was handed to a human."""
        return any(entry.kind == "action" and entry.text == HAND_OVER for entry in self.log)


current_desk: ContextVar[Desk] = ContextVar("agentsight_auto.demo.desk")


@contextmanager
def at_desk(action: str) -> Iterator[Shop]:
    """Note an action, and its failure if an exception leaves it; gives the shop."""
    desk = current_desk.get()
    entry = desk.note("action", action)
    try:
        yield desk.shop
    except Exception:
        entry.is_failed = True
        raise
