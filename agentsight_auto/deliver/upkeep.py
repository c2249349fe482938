"""The duties of the two threads: journal; deliver, adopt, sync and tend.

In: the backlog of this process and what dead ones left. Out: answered events, synced files. Loses: nothing of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from agentsight_auto import _guard
from agentsight_auto.deliver.backlog import Backlog
from agentsight_auto.deliver.books import AdoptedBooks, OwnBooks
from agentsight_auto.deliver.delivery import Delivery
from agentsight_auto.deliver.folders import dead_folders
from agentsight_auto.deliver.gate import Gate
from agentsight_auto.deliver.losses import LossBook
from agentsight_auto.deliver.outbox import sync_paths

_TEND_S = 5.0


class Upkeep:
    """Carry out the duties of `worker.Duties`. `outbox` is None where there are no files; `is_quiet` ends logging."""

    def __init__(
        self,
        gate: Gate,
        backlog: Backlog,
        delivery: Delivery,
        drain: Callable[[], None],
        reanchor: Callable[[], None],
        outbox: Path | None,
    ) -> None:
        self.is_quiet = False
        self._gate = gate
        self._backlog = backlog
        self._delivery = delivery
        self._drain = drain
        self._reanchor = reanchor
        self._outbox = outbox
        self._own_books = OwnBooks(gate, backlog)
        self._adopted_books = AdoptedBooks(backlog)
        self._loss_book = LossBook(outbox)

    def journal(self) -> bool:
        """Bring the buffer into the outbox; tell whether there was anything."""
        before = self._backlog.counts.captured
        self._gate.run(self._drain)
        return self._backlog.counts.captured > before

    def deliver(self, goes_on: Callable[[], bool]) -> None:
        """Deliver what waits, asking after each batch whether to go on; raises when the destination cannot."""
        self._delivery.deliver(self._gate.call(self._backlog.seal), self._own_books, goes_on)

    def is_far_behind(self) -> bool:
        """Tell whether so much waits that there is no time for a rest."""
        return self._gate.call(self._backlog.is_far_behind)

    def adopt(self, goes_on: Callable[[], bool]) -> None:
        """Deliver what dead processes left, in the same way."""
        if self._outbox is None:
            return
        self._adopted_books.forget_vanished()
        for folder in dead_folders(self._outbox, self._gate.call(lambda: self._backlog.outbox.folder_path)):
            try:
                segments = map(self._adopted_books.segment, folder.segments())
                if not self._delivery.deliver(segments, self._adopted_books, goes_on):
                    return
            finally:
                folder.leave()

    def sync(self) -> None:
        """Make the disk keep what was written."""
        sync_paths(self._gate.call(self._backlog.take_unsynced))

    def tend(self) -> tuple[float, bool]:
        """Release what is idle, return to a disk that works again, warn.

        Return the monotonic time of the next such thing, and whether something was released.
        """
        self._reanchor()
        has_released = self._gate.call(self._backlog.release_idle)
        self._gate.call(self._backlog.return_to_disk)
        warnings = self._gate.call(self._backlog.take_warnings)
        if not self.is_quiet:
            for topic, message in warnings:
                _guard.warn_at_most_once_a_minute(topic, "agentsight-auto: %s", message)
        self.note_losses()
        times = self._gate.call(lambda: (self._backlog.next_idle_at(), self._backlog.disk_retry_at()))
        return min(at for at in (*times, time.monotonic() + _TEND_S) if at is not None), has_released

    def note_losses(self) -> None:
        """Write down what was lost since the last time, where it outlives this process."""
        self._loss_book.note(self._gate.call(lambda: dict(self._backlog.counts.lost)))

    def ended(self) -> None:
        """Leave nothing in the buffer of a thread that ends, and give back what it held open."""
        self._gate.run(self._drain)
        self._delivery.close()
