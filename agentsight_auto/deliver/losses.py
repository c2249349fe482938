"""What was lost, by reason, where it outlives the process that lost it: `doctor` reads it.

In: the running counts of this process. Out: lines of JSON in ``<outbox>/losses.jsonl``.
Loses: what a process lost in its last seconds before kill -9; a disk that refuses is tried again with the next note.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

FILE_NAME = "losses.jsonl"
_MOST_BYTES = 1024 * 1024


class Loss(msgspec.Struct, frozen=True):
    """What one process lost since its note before: events by reason, at microseconds since 1970 (UTC)."""

    at_us: int
    pid: int
    lost: dict[str, int]


_decode = msgspec.json.Decoder(Loss).decode


class LossBook:
    """Write down what this process loses. `outbox` is None where there are no files."""

    def __init__(self, outbox: Path | None) -> None:
        self._path = None if outbox is None else outbox / FILE_NAME
        self._noted: Counter[str] = Counter()

    def note(self, lost: Mapping[str, int]) -> None:
        """Write down what has been lost since the last note, if anything."""
        new = {reason: count - self._noted[reason] for reason, count in lost.items() if count > self._noted[reason]}
        if not new or self._path is None:
            return
        line = msgspec.json.encode(Loss(time.time_ns() // 1000, os.getpid(), new)) + b"\n"
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
                is_large = os.fstat(descriptor).st_size > _MOST_BYTES
            finally:
                os.close(descriptor)
            self._noted.update(new)
            if is_large:
                _sum_up(self._path)


def read_losses(outbox: Path) -> list[Loss]:
    """Return every note that can be read, oldest first."""
    try:
        lines = (outbox / FILE_NAME).read_bytes().splitlines()
    except OSError:
        return []
    notes = []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            notes.append(_decode(line))
    return notes


def total_lost(notes: list[Loss]) -> dict[str, int]:
    """Return the events lost, by reason, most first."""
    total: Counter[str] = Counter()
    for note in notes:
        total.update(note.lost)
    return dict(total.most_common())


def _sum_up(path: Path) -> None:
    """Replace a file that has grown large by one note with the sum."""
    notes = read_losses(path.parent)
    if notes:
        summed = path.with_suffix(f".{os.getpid()}")
        summed.write_bytes(msgspec.json.encode(Loss(notes[-1].at_us, 0, total_lost(notes))) + b"\n")
        summed.replace(path)
