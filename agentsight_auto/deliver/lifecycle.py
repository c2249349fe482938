"""What happens to pipelines when the process forks or ends.

In: pipelines in use. Out: a child that starts afresh; at exit, everything written and one attempt to deliver it.
Loses: nothing; what cannot be delivered in time waits in the outbox for the next process.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Protocol


class Living(Protocol):
    """What must know of forks and of the end."""

    @property
    def exit_timeout_s(self) -> float:
        """How long the end of the process may wait for delivery."""
        ...

    def become_child(self) -> None:
        """Part with what a fork inherited: only replace objects, take no lock, log nothing."""
        ...

    def end_with_process(self, timeout_s: float) -> None:
        """Write everything and try once to deliver it."""
        ...


_in_use: set[Living] = set()
_ever_used: weakref.WeakSet[Living] = weakref.WeakSet()
_is_registered = False
_INTERPRETERS_S = 0.7
"""Of the time that the end of the process may take, for what the interpreter itself does then; at most half of it."""


def register(living: Living) -> None:
    """Tell `living` of forks from now on, and of the end unless it comes to rest before; called at its first use."""
    global _is_registered
    _in_use.add(living)
    _ever_used.add(living)
    if not _is_registered:
        _is_registered = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_forked_child)


def at_rest(living: Living) -> None:
    """Do not hold on to `living` any more: it has nothing to do at the end."""
    _in_use.discard(living)


def _at_exit() -> None:
    started_at = time.monotonic()
    for living in list(_in_use):
        ours_s = max(living.exit_timeout_s - _INTERPRETERS_S, living.exit_timeout_s / 2)
        living.end_with_process(max(started_at + ours_s - time.monotonic(), 0.0))


def _in_forked_child() -> None:
    for living in list(_ever_used):
        living.become_child()
