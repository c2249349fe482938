"""A destination that stores events in the embedded store.

In: batches of events. Out: rows in the store's file.
Loses: nothing; while the store cannot be written to they wait.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.events import Answer, AnyEvent
from agentsight_auto.exceptions import StoreException

_TIDY_EVERY_S = 60.0
Ingest = Callable[[Sequence[AnyEvent]], list[Answer]]


class LocalDestination:
    """Store events through `open_store()`, which is called at the first batch and returns what takes a batch in.

    Opening late keeps SQLAlchemy out of a program that has recorded nothing yet. After a batch, at most once a minute,
    `tidy` is called: it may take a moment.
    """

    def __init__(self, open_store: Callable[[], Ingest], tidy: Callable[[], object] | None = None) -> None:
        self._open_store = open_store
        self._tidy = tidy
        self._tidy_at = time.monotonic()
        self._ingest: Ingest | None = None

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Store the events in one transaction.

        Raises:
            DeliveryError: the store cannot be opened or written to now.
        """
        try:
            if self._ingest is None:
                self._ingest = self._open_store()
            answers = self._ingest(batch)
        except (StoreException, OSError) as error:
            raise DeliveryError(str(error)) from error
        self._tidy_now_and_then()
        return answers

    def _tidy_now_and_then(self) -> None:
        if self._tidy is not None and time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_EVERY_S
            with contextlib.suppress(StoreException, OSError):
                self._tidy()

    def close(self) -> None:
        """Let go of the store; whoever opened it closes it, as others may read from it."""
        self._ingest = None
