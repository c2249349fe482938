"""A destination on the other side of HTTP: the hosted AgentSight API, or another server that speaks it.

In: batches of events. Out: requests, on the batch route where the server offers it, else on the documented per-item
routes. Loses: nothing; whatever may work later is a `DeliveryError`, and the events wait in the outbox.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from agentsight_auto._http.client import DEADLINE_S, HttpClient
from agentsight_auto._http.messages import Request
from agentsight_auto.deliver.http_batch import BatchRoute
from agentsight_auto.deliver.http_items import ItemRoutes
from agentsight_auto.deliver.recent import Replies
from agentsight_auto.deliver.verdicts import Refused, RouteMissing, ask
from agentsight_auto.events import Answer, AnyEvent
from agentsight_auto.store.attachments import AttachmentFolder

ME = "/api/me/"
BATCH_CAPABILITY = "events-batch"
GZIP_CAPABILITY = "gzip-ingest"
_CAPABILITIES_S = 300.0


class HttpDestination:
    """Deliver to one API with one key. Opens nothing before the first batch.

    `attachments` is the folder of the bytes that events refer to; `replies` keeps what the server said of each event.
    """

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        attachments: AttachmentFolder,
        *,
        replies: Replies | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._client = HttpClient(endpoint, api_key, deadline_s=deadline_s)
        self._batches = BatchRoute(self._client, attachments)
        self._items = ItemRoutes(self._client, attachments, replies or Replies())
        self._capabilities: frozenset[str] = frozenset()
        self._asked_at: float | None = None

    def report_to(self, on_answer: Callable[[Answer], None]) -> None:
        """Have each answer told at once where a repeat would be stored twice."""
        self._items.on_answer = on_answer

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Send the events.

        Raises:
            DeliveryError: not now.
        """
        if BATCH_CAPABILITY in self._offers():
            try:
                return self._batches.deliver(batch)
            except RouteMissing:
                self._asked_at = None
                self._capabilities = self._offers() - {BATCH_CAPABILITY}
        return self._items.deliver(batch)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _offers(self) -> frozenset[str]:
        """Return the server's capabilities, asked for once in five minutes."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at > _CAPABILITIES_S:
            self._capabilities = self._ask_capabilities()
            self._asked_at = now
            self._batches.is_compressed = GZIP_CAPABILITY in self._capabilities
        return self._capabilities

    def _ask_capabilities(self) -> frozenset[str]:
        try:
            me = ask(self._client, Request("GET", ME))
        except (RouteMissing, Refused):
            return frozenset()  # servers of the documented 0.0.x generation do not have the route
        listed = me.get("capabilities") if isinstance(me, dict) else None
        return frozenset(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else frozenset()
