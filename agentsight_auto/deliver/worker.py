"""The thread that does everything slow: it sleeps until something is due, and never polls.

In: requests from any thread. Out: duties carried out on one thread, in order. Loses: nothing of its own.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from agentsight_auto import _guard
from agentsight_auto.deliver.pacing import Backoff, Courtesy

THREAD_NAME = "agentsight-auto"
_CYCLE_S = 0.1
_GATHER_S = 0.2
"""From the first request to its delivery: what a burst records goes in one batch, when the burst may be over."""
_JOURNALED_S = 1.0
_SYNC_S = 1.0
_ADOPT_S = 5.0

DELIVER = frozenset({"deliver", "sync"})
"""What `ask` is asked for: deliver soon, and have the disk keep what is written."""
LATER = frozenset({"later", "sync"})
"""Deliver within a second."""
SYNC = frozenset({"sync"})
_FLUSH = frozenset({"flush"})
_STOP = frozenset({"stop"})
_LASTING = DELIVER | LATER

Waiter = queue.SimpleQueue[bool]
"""Gets True after each round that delivered everything it found, False after one that could not."""


class Duties(Protocol):
    """What the worker carries out."""

    is_quiet: bool
    """The process ends: nothing is logged any more."""

    def deliver(self, goes_on: Callable[[], bool]) -> None:
        """Deliver what waits, asking after each batch whether to go on; raises when the destination cannot."""
        ...

    def adopt(self, goes_on: Callable[[], bool]) -> None:
        """Deliver what dead processes left, in the same way."""
        ...

    def is_far_behind(self) -> bool:
        """Tell whether so much waits that there is no time for a rest."""
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
        self._courtesy = Courtesy()
        self._hurry = threading.Event()
        self._begins_until: float | None = None
        self._has_tried_at_end = False
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

    def ask(self, wanted: frozenset[str]) -> None:
        """Ask for `DELIVER`, `LATER` or `SYNC`."""
        if wanted <= self._expected:
            return
        self._asked.update(wanted)
        if not self._is_woken:
            self._is_woken = True
            self._wake.put(None)

    def join_flush(self) -> Waiter:
        """Ask to deliver and adopt at once; the returned queue is told of each round from then on."""
        waiter: Waiter = queue.SimpleQueue()
        self._waiters.add(waiter)
        self.ask(_FLUSH)
        self._hurry.set()
        return waiter

    def leave_flush(self, waiter: Waiter) -> None:
        """Take back `join_flush`."""
        self._waiters.discard(waiter)
        self._served.discard(waiter)

    def stop(self, timeout_s: float, *, begins_s: float) -> bool:
        """Ask for one more round of delivery and the end; tell whether the thread ended in time.

        After `begins_s` seconds no batch but the first is begun.
        """
        self._begins_until = time.monotonic() + begins_s
        self.ask(_STOP)
        self._hurry.set()
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
        if "flush" in asked or ("stop" in asked and not self._has_tried_at_end):
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
        self._courtesy.batch_begins()
        try:
            self._duties.deliver(self._goes_on)
            if with_adoption and self._begins_until is None:
                self._duties.adopt(self._goes_on)
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

    def _goes_on(self) -> bool:
        """Rest between two batches while the program is busy; tell whether another one is to be begun."""
        if self._begins_until is not None:
            self._has_tried_at_end = time.monotonic() >= self._begins_until
            return not self._has_tried_at_end
        self._sync_meanwhile()
        rest_s = self._courtesy.rest_s()
        self._hurry.clear()
        if rest_s > 0 and not self._waiters and self._begins_until is None and not self._duties.is_far_behind():
            self._hurry.wait(rest_s)
        self._courtesy.batch_begins()
        return True

    def _sync_meanwhile(self) -> None:
        """Do in a long round what is due outside of it."""
        now = time.monotonic()
        if "sync" in self._asked:
            self._asked.discard("sync")
            self._expected.add("sync")
            self._expect("sync", now + _SYNC_S)
        if self._is_due("sync", now):
            self._duties.sync()
            self._due["tend"] = now

    def _tell_waiters(self, *, is_done: bool) -> None:
        for waiter in list(self._served):
            waiter.put(is_done)
