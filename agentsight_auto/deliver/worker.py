"""The thread that does everything slow: it sleeps until something is due, and never polls.

In: requests from any thread. Out: duties carried out on one thread, in order. Loses: nothing of its own.
"""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from typing import Protocol

from agentsight_auto import _guard
from agentsight_auto.deliver.destination import DeliveryError

THREAD_NAME = "agentsight-auto"
_CYCLE_S = 0.1
_GATHER_S = 0.2
"""From the first request to its delivery: what a burst records goes in one batch, when the burst may be over."""
_JOURNALED_S = 1.0
_SYNC_S = 1.0
_ADOPT_S = 5.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 60.0
_QUIET_BACKOFF_DOUBLINGS = 8

_LASTING = {"deliver", "later", "sync"}

Waiter = queue.SimpleQueue[bool]
"""Gets True after each round that delivered everything it found, False after one that could not."""


class Duties(Protocol):
    """What the worker carries out."""

    is_quiet: bool
    """The process ends: nothing is logged any more."""

    def deliver(self) -> None:
        """Deliver what waits; raises when the destination cannot."""
        ...

    def adopt(self) -> None:
        """Deliver what dead processes left; raises when the destination cannot."""
        ...

    def sync(self) -> None:
        """Make the disk keep what was written."""
        ...

    def tend(self) -> tuple[float, bool]:
        """Do the small things that are due; return the monotonic time of the next, and whether to deliver now."""
        ...

    def ended(self) -> None:
        """Take note that the thread ends."""
        ...


class Backoff:
    """When the destination may be tried again. Delays double from 0.5 s to 60 s, with a jitter of up to a quarter."""

    def __init__(self) -> None:
        self.until = 0.0
        self._is_told = False
        self._failures = 0

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self.until, self._is_told, self._failures = 0.0, False, 0

    def failed(self, error: Exception) -> None:
        """Wait for as long as the other side asked, or longer each time."""
        told_s = error.retry_after_s if isinstance(error, DeliveryError) else None
        self._is_told = told_s is not None and 0 <= told_s < math.inf
        if told_s is not None and self._is_told:
            delay_s = min(told_s, _LONGEST_BACKOFF_S)
        else:
            delay_s = _FIRST_BACKOFF_S * 2 ** min(self._failures, _QUIET_BACKOFF_DOUBLINGS)
            delay_s = min(delay_s, _LONGEST_BACKOFF_S) * (1 - os.urandom(1)[0] / 1024)
        self._failures += 1
        self.until = time.monotonic() + delay_s

    def hurry(self) -> None:
        """Allow one try now, unless the other side asked to wait."""
        if not self._is_told:
            self.until = 0.0


class Worker:
    """One daemon thread with four duties, each with the time at which it is due."""

    def __init__(self, duties: Duties) -> None:
        self.backoff = Backoff()
        self._duties = duties
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_woken = False
        self._asked: set[str] = set()
        self._expected: set[str] = set()  # asked for, taken note of, and not begun yet
        self._waiters: set[Waiter] = set()
        self._served: set[Waiter] = set()
        self._due = {"deliver": math.inf, "sync": math.inf, "adopt": 0.0, "tend": 0.0}
        self._last_delivery_at = -math.inf
        self._is_stopping = False
        self.is_alive = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: no thread can be started (any more).
        """
        self.is_alive = True
        try:
            self._thread.start()
        except RuntimeError:
            self.is_alive = False
            raise

    @property
    def is_current(self) -> bool:
        """Tell whether the caller is the worker itself."""
        return threading.current_thread() is self._thread

    def ask(self, what: str) -> None:
        """Ask for ``deliver`` (soon), ``later`` (deliver within a second) or ``sync``."""
        if what in self._expected:
            return
        self._asked.add(what)
        if not self._is_woken:
            self._is_woken = True
            self._wake.put(None)

    def join_flush(self) -> Waiter:
        """Ask to deliver and adopt at once; the returned queue is told of each round from then on."""
        waiter: Waiter = queue.SimpleQueue()
        self._waiters.add(waiter)
        self.ask("flush")
        return waiter

    def leave_flush(self, waiter: Waiter) -> None:
        """Take back `join_flush`."""
        self._waiters.discard(waiter)
        self._served.discard(waiter)

    def stop(self, timeout_s: float) -> bool:
        """Ask for one more round of delivery and the end; tell whether the thread ended in time."""
        self.ask("stop")
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._sleep()
                self._take_requests()
                self._carry_out()
        except BaseException as error:  # noqa: BLE001 - a traceback at interpreter exit helps nobody
            if not sys.is_finalizing():
                _guard.failures[f"worker: {type(error).__name__}"] += 1
        finally:
            self.is_alive = False
            with suppress(Exception):
                self._duties.ended()
                self._served = set(self._waiters)
                self._tell_waiters(is_done=False)

    def _sleep(self) -> None:
        remaining_s = min(self._due.values()) - time.monotonic()
        if remaining_s > 0:
            with suppress(queue.Empty):
                self._wake.get(timeout=remaining_s)
        self._is_woken = False

    def _take_requests(self) -> None:
        now = time.monotonic()
        asked = set()
        while self._asked:
            asked.add(self._asked.pop())
        self._expected |= asked & _LASTING
        soon = max(now + _GATHER_S, self._last_delivery_at + _CYCLE_S)
        if "sync" in asked:
            self._expect("sync", now + _SYNC_S)
        if "later" in asked:
            self._expect("deliver", max(soon, self._last_delivery_at + _JOURNALED_S))
        if "deliver" in asked:
            self._expect("deliver", soon)
        if asked & {"flush", "stop"}:
            self.backoff.hurry()
            self._due["deliver"] = now
        if "flush" in asked:
            self._due["adopt"] = now
            self._served = set(self._waiters)  # a round that began before they asked tells them nothing
        self._is_stopping = "stop" in asked

    def _expect(self, duty: str, at: float) -> None:
        self._due[duty] = min(self._due[duty], at)

    def _is_due(self, duty: str, now: float) -> bool:
        if self._due[duty] > now:
            return False
        self._due[duty] = math.inf
        self._expected.discard(duty)
        if duty == "deliver":
            self._expected.discard("later")
        return True

    def _carry_out(self) -> None:
        now = time.monotonic()
        if self._is_due("sync", now):
            self._duties.sync()
            self._due["tend"] = now  # what was written since may be idle soon, or wait for the disk
        if self._is_due("tend", now):
            self._due["tend"], has_released = self._duties.tend()
            if has_released:
                self._expect("deliver", now)
        is_deliver_due, is_adopt_due = self._is_due("deliver", now), self._is_due("adopt", now)
        if is_adopt_due:
            self._due["adopt"] = now + _ADOPT_S
        if now < self.backoff.until:
            if is_deliver_due:
                self._due["deliver"] = self.backoff.until
            if is_deliver_due or is_adopt_due:
                self._tell_waiters(is_done=False)
        elif is_deliver_due or is_adopt_due:
            self._tell_waiters(is_done=self._round(with_adoption=is_adopt_due and not self._is_stopping))

    def _round(self, *, with_adoption: bool) -> bool:
        self._last_delivery_at = time.monotonic()
        try:
            self._duties.deliver()
            if with_adoption:
                self._duties.adopt()
        except Exception as error:  # noqa: BLE001 - the destination is foreign code
            self.backoff.failed(error)
            self._due["deliver"] = self.backoff.until
            if with_adoption:
                self._due["adopt"] = self.backoff.until
            if not self._is_stopping and not self._duties.is_quiet:
                _guard.warn_at_most_once_a_minute(
                    "delivery", "agentsight-auto: events wait, delivery failed: %s: %s", type(error).__name__, error
                )
            return False
        self.backoff.succeeded()
        return True

    def _tell_waiters(self, *, is_done: bool) -> None:
        for waiter in list(self._served):
            waiter.put(is_done)
