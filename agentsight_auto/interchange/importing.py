"""Import a file of conversations into a store, so that importing it twice changes nothing.

In: a binary stream of lines. Out: an `ImportReport`; conversations in the store.
Loses: lines that cannot be read and events that the store refuses; each is told with its line and the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import msgspec

from agentsight_auto.events import (
    Action,
    AnyEvent,
    Attachments,
    Button,
    ConversationEnded,
    ConversationStarted,
    Feedback,
    Message,
    TokenUsage,
)
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.interchange.chat_format import read_chat
from agentsight_auto.interchange.export_reading import is_export, read_export
from agentsight_auto.interchange.incoming import BadConversation, Incoming
from agentsight_auto.interchange.reading import Item, Unreadable, read_items
from agentsight_auto.interchange.stored import Stored, first_of_its_own
from agentsight_auto.redact.processing import Processor
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.geo import GeoLookup
from agentsight_auto.store.ingest import ingest

_BATCH_EVENTS = 2000
_BATCH_CONVERSATIONS = 200
_BAD_KEPT = 1000

_SENDERS = {"end_user": "human_messages", "agent": "agent_messages", "system": "system_messages"}
_KINDS: dict[type, str] = {
    Action: "actions",
    Button: "buttons",
    Attachments: "attachments",
    TokenUsage: "token_usages",
    Feedback: "feedbacks",
}
COUNTED = (*_SENDERS.values(), *_KINDS.values())


class BadLine(msgspec.Struct, frozen=True):
    """What could not be imported: its line (from 1), its place in a list (0 if in none), and why."""

    line: int
    position: int
    reason: str

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"line {self.line}" if not self.position else f"line {self.line}, item {self.position}"


class ImportReport(msgspec.Struct):
    """What an import did. `events` counts what is new in the store, `known` what was there already.

    A conversation is `new`, `extended` by new events, or `unchanged`. Of what is bad, the first 1,000 are in `bad`.
    """

    new: int = 0
    extended: int = 0
    unchanged: int = 0
    events: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    known: int = 0
    bad_count: int = 0
    bad: list[BadLine] = msgspec.field(default_factory=list)


class Importer:
    """Bring files into one store. `on_bad` hears of each bad line at once, `now_us` is the time of untimed lines.

    `processing` sees each event before the store does.
    """

    def __init__(
        self,
        database: Database,
        attachments: AttachmentFolder,
        *,
        limits: Limits,
        now_us: Callable[[], int],
        geo: GeoLookup | None = None,
        agent: str = "default",
        id_prefix: str = "",
        on_bad: Callable[[BadLine], None] | None = None,
        processing: Processor | None = None,
    ) -> None:
        self.report = ImportReport()
        self._database = database
        self._attachments = attachments
        self._limits = limits
        self._now_us = now_us
        self._geo = geo
        self._stored = Stored(database, agent=agent)
        self._id_prefix = id_prefix
        self._on_bad = on_bad
        self._processing = processing

    def run(self, stream: BinaryIO) -> ImportReport:
        """Import a file and return the report.

        Raises:
            StoreException: the store cannot be written to; what was imported before stays, and a second try goes on.
            OSError: the file cannot be read, or the attachment folder not be written to.
        """
        batch: dict[str, tuple[Item, Incoming]] = {}
        waiting_events = 0
        for item in read_items(stream):
            incoming = self._read(item)
            if incoming is None:
                continue
            if self._processing is not None:
                kept = map(self._processing.apply, incoming.events)
                incoming.events = [event for event in kept if event is not None]
                if not incoming.events:
                    continue
            if (
                incoming.conversation_id in batch
                or waiting_events >= _BATCH_EVENTS
                or len(batch) >= _BATCH_CONVERSATIONS
            ):
                self._store(list(batch.values()))
                batch, waiting_events = {}, 0
            batch[incoming.conversation_id] = (item._replace(value=None), incoming)
            waiting_events += len(incoming.events)
        self._store(list(batch.values()))
        return self.report

    def _read(self, item: Item) -> Incoming | None:
        try:
            return self._convert(item.value)
        except (BadConversation, RecursionError) as error:
            self._tell(item, str(error) if isinstance(error, BadConversation) else "nested too deeply")
            return None

    def _convert(self, value: Any) -> Incoming:
        shared: dict[str, Any] = {"limits": self._limits, "now_us": self._now_us(), "id_prefix": self._id_prefix}
        if isinstance(value, Unreadable):
            raise BadConversation(value.reason)
        if is_export(value):
            return read_export(value, attachments=self._attachments, **shared)
        if isinstance(value, dict | list):
            return read_chat(value, **shared)
        raise BadConversation("not an object with messages")

    def _tell(self, item: Item, reason: str) -> None:
        bad = BadLine(item.line, item.position, reason)
        self.report.bad_count += 1
        if len(self.report.bad) < _BAD_KEPT:
            self.report.bad.append(bad)
        if self._on_bad is not None:
            self._on_bad(bad)

    def _store(self, batch: Sequence[tuple[Item, Incoming]]) -> None:
        if not batch:
            return
        rows = self._stored.rows([incoming.conversation_id for _, incoming in batch])
        self._move_to_stored_times([incoming for _, incoming in batch], rows)
        events = [event for _, incoming in batch for event in incoming.events]
        answers = iter(ingest(self._database, events, agent=self._stored.agent, geo=self._geo))
        known: list[tuple[Item, AnyEvent]] = []
        for item, incoming in batch:
            has_news = False
            for event in incoming.events:
                answer = next(answers)
                if answer.status == "rejected":
                    self._tell(
                        item, f"an event of conversation {incoming.conversation_id!r} cannot be stored: {answer.reason}"
                    )
                else:
                    has_news |= self._count(event, is_new=answer.status == "stored")
                if answer.status == "duplicate":
                    known.append((item, event))
            if incoming.conversation_id not in rows:
                self.report.new += 1
            elif has_news:
                self.report.extended += 1
            else:
                self.report.unchanged += 1
        self._stored.complete([incoming for _, incoming in batch])
        self._tell_differences(known)

    def _tell_differences(self, known: Sequence[tuple[Item, AnyEvent]]) -> None:
        """Tell of lines whose events are stored with another content: the ids of two files have met."""
        differing = self._stored.differing([event for _, event in known])
        places = Counter((item, event.conversation_id) for item, event in known if event.id in differing)
        for (item, conversation_id), count in places.items():
            self._tell(
                item,
                f"conversation {conversation_id!r} is stored with other content ({count} of its events); "
                "it was left as it is. Another --id-prefix keeps them apart",
            )

    def _count(self, event: AnyEvent, *, is_new: bool) -> bool:
        """Count an event that has an id of its own, and tell whether it is news."""
        if isinstance(event, ConversationStarted | ConversationEnded):
            return False
        self.report.known += not is_new
        name = _SENDERS[event.sender] if isinstance(event, Message) else _KINDS[type(event)]
        self.report.events[name] += is_new
        return is_new

    def _move_to_stored_times(self, batch: Sequence[Incoming], rows: dict[str, Any]) -> None:
        """Give conversations without times of their own, where they are stored already, the times that they have there.

        Otherwise the time of the import would move the end of a conversation each time.
        """
        untimed = [item for item in batch if not item.has_times and item.conversation_id in rows]
        firsts = {item.conversation_id: first_of_its_own(item.events) for item in untimed}
        known = self._stored.messages([event.id for event in firsts.values() if event is not None])
        for item in untimed:
            first = firsts[item.conversation_id]
            if first is None:
                shift_us = rows[item.conversation_id].started_at_us - item.events[0].at_us
            elif first.id in known:
                shift_us = known[first.id].at_us - first.at_us
            else:
                continue
            item.events = [msgspec.structs.replace(event, at_us=event.at_us + shift_us) for event in item.events]
