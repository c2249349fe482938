"""What is known of a conversation, and how events add to it in whatever order they arrive.

In: the stored row, if there is one, and events. Out: the columns of `conversations` to write.
Loses: what an event says of a field that an earlier moment, or an explicit edit, has settled.

`known_at` holds the capture time per field, per ``metadata.<key>`` and for ``error``. The earliest wins; `EDITED` is
earlier than any event. ``metadata`` itself is the moment an edit replaced the document: keys from before are gone.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from agentsight_auto.events import AnyEvent, ConversationEnded, ConversationStarted, Message
from agentsight_auto.store.known_at import decode, encode
from agentsight_auto.store.metadata_index import encode_json
from agentsight_auto.store.summary import Summary

FIELDS = ("name", "customer_id", "customer_ip_address", "device", "source", "language", "environment")
"""What a `ConversationStarted` may tell, apart from metadata."""

EDITED = -1
"""The time in ``known_at`` of a field that was set by an explicit edit."""

Names: TypeAlias = "tuple[str, str | None, str | None]"
"""The conversation id, the name and the customer's id."""

_NEVER = 2**63
"""Later than any event."""
_told = attrgetter(*FIELDS)

DEFAULT_ENVIRONMENT = "development"

_ENVIRONMENTS = {"prod": "production", "production": "production", "dev": "development", "development": "development"}


class ConversationState:
    """One conversation while a batch is stored; `is_new`, `is_touched` and `is_described` say what to write."""

    def __init__(self, conversation_id: str, row: dict[str, Any] | None, at_us: int, summary: Summary) -> None:
        """Begin with the stored row by column, or, for a new conversation, with nothing that happened at `at_us`."""
        self.conversation_id = conversation_id
        self.is_new = row is None
        self.is_touched = self.is_new
        self.is_described = self.is_new
        self.is_metadata_changed = False
        self.is_address_changed = False
        self.summary = summary
        self._flags = summary.flags()
        if row is None:
            self.pk = 0
            self.fields: dict[str, str | None] = dict.fromkeys(FIELDS)
            self.fields["environment"] = DEFAULT_ENVIRONMENT
            self.metadata: dict[str, Any] | None = None
            self.known_at: dict[str, int] = {}
            self.started_at_us = self.ended_at_us = at_us
            self.is_used = False
            self.error: str | None = None
            self.place: tuple[str | None, str | None, str | None] = (None, None, None)
        else:
            self.pk = row["id"]
            self.fields = {field: row[field] for field in FIELDS}
            self.metadata = msgspec.json.decode(row["metadata"]) if row["metadata"] is not None else None
            self.started_at_us, self.ended_at_us = row["started_at_us"], row["ended_at_us"]
            self.known_at = decode(row["known_at"], self.fields, self.metadata, self.started_at_us)
            self.is_used, self.error = bool(row["is_used"]), row["error"]
            self.place = (row["geo_city"], row["geo_country"], row["geo_timezone"])
        self.names = self.searched_names()
        """What the search index knows of the conversation itself."""

    def searched_names(self) -> Names:
        """Return what a search by id, name or customer looks at."""
        return self.conversation_id, self.fields["name"], self.fields["customer_id"]

    def settle(self) -> None:
        """Say, once all events of the batch are taken in, whether a flag has changed: those are in indexes."""
        self.is_described = self.is_described or self.summary.flags() != self._flags

    def add(self, event: AnyEvent) -> None:
        """Take in one event that is not stored yet."""
        at_us = event.at_us
        if at_us > self.ended_at_us:
            self.ended_at_us, self.is_touched = at_us, True
        elif at_us < self.started_at_us:
            self.started_at_us, self.is_described = at_us, True
        # `Message` by itself, as most events are one.
        if isinstance(event, Message) or not isinstance(event, (ConversationStarted, ConversationEnded)):
            self.summary.add(event)
            self.is_touched = True
        elif isinstance(event, ConversationEnded):
            self._end(event)
        else:
            self._describe(event)
            if not event.is_used:
                return
        if not self.is_used:
            self.is_used = self.is_touched = True

    def _end(self, event: ConversationEnded) -> None:
        if event.error is not None and event.at_us > self.known_at.get("error", EDITED):
            self.error = event.error
            self.known_at["error"] = event.at_us
            self.is_described = True

    def _describe(self, event: ConversationStarted) -> None:
        at_us, known_at = event.at_us, self.known_at
        for field, value in zip(FIELDS, _told(event), strict=True):
            if value is not None and at_us < known_at.get(field, _NEVER):
                self.fields[field] = normal_environment(value) if field == "environment" else value
                known_at[field] = at_us
                self.is_described = True
                self.is_address_changed |= field == "customer_ip_address"
        if event.metadata and event.at_us > self.known_at.get("metadata", EDITED):
            self._add_metadata(event.metadata, event.at_us)

    def _add_metadata(self, told: dict[str, Any], at_us: int) -> None:
        known_at = self.known_at
        news = {key: value for key, value in told.items() if at_us < known_at.get(f"metadata.{key}", _NEVER)}
        if not news:
            return
        known_at.update([(f"metadata.{key}", at_us) for key in news])
        self.is_described = self.is_metadata_changed = True
        if not self.metadata:
            self.metadata = news  # of one moment: there is nothing to put in order
            return
        kept = {key: value for key, value in (self.metadata or {}).items() if key not in news}
        # Ordered by time, so that the document does not depend on the order of arrival.
        self.metadata = dict(sorted((kept | news).items(), key=lambda item: known_at[f"metadata.{item[0]}"]))

    def known_at_json(self) -> str:
        """Return ``known_at`` as it is stored."""
        return encode(self.known_at, self.fields, self.metadata, self.started_at_us)

    def metadata_json(self) -> str | None:
        """Return the metadata document as it is stored."""
        return None if self.metadata is None else encode_json(self.metadata).decode()


def normal_environment(value: str) -> str:
    """Return ``production`` and ``development`` for their short and differently cased spellings, others as given."""
    text = value.strip()
    return _ENVIRONMENTS.get(text.lower(), text)
