"""What happened to what was captured: counts by reason that balance at any moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

_MOST_REASONS = 100


class FlushReport(msgspec.Struct, frozen=True):
    """Counts of events since this process started.

    ``captured == delivered + pending + sum(rejected) + sum(lost)``. Apart from the balance stay `adopted`, what was
    delivered for dead processes, and `dropped`, what processors took out before it was captured, by reason.
    """

    captured: int
    delivered: int
    pending: int
    rejected: dict[str, int]
    lost: dict[str, int]
    adopted: int
    dropped: dict[str, int] = {}

    @property
    def is_complete(self) -> bool:
        """Tell whether everything captured has been answered."""
        return self.pending == 0


class OutboxShare(msgspec.Struct, frozen=True):
    """What waits in one folder of the outbox; `owner` is ``this``, ``living`` or ``dead``."""

    folder: str
    owner: str
    segments: int
    size_bytes: int
    events: int
    oldest_age_s: float | None


class OutboxSummary(msgspec.Struct, frozen=True):
    """What waits in the whole outbox.

    `memory_events` wait in this process's memory. `damaged` counts copies of damaged stretches, `newer` segments of a
    later version, `rejected` events that the destination refused.
    """

    shares: list[OutboxShare]
    memory_events: int
    damaged: int
    newer: int
    rejected: int

    @property
    def segments(self) -> int:
        """Return how many segments wait."""
        return sum(share.segments for share in self.shares)

    @property
    def size_bytes(self) -> int:
        """Return how many bytes wait on disk."""
        return sum(share.size_bytes for share in self.shares)

    @property
    def events(self) -> int:
        """Return how many events wait, on disk and in memory."""
        return self.memory_events + sum(share.events for share in self.shares)

    @property
    def oldest_age_s(self) -> float | None:
        """Return the age of the oldest segment in seconds; None if none waits."""
        return max((share.oldest_age_s for share in self.shares if share.oldest_age_s is not None), default=None)


class Counts:
    """Running counts of one process; whoever changes them takes turns."""

    def __init__(self) -> None:
        self.captured = 0
        self.delivered = 0
        self.rejected: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.adopted = 0

    def report(self, not_yet_counted: int) -> FlushReport:
        """Return the balance; `not_yet_counted` events are captured but still in the buffer."""
        captured = self.captured + not_yet_counted
        settled = self.delivered + _total(self.rejected) + _total(self.lost)
        return FlushReport(
            captured, self.delivered, captured - settled, dict(self.rejected), dict(self.lost), self.adopted
        )

    def reject(self, reason: str) -> None:
        """Count a rejected event under the head of its reason; a hundred different heads at most."""
        head = reason.partition(":")[0].strip()[:80] or "no reason given"
        self.rejected[head if head in self.rejected or len(self.rejected) < _MOST_REASONS else "other"] += 1


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())
