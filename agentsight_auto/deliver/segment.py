"""The format of a segment: a header line, then records `crc32 length json`, each with the lines of a few events.

In: lines of event JSON, or the bytes of a segment. Out: bytes to append, or the lines that can be trusted.
Loses: damaged records, which come back as `Contents.damaged`; every line of a record with a good checksum is read.

Lines that are written together share a record, 16 at most: one checksum instead of many, and damage harms no more than
those. In version 1 each line had a record of its own, which reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

FORMAT_VERSION = 2
LINES_OF_A_RECORD = 16
_TITLE = b"agentsight-outbox %d" % FORMAT_VERSION
HEADER = b"%s %08x\n" % (_TITLE, crc32(_TITLE))

# The header carries a checksum of its own, so that a damaged version number is damage and not a newer version.
_HEADER = re.compile(rb"(agentsight-outbox (\d{1,9})) ([0-9a-f]{8})\n")
_RECORD_START = re.compile(rb"([0-9a-f]{8}) (\d{1,9}) ")


def frame(lines: Sequence[bytes]) -> bytes:
    """Return one record of lines of event JSON, which contain no line ends."""
    payload = b"\n".join(lines)
    return b"%08x %d %b\n" % (crc32(payload), len(payload), payload)


def frames(lines: Sequence[bytes]) -> list[bytes]:
    """Return the records of any number of lines."""
    if len(lines) <= LINES_OF_A_RECORD:
        return [frame(lines)]
    return [frame(lines[start : start + LINES_OF_A_RECORD]) for start in range(0, len(lines), LINES_OF_A_RECORD)]


class Contents(NamedTuple):
    """What a segment holds: lines of events in order, stretches of damage, or a version that is not ours to read."""

    records: list[bytes]
    damaged: list[bytes]
    is_newer: bool = False


def parse(data: bytes) -> Contents:
    """Read every record whose checksum is good, before and after any damage."""
    position = 0
    header = _HEADER.match(data)
    if header is not None and int(header[3], 16) == crc32(header[1]):
        if int(header[2]) > FORMAT_VERSION:
            return Contents([], [], is_newer=True)
        position = header.end()
    records: list[bytes] = []
    damaged: list[bytes] = []
    while position < len(data):
        start = _RECORD_START.match(data, position)
        record = _record(data, start) if start is not None else None
        if start is not None and record is not None:
            records += record.split(b"\n")
            position = start.end() + len(record) + 1
        else:
            resumed = _next_record(data, position + 1)
            damaged.append(data[position:resumed])
            position = resumed
    return Contents(records, damaged)


def _record(data: bytes, start: re.Match[bytes]) -> bytes | None:
    """Return the lines behind `start` if their length and checksum hold; a missing last line end is forgiven."""
    end = start.end() + int(start[2])
    if end > len(data) or data[end : end + 1] not in {b"\n", b""}:
        return None
    lines = data[start.end() : end]
    return lines if crc32(lines) == int(start[1], 16) else None


def _next_record(data: bytes, position: int) -> int:
    """Return where the next good record starts, or the end.

    Damage may have eaten the line end before it, so every place that looks like a record is tried. A customer cannot
    smuggle a record in this way: inside JSON text quotes are escaped, so what stands there is not an event.
    """
    start = _RECORD_START.search(data, position)
    while start is not None:
        if _record(data, start) is not None:
            return start.start()
        start = _RECORD_START.search(data, start.start() + 1)
    return len(data)


class Segment:
    """A run of events that wait together, in a file or, where the disk fails, in memory.

    `events` counts what was put in; of an adopted segment only reading tells. `answered` holds the indices of the
    records that the destination has answered, `readable` how many there are once it was read. What moved from memory
    to disk names its `successor`.
    """

    __slots__ = (
        "answered",
        "events",
        "is_adopted",
        "is_done",
        "is_in_flight",
        "lines",
        "path",
        "readable",
        "size_bytes",
        "successor",
        "used_at",
    )

    def __init__(self, path: Path | None = None, lines: Iterable[bytes] = (), *, is_adopted: bool = False) -> None:
        self.path = path
        self.lines: list[bytes] = list(lines)
        self.events = len(self.lines)
        self.size_bytes = sum(map(len, self.lines))
        self.is_adopted = is_adopted
        self.answered: set[int] = set()
        self.readable: int | None = None
        self.is_in_flight = False
        self.is_done = False
        self.successor: Segment | None = None
        self.used_at = 0.0

    def add(self, line: bytes) -> None:
        """Add a line to a segment in memory."""
        self.lines.append(line)
        self.events += 1
        self.size_bytes += len(line)

    @property
    def pending(self) -> int:
        """Return how many events of this segment are not answered."""
        return self.events - len(self.answered)

    def read(self) -> Contents:
        """Read everything.

        Raises:
            OSError: the file cannot be read.
        """
        if self.path is None:
            return Contents(list(self.lines), [])
        return parse(self.path.read_bytes())

    def is_settled(self) -> bool:
        """Tell whether nothing of this segment waits any more, wherever it went."""
        segment = self
        while segment.successor is not None:
            segment = segment.successor
        return segment.is_done
