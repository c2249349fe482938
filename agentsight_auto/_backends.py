"""What is open behind a runtime: the embedded store, the client of a remote API, and what a server has answered.

In: a runtime's settings. Out: a backend that answers, and the destination that events go to. Loses: nothing.

Everything is opened at its first use: recording needs none of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ._opening import aside, open_embedded, open_http, open_remote
from ._settings import Settings
from .exceptions import ConversationTrackingException

if TYPE_CHECKING:
    from .deliver.destination import Destination
    from .deliver.recent import Replies
    from .events import Answer, AnyEvent
    from .query.backend import Backend
    from .query.embedded import EmbeddedBackend
    from .query.remote import RemoteBackend
    from .store.attachments import AttachmentFolder

_TIDY_S = 0.1


class Backends:
    """What is open for one set of settings; where these change, `close` it and make another."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._embedded: EmbeddedBackend | None = None
        self._remote: RemoteBackend | None = None
        self._replies: Replies | None = None
        self._opening = threading.Lock()

    def renew_after_fork(self) -> None:
        """In a forked child: a lock that no thread of the parent holds."""
        self._opening = threading.Lock()

    def backend(self) -> Backend:
        """Return what answers queries and edits.

        Raises:
            StoreException: the embedded store cannot be opened.
            NoApiKeyException: an endpoint is set without a key.
            ConfigurationException: the endpoint is plain HTTP to another machine.
        """
        return self._remote_backend() if self.settings.is_remote else self._embedded_backend()

    def destination(self, attachments: AttachmentFolder) -> Destination:
        """Open where the worker delivers to; called on the worker's thread."""
        if self.settings.is_remote:
            return aside(open_http, self.settings, attachments, self._known_replies())
        from .deliver.local import LocalDestination  # noqa: PLC0415 - not needed for a remote one

        return LocalDestination(self._open_ingest, lambda: aside(self._tidy))

    def stored_rows(
        self, conversation_id: str, event_ids: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Return what the store has answered for a conversation and for events of it: at least its ids, if known."""
        if not self.settings.is_remote:
            backend = self._embedded_backend()
            return backend.known_conversation(conversation_id), backend.known_event_ids(event_ids)
        replies = self._known_replies()
        events = {event_id: reply for event_id in event_ids if (reply := replies.events.get(event_id))}
        conversation = replies.conversations.get(conversation_id)
        if conversation is None:
            with contextlib.suppress(ConversationTrackingException):
                conversation = self._remote_backend().known_conversation(conversation_id)
        return conversation or {}, events

    def close(self) -> None:
        """Close what is open; the next use opens anew."""
        embedded, self._embedded = self._embedded, None
        remote, self._remote = self._remote, None
        for backend in (embedded, remote):
            if backend is not None:
                backend.close()

    def _open_ingest(self) -> Callable[[Sequence[AnyEvent]], list[Answer]]:
        ingest = aside(self._embedded_backend).ingest
        return lambda batch: aside(ingest, batch)

    def _embedded_backend(self) -> EmbeddedBackend:
        """Open the store at first use; that may take long, and must not hold up who records."""
        with self._opening:
            backend = self._embedded
            if backend is None:
                backend = self._embedded = open_embedded(self.settings)
            return backend

    def _remote_backend(self) -> RemoteBackend:
        with self._opening:
            if self._remote is None:
                self._remote = open_remote(self.settings)
            return self._remote

    def _known_replies(self) -> Replies:
        if self._replies is None:
            from .deliver.recent import Replies  # noqa: PLC0415 - not needed for the embedded store

            with self._opening:
                self._replies = self._replies or Replies()
        return self._replies

    def _tidy(self) -> None:
        """Go on with unfinished erasures and erase what has expired; called on the worker's thread."""
        self._embedded_backend().tidy(self.settings.retention_days, wait_s=_TIDY_S)
