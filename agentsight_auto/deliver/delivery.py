"""Take waiting segments to the destination in batches, and keep the books of what it answered.

In: segments. Out: settled segments, whose files are gone. Loses: damaged records, which are copied to ``corrupt/`` and
counted; refused events go to ``rejected/`` with their reason.

Answers that a destination tells early are noted at once, in the books and in the segment's cursor.

Runs on one thread at a time, outside the gate: only the books take turns with the threads that record.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from agentsight_auto import _guard
from agentsight_auto.deliver.batch import deliver_batch
from agentsight_auto.deliver.cursor import note_answered, read_answered
from agentsight_auto.deliver.destination import DeliveryError, Destination, EarlyDestination
from agentsight_auto.deliver.rejected import Rejected, RejectedEvent
from agentsight_auto.deliver.segment import Contents, Segment
from agentsight_auto.deliver.set_aside import CORRUPT, NEWER, keep_damaged, move_aside
from agentsight_auto.events import Answer, AnyEvent, UnreadableEvent, decode_event

BATCH_EVENTS = 500
BATCH_BYTES = 1024 * 1024
_REASONS_KEPT = 10_000


class Item(NamedTuple):
    """One event on its way; `event` is None where the line cannot be read, with the reason why."""

    segment: Segment
    position: int
    line: bytes
    event: AnyEvent | None
    reason: str | None


class Verdict(NamedTuple):
    """What became of one record; `reason` is None for delivered ones, else why it was rejected."""

    segment: Segment
    position: int
    reason: str | None


class Books(Protocol):
    """Keep account of segments of one kind: this process's own, or adopted ones."""

    def begin(self, segment: Segment) -> bool:
        """Claim a segment; False if it is not there any more."""
        ...

    def note(self, verdicts: Iterable[Verdict]) -> None:
        """Count answered records."""
        ...

    def settle(self, segment: Segment, reason: str) -> None:
        """Forget a segment, remove its file, and count what was not answered as lost for this reason."""
        ...


class Delivery:
    """Deliver through a destination that is opened at the first batch. `outbox` is None where nothing may be written.

    `reasons` are those of the last 10,000 rejected events, by id.
    """

    def __init__(
        self, open_destination: Callable[[], Destination], outbox: Path | None, now_us: Callable[[], int]
    ) -> None:
        self.destination: Destination | None = None
        self.reasons: dict[str, str] = {}
        self._open_destination = open_destination
        self._outbox = outbox
        self._rejected = Rejected(outbox) if outbox is not None else None
        self._now_us = now_us
        self._sending: _Sending | None = None

    def deliver(self, segments: Iterable[Segment], books: Books, goes_on: Callable[[], bool]) -> bool:
        """Deliver what is not answered of these segments, oldest first; False if `goes_on()` ended it after a batch.

        Raises:
            DeliveryError: the destination could not handle a batch or left events without an answer.
            Exception: whatever else the destination raised.
        """
        begun: list[Segment] = []
        batch: list[Item] = []
        batch_bytes = 0
        try:
            for segment in segments:
                if not books.begin(segment):
                    continue
                begun.append(segment)
                for item in self._items(segment, books):
                    batch.append(item)
                    batch_bytes += len(item.line)
                    if len(batch) >= BATCH_EVENTS or batch_bytes >= BATCH_BYTES:
                        self._send(batch, books)
                        batch, batch_bytes = [], 0
                        begun = _settle_answered(begun, books)
                        if not goes_on():
                            return False
            if batch:
                self._send(batch, books)
                begun = _settle_answered(begun, books)
                return goes_on()
            return True
        finally:
            for segment in _settle_answered(begun, books):
                segment.is_in_flight = False

    def close(self) -> None:
        """Close the destination; the next batch opens another."""
        destination, self.destination = self.destination, None
        if destination is not None:
            try:
                destination.close()
            except Exception as error:  # noqa: BLE001 - the destination is foreign code
                _guard.failed("closing the destination", error)

    def _items(self, segment: Segment, books: Books) -> Iterable[Item]:
        contents = self._read(segment, books)
        if contents is None:
            return
        if segment.path is not None and contents.damaged and self._outbox is not None:
            keep_damaged(self._outbox, segment.path, contents.damaged)
        # More records than were put in means that taking back a refused write failed: those wait elsewhere.
        records = contents.records if segment.is_adopted else contents.records[: segment.events]
        known = read_answered(segment.path) if segment.path is not None and segment.readable is None else set()
        segment.readable = len(records)
        for index, line in enumerate(records):
            if index not in segment.answered:
                item = _item(segment, index, line)
                if item.event is not None and item.event.id in known:
                    books.note([Verdict(segment, index, None)])
                else:
                    yield item

    def _read(self, segment: Segment, books: Books) -> Contents | None:
        """Read a segment; None if there is nothing to deliver in it, or not now."""
        try:
            contents = segment.read()
        except FileNotFoundError:
            books.settle(segment, "vanished")
            return None
        except OSError as error:
            if segment.path is not None and segment.path.is_dir():
                self._put_aside(segment, CORRUPT, books, "damaged")
            else:
                _guard.warn_at_most_once_a_minute("read", "agentsight-auto: a segment cannot be read now: %s", error)
            return None
        if contents.is_newer:
            self._put_aside(segment, NEWER, books, "newer_version")
            return None
        return contents

    def _put_aside(self, segment: Segment, kind: str, books: Books, reason: str) -> None:
        if segment.path is not None and self._outbox is not None and move_aside(self._outbox, segment.path, kind):
            books.settle(segment, reason)

    def _send(self, batch: list[Item], books: Books) -> None:
        sending = self._sending = _Sending(batch, books, self._keep_refused)
        try:
            if sending.waiting:
                sending.take(self._deliver_batch(sending.events()))
        finally:
            self._sending = None
        missing = sum(map(len, sending.waiting.values()))
        if missing:
            raise DeliveryError(f"{missing} of {len(batch)} events were left without an answer")

    def _deliver_batch(self, events: list[AnyEvent]) -> list[Answer]:
        if self.destination is None:
            self.destination = self._open_destination()
            if isinstance(self.destination, EarlyDestination):
                self.destination.report_to(self._note_early)
        return deliver_batch(self.destination, events)

    def _note_early(self, answer: Answer) -> None:
        if self._sending is not None:
            self._sending.take([answer], is_early=True)

    def _keep_refused(self, items: list[Item]) -> None:
        if not items:
            return
        for item in items:
            if item.event is not None:
                self.reasons[item.event.id] = item.reason or ""
        while len(self.reasons) > _REASONS_KEPT:
            del self.reasons[next(iter(self.reasons))]
        if self._rejected is not None:
            at_us = self._now_us()
            with contextlib.suppress(OSError):  # they are counted, and their reasons are in memory
                self._rejected.add(
                    [RejectedEvent(at_us, item.reason or "", item.line.decode("utf-8", "replace")) for item in items]
                )


class _Sending:
    """One batch on its way: it takes each answer once, however early it comes. `waiting` are items by event id."""

    def __init__(self, batch: list[Item], books: Books, keep_refused: Callable[[list[Item]], None]) -> None:
        self.waiting: dict[str, list[Item]] = {}
        self._books = books
        self._keep_refused = keep_refused
        for item in batch:
            if item.event is not None:
                self.waiting.setdefault(item.event.id, []).append(item)
        self._settle([item for item in batch if item.event is None])

    def events(self) -> list[AnyEvent]:
        """Return the events in order, each id once."""
        return [items[0].event for items in self.waiting.values() if items[0].event is not None]

    def take(self, answers: Iterable[Answer], *, is_early: bool = False) -> None:
        """Note what is answered; what is refused is kept with its reason before it counts as answered."""
        settled: list[Item] = []
        for answer in answers:
            reason = (answer.reason or "no reason given") if answer.status == "rejected" else None
            settled += [item._replace(reason=reason) for item in self.waiting.pop(answer.event_id, ())]
        self._settle(settled, is_early=is_early)

    def _settle(self, items: list[Item], *, is_early: bool = False) -> None:
        self._keep_refused([item for item in items if item.reason is not None])
        if is_early:
            _move_cursors(items)
        self._books.note([Verdict(item.segment, item.position, item.reason) for item in items])


def _move_cursors(items: Iterable[Item]) -> None:
    for item in items:
        if item.segment.path is not None and item.event is not None:
            with contextlib.suppress(OSError):  # without it a crash repeats more than one event
                note_answered(item.segment.path, item.event.id)


def _settle_answered(begun: list[Segment], books: Books) -> list[Segment]:
    """Settle what was read and answered to its end, and return the others; what could not be read was damaged."""
    open_segments = []
    for segment in begun:
        if segment.readable is None or len(segment.answered) < segment.readable:
            open_segments.append(segment)
        elif not segment.is_done:
            books.settle(segment, "damaged")
    return open_segments


def _item(segment: Segment, index: int, line: bytes) -> Item:
    try:
        return Item(segment, index, line, decode_event(line), None)
    except UnreadableEvent as error:
        return Item(segment, index, line, None, f"unreadable: {error}")
