"""One thread at a time, also for code that interrupts the very thread that is inside.

A signal handler, a `__del__` or a log handler may record an event while this thread is halfway through writing others.
A plain lock would block for ever, a re-entrant one would let it see half-changed state. Here it waits its turn: what
arrives from inside runs right after what it interrupted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import TypeVar

from agentsight_auto import _guard

T = TypeVar("T")


class GateClosed(Exception):
    """The lock could not be had in time: at exit, its owner may be a thread that will never run again."""


class Gate:
    """Run operations one after the other. `patience_s` bounds the wait for the lock; -1 waits for ever."""

    def __init__(self) -> None:
        self.patience_s = -1.0
        self._lock = threading.RLock()
        self._inside: int | None = None
        self._postponed: deque[Callable[[], object]] = deque()

    @property
    def is_inside(self) -> bool:
        """Tell whether this thread is in the middle of an operation."""
        return self._inside == get_ident()

    def run(self, operation: Callable[[], object]) -> None:
        """Run the operation alone; from inside another one of this thread, right after that.

        Raises:
            GateClosed: the lock was not free within `patience_s`.
        """
        me = get_ident()
        if self._inside == me:
            self._postponed.append(operation)
        elif self.patience_s < 0:  # what `call` does: every block that is left comes through here
            with self._lock:
                try:
                    self._inside = me
                    operation()
                finally:
                    self._inside = None  # before any call: near the limit of recursion none may be possible
                    if self._postponed:
                        self._run_postponed()
        else:
            self.call(operation)

    def call(self, function: Callable[[], T]) -> T:
        """Run the function alone and return its result; only for callers that are not inside.

        Raises:
            GateClosed: the lock was not free within `patience_s`.
        """
        if self.patience_s < 0:
            with self._lock:  # unlike acquire() and try, this cannot be interrupted between the two
                return self._enter(function)
        if not self._lock.acquire(timeout=self.patience_s):
            raise GateClosed
        try:
            return self._enter(function)
        finally:
            self._lock.release()

    def _enter(self, function: Callable[[], T]) -> T:
        try:
            self._inside = get_ident()
            return function()
        finally:
            self._inside = None  # as in `run`
            if self._postponed:
                self._run_postponed()

    def _run_postponed(self) -> None:
        # It comes after giving up the place: an interruption in between runs by itself.
        while self._postponed:
            self._inside = get_ident()
            try:
                self._postponed.popleft()()
            except Exception as error:  # noqa: BLE001, RUF100 - it belongs to another caller, who has left
                _guard.failures[f"postponed: {type(error).__name__}"] += 1
            finally:
                self._inside = None
