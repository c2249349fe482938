"""A destination that keeps events in a list, for tests.

In: batches of events. Out: `events`, in the order they came. Loses: nothing; an id that is known is a duplicate.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from agentsight_auto.events import Answer, AnyEvent


class MemoryDestination:
    """Collect events in memory; may be read while events arrive."""

    def __init__(self) -> None:
        self._events: dict[str, AnyEvent] = {}
        self._lock = threading.Lock()

    @property
    def events(self) -> list[AnyEvent]:
        """Return what has arrived so far."""
        with self._lock:
            return list(self._events.values())

    def clear(self) -> None:
        """Forget everything, ids included."""
        with self._lock:
            self._events.clear()

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Keep the events."""
        answers = []
        with self._lock:
            for event in batch:
                status = "duplicate" if event.id in self._events else "stored"
                self._events.setdefault(event.id, event)
                answers.append(Answer(event.id, status))
        return answers

    def close(self) -> None:
        """Keep what has arrived: it may be read after the end."""
