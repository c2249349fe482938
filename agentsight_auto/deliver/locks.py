"""Locks on files between processes: `flock` where there is one, elsewhere the portalocker library.

The system lets go of the lock when the process that holds it dies, however it dies.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""For every file of the outbox: not handed on to programs that this one starts, and no translation of line ends."""


if sys.platform == "win32":

    def try_lock(fd: int) -> bool:
        """Lock without waiting; False if another process, or another handle in this one, holds it."""
        import portalocker  # noqa: PLC0415 - only where there is no flock

        try:
            portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except (portalocker.LockException, OSError):
            return False
        return True

    def wait_for_lock(fd: int) -> None:
        """Lock, waiting for whoever holds it."""
        import portalocker  # noqa: PLC0415 - only where there is no flock

        portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE)

else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Lock without waiting; False if another process, or another descriptor in this one, holds it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def wait_for_lock(fd: int) -> None:
        """Lock, waiting for whoever holds it."""
        fcntl.flock(fd, fcntl.LOCK_EX)


def is_same_file(fd: int, path: Path) -> bool:
    """Tell whether `path` still names the open file: whoever locks a file that was unlinked meanwhile has nothing."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False
