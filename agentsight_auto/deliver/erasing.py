"""Erase from the outbox: what waits, what was refused, what was set aside.

In: the outbox's folder and what is unwanted. Out: counts, and attachments that went and that stay.
Loses: what it is asked to. The folders of living processes are theirs to write: what waits there is only counted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from agentsight_auto.deliver.folders import dead_folders, process_folders, segment_paths
from agentsight_auto.deliver.locks import OPEN_FLAGS
from agentsight_auto.deliver.rejected import Rejected
from agentsight_auto.deliver.segment import HEADER, frames, parse
from agentsight_auto.deliver.set_aside import CORRUPT, NEWER
from agentsight_auto.events import AnyEvent, Attachments, ConversationStarted, Message, UnreadableEvent, decode_event

_POLL_S = 0.05


class Unwanted:
    """What is to be erased: conversations by id, and those that an event in the outbox says are a customer's."""

    def __init__(self, conversation_ids: Sequence[str], customer_id: str | None, until_us: int) -> None:
        self.conversation_ids = set(conversation_ids)
        self._customer_id = customer_id
        self._until_us = until_us

    def learn(self, event: AnyEvent) -> None:
        """Take in which conversations are the customer's."""
        if isinstance(event, ConversationStarted) and event.customer_id == self._customer_id is not None:
            self.conversation_ids.add(event.conversation_id)

    def has(self, event: AnyEvent) -> bool:
        """Tell whether an event is to go."""
        return event.conversation_id in self.conversation_ids and event.at_us <= self._until_us

    def marks(self) -> list[bytes]:
        """Return what bytes that cannot be read as events are recognised by: the ids, as JSON writes them."""
        ids = [*self.conversation_ids, *([] if self._customer_id is None else [self._customer_id])]
        return [msgspec.json.encode(text) for text in sorted(ids)]


class Erased(msgspec.Struct, frozen=True):
    """How many events and copies went, and how many events wait in living processes, which drop them on delivery."""

    waiting_events: int
    rejected_events: int
    damaged_copies: int
    left_to_processes: int

    def after(self, first: Erased) -> Erased:
        """Return what went in all, where a first look had removed some of it."""
        return Erased(
            first.waiting_events + self.waiting_events,
            first.rejected_events + self.rejected_events,
            first.damaged_copies + self.damaged_copies,
            self.left_to_processes,
        )


def erase_from_outbox(
    outbox: Path, unwanted: Unwanted, *, wait_s: float, forget: Callable[[set[str]], object]
) -> tuple[Erased, set[str], set[str]]:
    """Remove what is unwanted, and wait at most `wait_s` for what living processes are about to deliver.

    Before that `forget` gets the SHA-256 of the attachments that nothing else here refers to: their files go first,
    since after the events, were this interrupted, nobody would know of them.

    Returns:
        The counts, the SHA-256 of the attachments that removed events had, and those that remaining ones have.

    Raises:
        OSError: the disk refuses.
    """
    rejected = Rejected(outbox)
    refused = [event for entry in rejected.list() if (event := entry.event()) is not None]
    for event in (*_events(outbox), *refused):
        unwanted.learn(event)
    digests = {digest for event in (*_events(outbox), *refused) if unwanted.has(event) for digest in _digests(event)}
    forget(digests - _kept(outbox, unwanted))
    waiting = 0
    for folder in dead_folders(outbox, None):
        try:
            waiting += sum(_rewrite(path, unwanted) for path in folder.segments())
        finally:
            folder.leave()
    refused_count = rejected.discard(lambda entry: _is_unwanted(entry.line.encode(), unwanted))
    marks = unwanted.marks()
    damaged = sum(_remove_marked(outbox / kind, marks) for kind in (CORRUPT, NEWER))
    left = _wait_for_processes(outbox, unwanted, wait_s)
    return Erased(waiting, refused_count, damaged, left), digests, _kept(outbox, unwanted)


def _kept(outbox: Path, unwanted: Unwanted) -> set[str]:
    return {digest for event in _events(outbox) if not unwanted.has(event) for digest in _digests(event)}


def _events(outbox: Path) -> Iterator[AnyEvent]:
    """Give the events that wait in the outbox, of living and dead processes."""
    for folder in process_folders(outbox):
        for path in segment_paths(folder):
            with contextlib.suppress(OSError):
                for line in parse(path.read_bytes()).records:
                    with contextlib.suppress(UnreadableEvent):
                        yield decode_event(line)


def _digests(event: AnyEvent) -> list[str]:
    return [ref.sha256 for ref in event.attachments] if isinstance(event, (Message, Attachments)) else []


def _rewrite(segment: Path, unwanted: Unwanted) -> int:
    """Write a segment of a dead process anew without what is unwanted; return how many events went.

    Its damaged stretches go with it where they name something unwanted: they cannot be read, only recognised.
    """
    contents = parse(segment.read_bytes())
    kept = [line for line in contents.records if not _is_unwanted(line, unwanted)]
    damaged = [piece for piece in contents.damaged if not any(mark in piece for mark in unwanted.marks())]
    removed = len(contents.records) - len(kept)
    if contents.is_newer or (not removed and len(damaged) == len(contents.damaged)):
        return 0
    draft = segment.with_suffix(".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | OPEN_FLAGS, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(b"".join([HEADER, *frames(kept), *damaged]))
    draft.replace(segment)
    return removed


def _is_unwanted(line: bytes, unwanted: Unwanted) -> bool:
    try:
        return unwanted.has(decode_event(line))
    except UnreadableEvent:
        return any(mark in line for mark in unwanted.marks())


def _remove_marked(folder: Path, marks: Sequence[bytes]) -> int:
    removed = 0
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                data = path.read_bytes()
                if any(mark in data for mark in marks):
                    path.unlink()
                    removed += 1
    return removed


def _wait_for_processes(outbox: Path, unwanted: Unwanted, wait_s: float) -> int:
    deadline = time.monotonic() + wait_s
    while True:
        left = sum(unwanted.has(event) for event in _events(outbox))
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_POLL_S)
