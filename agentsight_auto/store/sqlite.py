"""One SQLite file: create it, make sure that it is ours, connect to it, and say in words what went wrong.

In: a path. Out: driver connections with our settings, on a migrated file.
Loses: nothing; a file that is not ours is left as it is.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from agentsight_auto.exceptions import StoreException
from agentsight_auto.store.migrations import check_ours, migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

R = TypeVar("R")

BUSY_TIMEOUT_S = 5.0
"""How long SQLite itself waits for another process's lock, per attempt."""

LOCK_WAIT_S = 30.0
"""How long we go on trying before we give up and say so."""


_MAPPED_BYTES = 8 * 2**30
"""Readers see the file through the system's memory, which is shared, instead of copying pages out of it."""
_READER_CACHE_KIB = 8 * 1024
"""For what lies beyond the first 2 GiB of a file: no more of it is mapped by most builds of SQLite."""
_WRITER_CACHE_KIB = 32 * 1024
"""Pages of indexes that a batch is spread over; SQLite's default of 2 MiB would read and write them again and again."""
_PAGE_BYTES = 8192
"""Of a new file: half a message stays empty at the end of a page, twice as much in pages of SQLite's default size."""
_WAL_PAGES = 4_000
"""32 MiB of log before it is copied into the file: a page that many batches change is copied once."""


class Handle(sqlite3.Connection):
    """A driver connection that can be referred to weakly, so that a forked child finds what it must not touch.

    One that nobody closed, because a client with a home of its own was let go, closes itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pid = os.getpid()

    def __del__(self) -> None:
        if getattr(self, "_pid", None) == os.getpid():
            self.close()


handles: weakref.WeakSet[Handle] = weakref.WeakSet()
"""The driver connections of this process that are alive."""


def _casefold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def connect(path: Path, *, read_only: bool = False) -> Handle:
    """Open a driver connection in autocommit mode: transactions are begun and ended by statement."""
    handle = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, factory=Handle
    )
    handles.add(handle)
    handle.create_function("casefold", 1, _casefold, deterministic=True)
    handle.execute("PRAGMA foreign_keys = ON")
    handle.execute("PRAGMA synchronous = NORMAL")
    handle.execute("PRAGMA secure_delete = ON")  # what is deleted or replaced is overwritten, see erasure
    if read_only:
        handle.execute("PRAGMA query_only = ON")
        handle.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
        handle.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    else:
        handle.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
        handle.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    return handle


def until_unlocked(function: Callable[[], R], *, wait_s: float = LOCK_WAIT_S) -> R:
    """Call `function` again while another process holds the lock, for at most `wait_s`.

    SQLite's own busy timeout is not asked in every case: switching to WAL fails at once, for instance.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return function()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.01)


def begin_within(handle: sqlite3.Connection, begin: str, wait_s: float) -> None:
    """Begin a transaction, waiting for its lock at most so long."""
    is_short = wait_s < BUSY_TIMEOUT_S
    if is_short:
        handle.execute(f"PRAGMA busy_timeout = {int(wait_s * 1000)}")
    try:
        until_unlocked(lambda: handle.execute(begin), wait_s=wait_s)
    finally:
        if is_short:
            handle.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")


def is_locked(error: BaseException) -> bool:
    """Tell whether the driver says that somebody else holds a lock."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def prepare(path: Path) -> tuple[int, int]:
    """Make the folder (0700) and the file (0600) where they are missing, and bring the schema up to date.

    Returns:
        Device and inode of the file, by which a replaced file is noticed.

    Raises:
        StoreException: the file cannot be used; nothing in it was changed.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
        until_unlocked(lambda: _bring_up_to_date(path))
        return identity(path)
    except (OSError, sqlite3.Error) as error:
        raise store_error(path, error) from error


def _create(path: Path) -> None:
    """Create the file if it is missing; an existing one is not opened: closing it would drop SQLite's locks on it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise


def _bring_up_to_date(path: Path) -> None:
    from agentsight_auto.store import search_tables  # noqa: PLC0415 - loads SQLAlchemy, which only who opens a store needs

    with closing(connect(path)) as handle:
        check_ours(handle, path)  # before the first statement that writes
        handle.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # a file that has pages keeps their size
        handle.execute("PRAGMA journal_mode = WAL")
        migrate(handle, path)
        search_tables.ensure(handle)


def identity(path: Path) -> tuple[int, int]:
    """Return device and inode of the file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def store_error(path: Path, error: BaseException) -> StoreException:
    """Translate an error of the driver or of the operating system into what the user can do."""
    text = str(error)
    if "not a database" in text:
        advice = "it is not a SQLite database. Move it away or set AGENTSIGHT_HOME to another folder"
    elif "malformed" in text:
        advice = "it is damaged. Keep a copy, move it away and start anew, or restore it from a backup"
    elif is_locked(error):
        advice = f"another process has held its lock for {LOCK_WAIT_S:.0f} s. End that process or wait for it"
    elif "readonly" in text or isinstance(error, PermissionError):
        advice = "this user may not write there. Change the permissions or set AGENTSIGHT_HOME to another folder"
    elif "full" in text:
        advice = "the disk is full. Free some space"
    else:
        advice = "check that AGENTSIGHT_HOME is a folder that this user can write to"
    return StoreException(f"The store {path} cannot be used: {advice}. ({type(error).__name__}: {text})")
