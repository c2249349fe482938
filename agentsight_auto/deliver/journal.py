"""The thread that brings the buffer of open blocks into the outbox in time, whatever delivery is busy with.

In: word that something has been buffered. Out: the buffer in the outbox, one interval later. Loses: nothing of its own.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from agentsight_auto import _guard

THREAD_NAME = "agentsight-auto-journal"


class Journal:
    """One daemon thread that calls `journal` an interval after it was armed."""

    def __init__(self, journal: Callable[[], None], interval_s: float) -> None:
        self._journal = journal
        self._interval_s = interval_s
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: no thread can be started (any more).
        """
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Tell whether the thread runs and takes requests."""
        return not self._is_stopping and self._thread.is_alive()

    def arm(self) -> None:
        """Have the buffer journalled after the interval."""
        self._wake.put(None)

    def stop(self, timeout_s: float) -> None:
        """End the thread; what is buffered is for the caller to write."""
        self._is_stopping = True
        self._wake.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._wake.get()
                self._wait()
                if not self._is_stopping:
                    self._journal()
        except BaseException as error:  # noqa: BLE001 - a traceback at interpreter exit helps nobody
            if not sys.is_finalizing():
                _guard.failures[f"journal: {type(error).__name__}"] += 1
        finally:
            self._is_stopping = True

    def _wait(self) -> None:
        due_at = time.monotonic() + self._interval_s
        while not self._is_stopping and (remaining_s := due_at - time.monotonic()) > 0:
            with suppress(queue.Empty):
                self._wake.get(timeout=remaining_s)
