"""The one door out: what takes a batch of events somewhere and says what became of each."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from agentsight_auto.events import Answer, AnyEvent


class DeliveryError(Exception):
    """The whole batch could not be handled; it is kept and tried again.

    `retry_after_s`: how long the other side asked to wait; None leaves it to the worker's back-off.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Destination(Protocol):
    """Take events and answer for each by its id; called by one thread at a time.

    An event without an answer stays in the outbox and comes again. Any exception counts as `DeliveryError`.
    """

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Bring the events to where they belong.

        Raises:
            DeliveryError: the batch could not be handled now.
        """
        ...

    def close(self) -> None:
        """Give back what the destination holds open."""
        ...


@runtime_checkable
class EarlyDestination(Destination, Protocol):
    """A destination whose other side may store a repeat twice: it tells each answer as soon as it is there."""

    def report_to(self, on_answer: Callable[[Answer], None]) -> None:
        """Have each answer told at once where a repeat would be stored twice, besides being returned."""
        ...


_this_thread = threading.local()


@contextlib.contextmanager
def not_after(moment: float) -> Iterator[None]:
    """Tell the destination that whoever waits for it on this thread leaves at this monotonic time."""
    _this_thread.leaves_at = moment
    try:
        yield
    finally:
        _this_thread.leaves_at = None


def patience_s() -> float | None:
    """Return for how many seconds somebody waits for what is delivered on this thread; None if nobody does."""
    leaves_at: float | None = getattr(_this_thread, "leaves_at", None)
    return None if leaves_at is None else max(leaves_at - time.monotonic(), 0.0)
