"""From captured events to answered ones: the buffer, the outbox and the worker behind one object.

In: lines of event JSON, or what they are made of, from any thread, signal handler or `__del__`.
Out: batches at the destination.
Loses: what the bounds push out and what damage destroyed; `FlushReport.lost` counts it by reason.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TypeVar

from agentsight_auto import _guard
from agentsight_auto._clock import Clock
from agentsight_auto._lines import Captured, lines_of
from agentsight_auto.deliver import lifecycle
from agentsight_auto.deliver.backlog import Backlog, PipelineOptions
from agentsight_auto.deliver.delivery import Delivery
from agentsight_auto.deliver.destination import Destination, not_after
from agentsight_auto.deliver.folders import has_dead_folders
from agentsight_auto.deliver.gate import Gate, GateClosed
from agentsight_auto.deliver.inquiry import lines_in_memory, unanswered_among
from agentsight_auto.deliver.journal import Journal
from agentsight_auto.deliver.overview import look_into
from agentsight_auto.deliver.rejected import Rejected
from agentsight_auto.deliver.report import FlushReport, OutboxSummary
from agentsight_auto.deliver.segment import Segment
from agentsight_auto.deliver.upkeep import Upkeep
from agentsight_auto.deliver.worker import DELIVER, LATER, SYNC, Worker

__all__ = ["FlushReport", "OutboxSummary", "Pipeline", "PipelineOptions"]

T = TypeVar("T")

_DRAIN_BYTES = 64 * 1024
_EXIT_PATIENCE_S = 1.0
_BEGINS_SHARE = 0.15
"""Of the time that the end of the process waits for delivery: later no batch is begun, as what is in the outbox is
safe. The rest is for the batch that is under way, should the other side be slow."""


class Pipeline:
    """Keep lines safe and bring them to a destination. Making one opens nothing and starts nothing."""

    def __init__(self, options: PipelineOptions, open_destination: Callable[[], Destination], clock: Clock) -> None:
        self.options = options
        self._open_destination = open_destination
        self._clock = clock
        self._inherited: list[object] = []
        self._is_at_exit = False
        self.start_afresh()

    def start_afresh(self) -> None:
        """Begin with nothing, for a new object and in a forked child: what was buffered is the parent's to write."""
        self._pid = os.getpid()
        self._gate = Gate()
        self._buffer: list[bytes | Captured] = []
        self.push = self._buffer.append
        self.buffered_bytes = 0
        self._taken: list[bytes] = []
        self.due_bytes = 0
        """How much may be buffered before `journal_soon` is called: nothing while the journal does not know."""
        self._backlog = Backlog(self.options)
        outbox = self.options.outbox if self.options.durability != "memory" else None
        self._delivery = Delivery(self._open_destination, outbox, self._clock.now_us)
        self._upkeep = Upkeep(self._gate, self._backlog, self._delivery, self._drain, self._clock.reanchor, outbox)
        self._delivering = threading.Lock()
        self._starting = threading.Lock()
        """Of whoever starts a thread, never inside the gate: what is collected in the new thread may record, and the
        starter waits until that thread runs."""
        self._worker: Worker | None = None
        self._journal: Journal | None = None

    # What the recording threads call.

    def append(self, line: bytes) -> None:
        """Take a line in; it is on disk after the journal interval, or once 64 KiB have come together."""
        self.push(line)
        self.buffered_bytes += len(line)
        if self.buffered_bytes >= self.due_bytes:
            self.journal_soon()

    def journal_soon(self) -> None:
        """Have what was pushed brought to disk after the journal interval, or at once where that is due."""
        try:
            self._check_process()
            worker = self._living_worker()
            is_urgent = self._is_at_exit or self.buffered_bytes >= _DRAIN_BYTES or self.options.journal_interval_s <= 0
            if worker is not None and not is_urgent and self._arm_journal():
                return
            self._gate.run(self._drain)
            if worker is not None:
                worker.ask(LATER)
        except GateClosed:  # at the very end, when a thread that will never run again is inside: nobody reads a log
            _guard.failures["recording: GateClosed"] += 1
        except Exception as error:  # noqa: BLE001 - the host comes first
            _guard.failed("recording", error)

    def commit(self) -> None:
        """Bring everything appended so far into the outbox, and have it delivered soon. Never waits for delivery."""
        self._do(self._drain, DELIVER)

    def write_through(self, line: bytes) -> None:
        """Take a line in and bring it into the outbox at once."""
        self.push(line)
        self._do(self._drain, DELIVER)

    def hold(self, key: str, line: bytes) -> None:
        """Bring a line into the outbox at once; it is delivered after `release`, `flush`, exit or the idle limit."""
        self._do(lambda: self._backlog.hold(key, line), SYNC)

    def release(self, key: str | None = None) -> None:
        """Have what is held under `key`, or everything that is held, delivered soon."""
        self._do(lambda: self._backlog.release(key), DELIVER)

    # What callers that can wait call.

    def flush(self, timeout_s: float, *, release_held: bool = True) -> FlushReport:
        """Deliver everything captured before this call and what dead processes left; return at the latest in time.

        With `release_held` False, what is held stays held.
        """
        try:
            self._flush(time.monotonic() + timeout_s, release_held)
        except Exception as error:  # noqa: BLE001 - the host comes first
            _guard.failed("flush", error)
        return self.report()

    def report(self) -> FlushReport:
        """Return the counts of this process."""
        return self._call(lambda: self._backlog.counts.report(len(self._buffer) + len(self._taken)))

    def unanswered(self, event_ids: Collection[str]) -> dict[str, str | None]:
        """Return those of these events that still wait (None) or were rejected (with the reason)."""
        lines, segments = self._lines_outside_files(), self._call(lambda: list(self._backlog.segments()))
        return unanswered_among(set(event_ids), lines, segments, self._delivery.reasons)

    def shutdown(self, timeout_s: float = 2.0) -> FlushReport:
        """Write everything, try once to deliver it, stop the worker; what comes later is still recorded."""
        return self._shutdown(timeout_s, begins_s=timeout_s)

    def _shutdown(self, timeout_s: float, *, begins_s: float) -> FlushReport:
        try:
            self._shut_down(timeout_s, begins_s)
        except Exception as error:  # noqa: BLE001 - the host comes first
            _guard.failed("shutdown", error)
        return self.report()

    def waiting(self) -> OutboxSummary:
        """Look into the outbox: what waits, of this process and of others."""
        lines = self._lines_outside_files()
        return look_into(self.options.outbox, self._call(lambda: self._backlog.outbox.folder_path), len(lines))

    def retry_rejected(self) -> int:
        """Bring rejected events back into the outbox for another try, and return how many."""

        def hand_over(lines: Collection[bytes]) -> None:
            for line in lines:
                self.push(line)
            self.commit()

        return Rejected(self.options.outbox).take_all(hand_over)

    # Inside.

    def _do(self, operation: Callable[[], object], then: frozenset[str]) -> None:
        try:
            self._check_process()
            self._gate.run(operation)
            worker = self._worker
            if worker is None or not worker.is_alive:
                worker = self._living_worker()
            if worker is not None:
                worker.ask(then)
        except GateClosed:  # at the very end, when a thread that will never run again is inside: nobody reads a log
            _guard.failures["recording: GateClosed"] += 1
        except Exception as error:  # noqa: BLE001 - the host comes first
            _guard.failed("recording", error)

    def _arm_journal(self) -> bool:
        """Have the buffer journalled in time; tell whether a thread will do it."""
        if self._journal is None or not self._journal.is_alive:
            self._start(self._start_journal)
        journal = self._journal
        if journal is None:
            return False
        self.due_bytes = _DRAIN_BYTES
        journal.arm()
        return journal.is_alive

    def _journal_now(self) -> None:
        self.due_bytes = 0  # first: what is pushed from now on may come too late for this time
        if self._upkeep.journal():
            worker = self._living_worker()
            if worker is not None:
                worker.ask(LATER)

    def _drain(self) -> None:
        self.buffered_bytes = 0
        buffer = self._buffer
        count = len(buffer)
        # Interrupted before the next line, the events are known twice by the same ids.
        self._taken += lines_of(buffer[:count])
        del buffer[:count]
        if self._taken:
            self._backlog.add(self._taken)
            self._taken = []

    def _release_everything(self) -> list[Segment]:
        self._drain()
        self._backlog.release()
        return self._backlog.seal()

    def _seal_everything(self) -> list[Segment]:
        self._drain()
        return self._backlog.seal()

    def _flush(self, deadline: float, release_held: bool) -> None:
        self._check_process()
        if self._gate.is_inside or (self._worker is not None and self._worker.is_current):
            return  # it would wait for itself
        targets = self._gate.call(self._release_everything if release_held else self._seal_everything)
        if not targets and not self._has_dead_neighbours():
            return
        worker = self._living_worker(max(deadline - time.monotonic(), 0))
        if worker is None:
            if not self._starting.locked():
                self._deliver_here(deadline, begins_until=deadline, with_adoption=True)
            return
        waiter = worker.join_flush()
        try:
            while worker.is_alive and (remaining_s := deadline - time.monotonic()) > 0:
                with suppress(queue.Empty):
                    if waiter.get(timeout=remaining_s) and all(segment.is_settled() for segment in targets):
                        return
        finally:
            worker.leave_flush(waiter)

    def _shut_down(self, timeout_s: float, begins_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self._check_process()
        if self._gate.is_inside or (self._worker is not None and self._worker.is_current):
            return
        if self._journal is not None and self._journal.is_alive:
            self._journal.stop(timeout_s)
        self.due_bytes = 0
        targets = self._gate.call(self._release_everything)
        worker = self._living_worker(max(deadline - time.monotonic(), 0)) if targets else self._worker
        if worker is not None and worker.is_alive:
            worker.stop(max(deadline - time.monotonic(), 0), begins_s=begins_s)
        elif targets and not self._starting.locked():
            self._deliver_here(deadline, begins_until=deadline - timeout_s + begins_s, with_adoption=False)
        self._upkeep.note_losses()
        self._gate.call(self._backlog.outbox.leave)
        lifecycle.at_rest(self)

    def _deliver_here(self, deadline: float, *, begins_until: float, with_adoption: bool) -> None:
        """Deliver on the caller's thread, where no worker can run: at interpreter exit."""
        if not self._delivering.acquire(timeout=max(deadline - time.monotonic(), 0)):
            return
        try:
            with not_after(deadline):
                self._upkeep.deliver(lambda: time.monotonic() < begins_until)
                if with_adoption:
                    self._upkeep.adopt(lambda: time.monotonic() < begins_until)
        except Exception as error:  # noqa: BLE001 - the events wait in the outbox
            if not self._is_at_exit:
                _guard.warn_at_most_once_a_minute(
                    "delivery", "agentsight-auto: events wait, delivery failed: %s", error
                )
        finally:
            self._delivery.close()
            self._delivering.release()

    def _has_dead_neighbours(self) -> bool:
        own = self._gate.call(lambda: self._backlog.outbox.folder_path)
        return self.options.durability != "memory" and has_dead_folders(self.options.outbox, own)

    def _call(self, function: Callable[[], T]) -> T:
        """Look at the books, alone if possible: from a signal handler or at exit as they are."""
        self._check_process()
        if not self._gate.is_inside:
            with suppress(GateClosed):
                return self._gate.call(function)
        return function()

    def _lines_outside_files(self) -> list[bytes]:
        self._gate.run(self._drain)
        return self._call(lambda: lines_in_memory(self._backlog))

    def _living_worker(self, wait_s: float = 0.0) -> Worker | None:
        """Return the worker, started if need be; None where it cannot be, or where it is being started for too long.

        Whoever starts it asks it for a round afterwards: for those who have not waited.
        """
        if (self._worker is None or not self._worker.is_alive) and not self._is_at_exit:
            self._start(self._start_worker, wait_s)
            if self._worker is not None:
                self._worker.ask(LATER)
        worker = self._worker
        return worker if worker is not None and worker.is_alive else None

    def _start(self, start: Callable[[], None], wait_s: float = 0.0) -> None:
        if not self._gate.is_inside and self._starting.acquire(timeout=min(wait_s, threading.TIMEOUT_MAX)):
            try:
                start()
            finally:
                self._starting.release()

    def _start_worker(self) -> None:
        if self._worker is not None and self._worker.is_alive:
            return
        lifecycle.register(self)
        worker = Worker(self._upkeep)
        with suppress(RuntimeError):  # the interpreter is ending: without a worker everything is written through
            worker.start()
            self._worker = worker

    def _start_journal(self) -> None:
        if self._journal is not None and self._journal.is_alive:
            return
        journal = Journal(self._journal_now, self.options.journal_interval_s)
        with suppress(RuntimeError):  # the interpreter is ending: everything is written through
            journal.start()
            self._journal = journal

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            self.become_child()

    def become_child(self) -> None:
        """Part with what a fork inherited: only replace objects, take no lock, log nothing."""
        self._inherited.append(self._delivery.destination)  # never closed here: its connections are the parent's
        self._backlog.outbox.forget()
        self.start_afresh()

    @property
    def exit_timeout_s(self) -> float:
        """How long the end of the process may wait for delivery."""
        return self.options.exit_timeout_s

    def end_with_process(self, timeout_s: float) -> None:
        """Shut down for good: from now on everything is written through, and nobody is waited for long."""
        self._is_at_exit = self._upkeep.is_quiet = True
        self._gate.patience_s = _EXIT_PATIENCE_S
        self._shutdown(timeout_s, begins_s=timeout_s * _BEGINS_SHARE)
