"""A destination that stores events in the embedded store.

In: batches of events. Out: rows in the store's file.
Loses: nothing; while the store cannot be written to they wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.events import Answer, AnyEvent
from agentsight_auto.exceptions import StoreException

if TYPE_CHECKING:
    from agentsight_auto.store.geo import GeoLookup

Ingest = Callable[[Sequence[AnyEvent]], list[Answer]]


class LocalDestination:
    """Store events through `open_store()`, which is called at the first batch and returns what takes a batch in."""

    def __init__(self, open_store: Callable[[], Ingest]) -> None:
        self._open_store = open_store
        self._ingest: Ingest | None = None

    @classmethod
    def at(cls, path: Path, *, agent: str = "default", geo: GeoLookup | None = None) -> LocalDestination:
        """Store events in the file at `path`, which is made at the first batch."""

        def open_store() -> Ingest:
            # Imported here, so that a program that has recorded nothing yet does not load SQLAlchemy.
            from agentsight_auto.store.database import Database  # noqa: PLC0415
            from agentsight_auto.store.ingest import ingest  # noqa: PLC0415

            database = Database.open(path)
            return lambda batch: ingest(database, batch, agent=agent, geo=geo)

        return cls(open_store)

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
