"""The folders of the outbox: one per process, locked while it lives, adopted by anyone once it is dead.

In: the outbox's path. Out: a folder of one's own, or the segments that a dead process left.
Loses: nothing; a folder is removed only when nothing is left in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from agentsight_auto.deliver.cursor import SUFFIX as CURSOR_SUFFIX
from agentsight_auto.deliver.locks import OPEN_FLAGS, is_same_file, try_lock

LOCK_NAME = "lock"
SEGMENT_SUFFIX = ".segment"
_FOLDER_NAME = re.compile(r"\d+-[0-9a-f]{8}")
_LOCKLESS_AGE_S = 60.0
_ATTEMPTS = 5


class LockedFolder:
    """A folder whose lock this process holds."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd: int | None = lock_fd

    def segments(self) -> list[Path]:
        """Return the paths of the segments, oldest first."""
        return segment_paths(self.path)

    def let_go(self) -> None:
        """Close this process's copy of the lock file; after a fork the other side keeps its lock."""
        fd, self._lock_fd = self._lock_fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)

    def leave(self) -> None:
        """Remove the folder if nothing is left in it, and let go."""
        remove_lone_cursors(self.path)
        if not any(True for _ in self._leftovers()):
            if sys.platform == "win32":
                self.let_go()  # an open file cannot be unlinked there
            with contextlib.suppress(OSError):
                (self.path / LOCK_NAME).unlink()
                self.path.rmdir()
        self.let_go()

    def _leftovers(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            yield from (name for name in os.listdir(self.path) if name != LOCK_NAME)  # noqa: PTH208 - only names


def create_folder(outbox: Path) -> LockedFolder:
    """Make a folder for this process and lock it. Between the two an adopter may be faster: then make another.

    Raises:
        OSError: the disk refuses.
    """
    outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):
        path = outbox / f"{os.getpid()}-{os.urandom(4).hex()}"
        path.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            folder = _lock_folder(path, os.O_CREAT)
            if folder is not None:
                return folder
    raise OSError(f"Cannot lock a folder in {outbox}. Is it on a file system without locks?")


def dead_folders(outbox: Path, own: Path | None) -> Iterator[LockedFolder]:
    """Lock, one after the other, the folders of processes that are dead; the caller leaves or lets go of each."""
    for path in process_folders(outbox):
        if path == own:
            continue
        with contextlib.suppress(OSError):
            folder = _lock_folder(path, os.O_CREAT if _has_lost_its_lock(path) else 0)
            if folder is not None:
                yield folder


def has_dead_folders(outbox: Path, own: Path | None) -> bool:
    """Tell whether a dead process has left anything."""
    for folder in dead_folders(outbox, own):
        folder.let_go()
        return True
    return False


def is_dead(path: Path) -> bool:
    """Tell whether nobody holds the lock of this folder."""
    with contextlib.suppress(OSError):
        folder = _lock_folder(path, 0)
        if folder is not None:
            folder.let_go()
            return True
    return False


def segment_paths(folder: Path) -> list[Path]:
    """Return the paths of the segments in a folder, oldest first; none if it is gone."""
    with contextlib.suppress(OSError):
        return sorted(entry for entry in folder.iterdir() if entry.name.endswith(SEGMENT_SUFFIX))
    return []


def remove_lone_cursors(folder: Path) -> None:
    """Remove cursors whose segment is gone: whoever removed it died between the two."""
    with contextlib.suppress(OSError):
        for entry in list(folder.iterdir()):
            if entry.suffix == CURSOR_SUFFIX and not entry.with_suffix(SEGMENT_SUFFIX).exists():
                entry.unlink()


def process_folders(outbox: Path) -> list[Path]:
    """Return the folders of all processes, living or dead; none if there is no outbox."""
    with contextlib.suppress(OSError):
        return sorted(entry for entry in outbox.iterdir() if _FOLDER_NAME.fullmatch(entry.name))
    return []


def _lock_folder(path: Path, create: int) -> LockedFolder | None:
    lock_path = path / LOCK_NAME
    fd = os.open(lock_path, os.O_RDWR | create | OPEN_FLAGS, 0o600)
    if try_lock(fd) and is_same_file(fd, lock_path):
        return LockedFolder(path, fd)
    os.close(fd)
    return None


def _has_lost_its_lock(path: Path) -> bool:
    """Tell whether somebody removed the lock file; a folder that is only just being made is younger."""
    if (path / LOCK_NAME).exists():
        return False
    with contextlib.suppress(OSError):
        path.rmdir()  # nothing in it: an adopter died between its last two steps
    return time.time() - path.stat().st_mtime > _LOCKLESS_AGE_S
