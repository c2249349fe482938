"""What a fork must not carry over: SQLite's handles and, inside the C library, its table of locks.

SQLite forgets nothing at a fork. A child that inherits an open handle believes that it holds locks which the operating
system gave only to its parent, so that the file can be damaged when the parent ends first; a lock that another thread
held at that moment stays taken in the child for ever. So the connections are closed before the fork, which waits a
little for a transaction to end, and both sides open new ones. Source: https://www.sqlite.org/howtocorrupt.html (2.6)
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import TYPE_CHECKING, Protocol

from agentsight_auto.store.sqlite import handles

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE_S = 0.5
"""How long a fork waits for transactions to end, and a transaction for a fork."""

REFUSAL = (
    "This process was forked while its parent was using the store, and SQLite cannot be used safely after that. "
    "What is recorded here stays in the outbox and is delivered by another process. "
    "Fork before the first conversation, or use the spawn start method."
)


class Forkable(Protocol):
    """Something with connections that must not be open while the process is being forked."""

    def before_fork(self, timeout_s: float) -> None:
        """Close them, waiting for their users at most so long."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin with nothing."""


def keep_forever(inherited: object) -> None:
    """Make sure that an inherited object is never finalised, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def register(databases: Iterable[Forkable]) -> None:
    """Install the hooks around a fork for whatever is in `databases` then; nothing to do where there is no fork."""
    if not hasattr(os, "register_at_fork"):
        return

    def before() -> None:
        deadline = time.monotonic() + PATIENCE_S
        for database in list(databases):
            database.before_fork(max(0.0, deadline - time.monotonic()))

    def in_parent() -> None:
        for database in list(databases):
            database.after_fork_in_parent()

    def in_child() -> None:
        for handle in list(handles):
            keep_forever(handle)
        for database in list(databases):
            database.after_fork_in_child()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
