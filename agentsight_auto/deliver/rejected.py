"""Events that the destination refused, kept with the reason until somebody decides.

In: the reason and the line of a refused event. Out: a list, and the lines again for another try.
Loses: the oldest beyond 16 MiB, counted in `Rejected.pushed_out_bytes` and logged.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from agentsight_auto._guard import warn_at_most_once_a_minute
from agentsight_auto.deliver.locks import OPEN_FLAGS, wait_for_lock
from agentsight_auto.deliver.set_aside import prune_oldest
from agentsight_auto.events import AnyEvent, UnreadableEvent, decode_event

LIMIT_BYTES = 16 * 1024 * 1024
_FILE_BYTES = 1024 * 1024
_FILES = "*.jsonl"


class RejectedEvent(msgspec.Struct, frozen=True):
    """A refused event: when (microseconds since 1970), why, and the line of its JSON."""

    at_us: int
    reason: str
    line: str

    def event(self) -> AnyEvent | None:
        """Return the event; None if it cannot be read, which then is why it was refused."""
        try:
            return decode_event(self.line.encode())
        except UnreadableEvent:
            return None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RejectedEvent).decode


class Rejected:
    """The folder ``rejected/`` of an outbox; processes take turns by a lock file in it."""

    def __init__(self, outbox: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = outbox / "rejected"
        self.pushed_out_bytes = 0
        self._limit_bytes = limit_bytes

    def add(self, events: Sequence[RejectedEvent]) -> None:
        """Keep refused events.

        Raises:
            OSError: the disk refuses.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = b"".join(_encode(event) + b"\n" for event in events)
        with self._turn():
            newest = max(self._files(), default=None)
            if newest is None or newest.stat().st_size + len(data) > _FILE_BYTES:
                newest = self.folder / f"{events[0].at_us:020d}-{os.urandom(4).hex()}.jsonl"
            fd = os.open(newest, os.O_WRONLY | os.O_APPEND | os.O_CREAT | OPEN_FLAGS, 0o600)
            with os.fdopen(fd, "ab") as file:
                file.write(data)
            pushed_out_bytes = prune_oldest(self._files(), self._limit_bytes)
        if pushed_out_bytes:
            self.pushed_out_bytes += pushed_out_bytes
            warn_at_most_once_a_minute(
                "rejected", "agentsight-auto: the oldest rejected events are no longer kept: %d bytes", pushed_out_bytes
            )

    def list(self) -> list[RejectedEvent]:
        """Return what was refused, oldest first; nothing if there is no such folder."""
        return [event for path in self._files() for event in _read(path)]

    def count(self) -> int:
        """Return how many refused events are kept."""
        return len(self.list())

    def take_all(self, hand_over: Callable[[Sequence[bytes]], None]) -> int:
        """Hand the lines over for another try, and return how many.

        A file is removed only after `hand_over` has returned, so that a crash in between repeats rather than loses.
        """
        if not self.folder.is_dir():
            return 0
        taken = 0
        with self._turn():
            for path in self._files():
                lines = [event.line.encode() for event in _read(path)]
                hand_over(lines)
                path.unlink()
                taken += len(lines)
        return taken

    def discard(self, is_unwanted: Callable[[RejectedEvent], bool]) -> int:
        """Remove the events that `is_unwanted`, for erasure, and return how many."""
        if not self.folder.is_dir():
            return 0
        discarded = 0
        with self._turn():
            for path in self._files():
                events = list(_read(path))
                kept = [event for event in events if not is_unwanted(event)]
                if len(kept) < len(events):
                    _replace(path, kept)
                    discarded += len(events) - len(kept)
        return discarded

    def _files(self) -> tuple[Path, ...]:
        return tuple(sorted(self.folder.glob(_FILES)))

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | OPEN_FLAGS, 0o600)
        try:
            wait_for_lock(fd)
            yield
        finally:
            os.close(fd)


def _read(path: Path) -> Iterator[RejectedEvent]:
    """Read the events of a file; a torn or damaged line is passed over."""
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                yield _decode(line)


def _replace(path: Path, events: Sequence[RejectedEvent]) -> None:
    """Write the file anew in one step; without events it goes."""
    if not events:
        path.unlink()
        return
    draft = path.with_suffix(".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | OPEN_FLAGS, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(b"".join(_encode(event) + b"\n" for event in events))
    draft.replace(path)
