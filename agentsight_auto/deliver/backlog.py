"""Everything of this process that waits for an answer, on disk and in memory, within its bounds.

In: lines of event JSON. Out: segments to deliver, oldest first.
Loses: the oldest where a bound is reached (``outbox_full``, ``memory_full``), counted by event.

Nothing here locks: callers take turns.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from agentsight_auto.deliver.outbox import Outbox, OutboxTrouble
from agentsight_auto.deliver.report import Counts
from agentsight_auto.deliver.segment import Segment

_DISK_RETRY_S = 2.0
_CHUNKS_IN_MEMORY = 16


class PipelineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How events are kept until they are answered.

    `outbox` is a folder, made at the first write. `durability`: ``process`` (survives the process), ``disk`` (survives
    the machine) or ``memory`` (no file at all). `journal_interval_s` = 0 writes every event through.
    """

    outbox: Path
    durability: str = "process"
    journal_interval_s: float = 0.25
    memory_limit_bytes: int = 16 * 1024 * 1024
    outbox_limit_bytes: int = 256 * 1024 * 1024
    segment_bytes: int = 4 * 1024 * 1024
    held_idle_s: float = 1800.0
    exit_timeout_s: float = 2.0


class Backlog:
    """Keep lines until they are answered: in the outbox, and in memory while the disk refuses."""

    def __init__(self, options: PipelineOptions) -> None:
        self.counts = Counts()
        self.outbox = Outbox(
            options.outbox, segment_bytes=options.segment_bytes, is_synced=options.durability == "disk"
        )
        self._warnings: deque[tuple[str, str]] = deque(maxlen=10)
        self._options = options
        self._check_every_bytes = min(options.memory_limit_bytes, options.outbox_limit_bytes) // 32
        self._unchecked_bytes = 0
        self._disk_retry_at = float("inf") if options.durability == "memory" else 0.0
        self._is_disk_short = False
        self._chunk: Segment | None = None
        self._waiting: dict[Segment, None] = {}
        self._held: dict[str, list[Segment]] = {}

    def add(self, lines: Sequence[bytes]) -> None:
        """Take lines in: on disk if it works, else in memory."""
        self.counts.captured += len(lines)
        if self._is_disk_short:
            self.return_to_disk()
        rest = self._write(lines)
        if rest:
            self._remember(rest)
        if self._is_disk_short:  # a file that somebody deleted has come back into memory
            self.return_to_disk()
        if self._unchecked_bytes >= self._check_every_bytes:
            self._enforce_limits()

    def hold(self, key: str, line: bytes) -> None:
        """Take a line in that is delivered only after `release`."""
        self.counts.captured += 1
        segments = self._held.pop(key, [])
        self._held[key] = segments  # the keys stay in the order of their last use
        self._hold_in(segments, line)
        segments[-1].used_at = time.monotonic()
        self._unchecked_bytes += len(line)
        if self._unchecked_bytes >= self._check_every_bytes:
            self._enforce_limits()

    def release(self, key: str | None = None) -> None:
        """Make what is held under `key`, or everything, deliverable."""
        for name in list(self._held) if key is None else [key]:
            self._waiting.update(dict.fromkeys(self._held.pop(name, [])))

    def release_idle(self) -> bool:
        """Make deliverable what nobody has added to for `held_idle_s`; tell whether there was anything."""
        has_released = False
        while (next_at := self.next_idle_at()) is not None and next_at <= time.monotonic():
            self.release(next(iter(self._held)))
            has_released = True
        return has_released

    def next_idle_at(self) -> float | None:
        """Return the monotonic time at which the longest unused held segment becomes deliverable."""
        for segments in self._held.values():
            return (segments[-1].used_at if segments else 0.0) + self._options.held_idle_s
        return None

    def seal(self) -> list[Segment]:
        """Close what is being written and return everything deliverable, oldest first."""
        self.outbox.seal()
        self._collect_sealed()
        self._chunk = None
        return list(self._waiting)

    def disk_retry_at(self) -> float | None:
        """Return the monotonic time at which to call `return_to_disk`; None if nothing waits for that."""
        return self._disk_retry_at if self._is_disk_short and self._options.durability != "memory" else None

    def return_to_disk(self) -> None:
        """Write what waits in memory to the disk, if it works again."""
        if not self._is_disk_short or time.monotonic() < self._disk_retry_at:
            return
        self._chunk = None
        for chunk in [segment for segment in self._waiting if _is_at_rest_in_memory(segment)]:
            rest = self._write([line for index, line in enumerate(chunk.lines) if index not in chunk.answered])
            chunk.successor = Segment(lines=rest) if rest else self.outbox.active or next(reversed(self._waiting))
            self._waiting.pop(chunk, None)
            if rest:
                self._waiting[chunk.successor] = None
                return
        for segments in self._held.values():
            if not self._return_held(segments):
                return
        self._is_disk_short = any(segment.path is None for segment in self.segments())

    def is_far_behind(self) -> bool:
        """Tell whether a quarter of what may wait on disk waits already."""
        return sum(segment.size_bytes for segment in self._waiting) > self._options.outbox_limit_bytes // 4

    def begin(self, segment: Segment) -> bool:
        """Mark a segment as being delivered, so that no bound drops it; False if it has gone elsewhere meanwhile."""
        segment.is_in_flight = segment in self._waiting
        return segment.is_in_flight

    def finish(self, segment: Segment) -> None:
        """Forget a segment: every event of it is answered, or counted as lost."""
        segment.is_done = True
        self._waiting.pop(segment, None)
        if segment is self._chunk:
            self._chunk = None

    def drop(self, segment: Segment, reason: str) -> None:
        """Give up what is not answered of a segment, count it, and remove the file."""
        if segment.pending > 0 and not segment.is_done:
            self.counts.lost[reason] += segment.pending
            self._warnings.append(("lost", f"events were lost: {segment.pending} ({reason})"))
        self.finish(segment)
        for key, segments in list(self._held.items()):
            if segment in segments:
                segments.remove(segment)
                if not segments:
                    del self._held[key]
        self.outbox.unlink(segment)

    def take_unsynced(self) -> set[Path]:
        """Return the files written since the last call that the disk may not have yet."""
        unsynced, self.outbox.unsynced = self.outbox.unsynced, set()
        return {segment.path for segment in unsynced if segment.path is not None}

    def take_warnings(self) -> list[tuple[str, str]]:
        """Return topics and messages to log: not here, where a log handler would meet our lock."""
        return [self._warnings.popleft() for _ in range(len(self._warnings))]

    def segments(self) -> Iterator[Segment]:
        """Return everything that waits, deliverable or held."""
        active = self.outbox.active
        return chain(self._waiting, *self._held.values(), [active] if active is not None else [])

    def _write(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Write to the outbox, and return what the disk did not take."""
        if self._disk_retry_at and time.monotonic() < self._disk_retry_at:
            return lines
        try:
            self._unchecked_bytes += self.outbox.append(lines)
            lines = ()
        except OutboxTrouble as trouble:
            self._disk_failed(trouble)
            lines = lines[trouble.kept :]
        if self.outbox.sealed:
            self._collect_sealed()
        return lines

    def _hold_in(self, segments: list[Segment], line: bytes) -> None:
        last = segments[-1] if segments else None
        known = [last] if last is not None and last.path is not None else []
        for target in (*known, None) if time.monotonic() >= self._disk_retry_at else ():
            try:
                segment = self.outbox.append_apart(target, [line])
            except OutboxTrouble as trouble:
                if target is None:
                    self._disk_failed(trouble)
            else:
                if segment is not target:
                    segments.append(segment)
                return
        self._is_disk_short = True
        if last is None or last.path is not None:
            segments.append(Segment(lines=[line]))
        else:
            last.add(line)

    def _return_held(self, segments: list[Segment]) -> bool:
        for index, segment in enumerate(segments):
            if segment.path is None:
                try:
                    segments[index] = self.outbox.append_apart(None, segment.lines)
                except OutboxTrouble as trouble:
                    self._disk_failed(trouble)
                    return False
                segments[index].used_at = segment.used_at
        return True

    def _remember(self, lines: Sequence[bytes]) -> None:
        """Keep lines in memory, in pieces small enough to drop one by one."""
        self._is_disk_short = True
        for line in lines:
            if self._chunk is None or self._chunk.size_bytes >= self._options.memory_limit_bytes // 16:
                self._chunk = Segment()
                self._waiting[self._chunk] = None
            self._chunk.add(line)
            self._unchecked_bytes += len(line)

    def _collect_sealed(self) -> None:
        for segment in self.outbox.take_sealed():
            if segment.path is None:
                self._is_disk_short = True
                missing, segment.events = segment.events - len(segment.lines), len(segment.lines)
                if missing:
                    self.counts.lost["vanished"] += missing
            self._waiting[segment] = None

    def _disk_failed(self, trouble: OutboxTrouble) -> None:
        self._disk_retry_at = time.monotonic() + _DISK_RETRY_S
        self._warnings.append(
            ("outbox", f"the outbox cannot be written, events are kept in memory: {trouble.__cause__}")
        )

    def _enforce_limits(self) -> None:
        self._unchecked_bytes = 0
        self._shrink(self._options.memory_limit_bytes, "memory_full", is_in_memory=True)
        self._shrink(self._options.outbox_limit_bytes, "outbox_full", is_in_memory=False)

    def _shrink(self, limit_bytes: int, reason: str, *, is_in_memory: bool) -> None:
        """Drop the oldest until what comes before the next check fits too; what is being delivered stays."""
        active = self.outbox.active
        if not is_in_memory and active is not None and active.size_bytes > limit_bytes // 4:
            self.outbox.seal()
            self._collect_sealed()
        candidates = [segment for segment in self.segments() if (segment.path is None) == is_in_memory]
        total_bytes = sum(segment.size_bytes for segment in candidates)
        for segment in candidates:
            if total_bytes <= limit_bytes - self._check_every_bytes:
                return
            if not segment.is_in_flight and segment is not self.outbox.active:
                total_bytes -= segment.size_bytes
                self.drop(segment, reason)


def _is_at_rest_in_memory(segment: Segment) -> bool:
    return segment.path is None and not segment.is_in_flight
