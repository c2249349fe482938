"""A destination that stores events in the embedded store.

In: batches of events. Out: rows in the store's file.
Loses: nothing; while the store cannot be written to they wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.events import Answer, AnyEvent
from agentsight_auto.exceptions import StoreException

Ingest = Callable[[Sequence[AnyEvent]], list[Answer]]


class LocalDestination:
    """Store events through `open_store()`, which is called at the first batch and returns what takes a batch in.

    Opening late keeps SQLAlchemy out of a program that has recorded nothing yet.
    """

    def __init__(self, open_store: Callable[[], Ingest]) -> None:
        self._open_store = open_store
        self._ingest: Ingest | None = None

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Store the events in one transaction.

        Raises:
            DeliveryError: the store cannot be opened or written to now.
        """
        try:
            if self._ingest is None:
                self._ingest = self._open_store()
            return self._ingest(batch)
        except (StoreException, OSError) as error:
            raise DeliveryError(str(error)) from error

    def close(self) -> None:
        """Let go of the store; whoever opened it closes it, as others may read from it."""
        self._ingest = None
