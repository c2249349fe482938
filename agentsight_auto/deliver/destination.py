"""The one door out: what takes a batch of events somewhere and says what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
