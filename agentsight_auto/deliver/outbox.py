"""The outbox of this process on disk, with three verbs: append, read, unlink.

In: lines of event JSON. Out: sealed segments, which nobody writes any more.
Loses: nothing of its own; what the disk refused is told by `OutboxTrouble`, for the caller to keep elsewhere.

Nothing here locks: callers take turns. Only `unlink` and `sync` may be called at any time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentsight_auto.deliver.cursor import remove_cursor
from agentsight_auto.deliver.folders import SEGMENT_SUFFIX, LockedFolder, create_folder
from agentsight_auto.deliver.locks import OPEN_FLAGS
from agentsight_auto.deliver.segment import HEADER, LINES_OF_A_RECORD, Segment, frames, parse

_APPEND = os.O_RDWR | os.O_APPEND | OPEN_FLAGS
sync_file = getattr(os, "fdatasync", os.fsync)


class OutboxTrouble(Exception):
    """The disk refused; the first `kept` lines are on it, the others are not."""

    def __init__(self, kept: int) -> None:
        super().__init__(kept)
        self.kept = kept


class Outbox:
    """Append lines to segments in a folder of this process, which is made at the first append.

    `is_synced`: every append waits until the disk has it (`durability="disk"`).
    """

    def __init__(self, root: Path, *, segment_bytes: int, is_synced: bool) -> None:
        self.root = root
        self._segment_bytes = segment_bytes
        self._is_synced = is_synced
        self._numbers = itertools.count(1)
        self._folder: LockedFolder | None = None
        self._active: Segment | None = None
        self._fd: int | None = None
        self._identity: os.stat_result | None = None
        self.sealed: list[Segment] = []
        """What `take_sealed` will return."""
        self.unsynced: set[Segment] = set()

    @property
    def folder_path(self) -> Path | None:
        """Return the folder of this process, if it has one."""
        return self._folder.path if self._folder is not None else None

    @property
    def active(self) -> Segment | None:
        """Return the segment that is being written, if there is one."""
        return self._active

    def append(self, lines: Sequence[bytes]) -> int:
        """Write all lines with one system call, and return how many bytes that were.

        Raises:
            OutboxTrouble: the disk refused some or all of them.
        """
        self._check_active()
        segment, fd = self._active, self._fd
        if segment is None or fd is None:
            try:
                segment, fd = self._open_active()
            except OSError as error:
                raise OutboxTrouble(0) from error
        try:
            size_bytes = self._write(segment, fd, lines)
        except OutboxTrouble:
            self.seal()
            raise
        if segment.size_bytes >= self._segment_bytes:
            self.seal()
        return size_bytes

    def append_apart(self, segment: Segment | None, lines: Sequence[bytes]) -> Segment:
        """Write lines, all or none, to a segment of their own or to the one that an earlier call returned.

        Raises:
            OutboxTrouble: the disk refused, or the earlier segment has vanished.
        """
        try:
            fd, path = self._create() if segment is None else (os.open(segment.path or "", _APPEND), segment.path)
        except OSError as error:
            raise OutboxTrouble(0) from error
        segment = segment or Segment(path)
        events, size_bytes = segment.events, segment.size_bytes
        try:
            self._write(segment, fd, lines)
        except OutboxTrouble as trouble:
            segment.events, segment.size_bytes = events, size_bytes
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size_bytes)
            if not events:
                self.unlink(segment)
            raise OutboxTrouble(0) from trouble.__cause__
        finally:
            os.close(fd)
        return segment

    def seal(self) -> None:
        """Close the segment that is being written; the next append opens another."""
        self._check_active()
        segment, fd = self._active, self._fd
        if segment is None or fd is None:
            return
        self._active = self._fd = None
        os.close(fd)
        self._add_sealed(segment)

    def take_sealed(self) -> list[Segment]:
        """Return the segments that were sealed since the last call, oldest first."""
        sealed, self.sealed = self.sealed, []
        return sealed

    def unlink(self, segment: Segment) -> None:
        """Remove a segment's file."""
        if segment.path is not None:
            self.unsynced.discard(segment)
            with contextlib.suppress(OSError):
                segment.path.unlink()
            remove_cursor(segment.path)

    def leave(self) -> None:
        """Remove the folder if nothing waits in it; otherwise it stays this process's."""
        folder = self._folder
        if folder is not None and self._active is None and not folder.segments():
            self._folder = None
            folder.leave()

    def forget(self) -> None:
        """Close what a fork inherited and nothing else: the folder belongs to the parent."""
        folder, fd = self._folder, self._fd
        if folder is not None:
            folder.let_go()
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)

    def _open_active(self) -> tuple[Segment, int]:
        fd, path = self._create()
        self._fd, self._identity = fd, os.fstat(fd)
        self._active = segment = Segment(path)
        return segment, fd

    def _check_active(self) -> None:
        """Part with a segment whose file was deleted, or whose descriptor somebody closed and perhaps reused."""
        segment, fd = self._active, self._fd
        if segment is None or fd is None or self._identity is None:
            return
        try:
            now = os.fstat(fd)
            if now.st_ino == self._identity.st_ino and now.st_dev == self._identity.st_dev:
                if now.st_nlink == 0:
                    self._rescue(segment, fd)
                return
        except OSError:
            pass  # closed by somebody; `suppress` would cost as much as the rest of this method
        self._active = self._fd = None
        self._add_sealed(segment)

    def _add_sealed(self, segment: Segment) -> None:
        if segment.events:
            self.sealed.append(segment)
        else:
            self.unlink(segment)

    def _create(self) -> tuple[int, Path]:
        """Open a new segment; a folder that was deleted under our feet is made again under another name."""
        try:
            return self._create_in(self._folder or self._make_folder())
        except FileNotFoundError:
            self._drop_folder()
            return self._create_in(self._make_folder())

    def _create_in(self, folder: LockedFolder) -> tuple[int, Path]:
        path = folder.path / f"{next(self._numbers):08d}{SEGMENT_SUFFIX}"
        fd = os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        if self._is_synced:
            sync_path(folder.path)
        return fd, path

    def _make_folder(self) -> LockedFolder:
        self._folder = create_folder(self.root)
        return self._folder

    def _drop_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.let_go()

    def _write(self, segment: Segment, fd: int, lines: Sequence[bytes]) -> int:
        records = frames(lines)
        header = b"" if segment.size_bytes else HEADER
        data = records[0] if len(records) == 1 and not header else b"".join([header, *records])
        written, error = _write_all(fd, data)
        kept, size_bytes = len(lines), len(data)
        if error is not None:
            ends = list(itertools.accumulate(map(len, records), initial=len(header)))
            whole = max(sum(end <= written for end in ends) - 1, 0)
            kept, size_bytes = min(whole * LINES_OF_A_RECORD, kept), ends[whole] if whole else 0
            with contextlib.suppress(OSError):
                os.ftruncate(fd, segment.size_bytes + size_bytes)
        segment.events += kept
        segment.size_bytes += size_bytes
        if kept:
            self.unsynced.add(segment)
            if self._is_synced:
                with contextlib.suppress(OSError):  # the worker tries again
                    sync_file(fd)
                    self.unsynced.discard(segment)
        if error is not None:
            raise OutboxTrouble(kept) from error
        return size_bytes

    def _rescue(self, segment: Segment, fd: int) -> None:
        """Take what is in a deleted file back into memory, to be written again; the segment is the same one."""
        self._active = self._fd = None
        self._drop_folder()
        try:
            segment.lines = parse(_read_open(fd, segment.size_bytes)).records
        finally:
            os.close(fd)
        segment.path = None
        self._add_sealed(segment)


def _write_all(fd: int, data: bytes) -> tuple[int, OSError | None]:
    """Write everything, in one system call unless the system takes less; return how far it got and why not further."""
    written = 0
    try:
        while written < len(data):
            written += os.write(fd, data[written:] if written else data)
    except OSError as error:
        return written, error
    return written, None


def _read_open(fd: int, size_bytes: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    pieces = []
    while size_bytes > 0 and (piece := os.read(fd, size_bytes)):
        pieces.append(piece)
        size_bytes -= len(piece)
    return b"".join(pieces)


def sync_paths(paths: Iterable[Path]) -> None:
    """Wait until the disk has these files and the names in their folders; what is gone or refuses is left out."""
    folders = set()
    for path in paths:
        with contextlib.suppress(OSError):
            sync_path(path)
            folders.add(path.parent)
    for folder in folders:
        with contextlib.suppress(OSError):
            sync_path(folder)


def sync_path(path: Path) -> None:
    """Wait until the disk has this file or folder.

    Raises:
        OSError: it is gone, or the disk refuses.
    """
    fd = os.open(path, os.O_RDONLY | OPEN_FLAGS)
    try:
        os.fsync(fd) if path.suffix != SEGMENT_SUFFIX else sync_file(fd)
    finally:
        os.close(fd)
