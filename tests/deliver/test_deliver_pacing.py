"""The program around comes first: when the worker rests, hurries, and stops beginning batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentsight_auto.deliver.delivery import BATCH_EVENTS
from agentsight_auto.deliver.pacing import Courtesy
from agentsight_auto.events import Answer, AnyEvent

from .conftest import MakePipeline
from .support import FickleDestination, eventually, ids_of, make_lines


def rest_after(monkeypatch: pytest.MonkeyPatch, *, process_s: float, own_s: float) -> float:
    """Return how long a worker rests that used `own_s` of the processor while its process used `process_s`."""
    courtesy = Courtesy()
    courtesy.batch_begins()
    process_then_s, own_then_s = time.process_time(), time.thread_time()
    monkeypatch.setattr(time, "process_time", lambda: process_then_s + process_s)
    monkeypatch.setattr(time, "thread_time", lambda: own_then_s + own_s)
    return courtesy.rest_s()


def test_a_worker_in_an_idle_program_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else wants the interpreter."""
    assert rest_after(monkeypatch, process_s=0.05, own_s=0.05) < 0.02


def test_a_worker_rests_three_times_what_others_worked_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shared the interpreter with it gets it alone for a while."""
    assert rest_after(monkeypatch, process_s=0.08, own_s=0.05) == pytest.approx(0.09, abs=0.02)


def test_a_rest_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with many busy threads is delivered too."""
    assert rest_after(monkeypatch, process_s=30.0, own_s=0.1) == 0.5


def test_a_flush_ends_a_rest(
    make_pipeline: MakePipeline, destination: FickleDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for delivery does not wait for a rest."""
    monkeypatch.setattr(Courtesy, "rest_s", lambda _: 600.0)
    pipeline = make_pipeline()
    lines = make_lines(3 * BATCH_EVENTS)
    for line in lines:
        pipeline.append(line)
    pipeline.commit()
    assert eventually(lambda: destination.ids)
    assert pipeline.flush(10).is_complete
    assert destination.ids == ids_of(lines)


def test_a_worker_that_is_far_behind_does_not_rest(
    make_pipeline: MakePipeline, destination: FickleDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the outbox is full and loses the oldest events, delivery goes first."""
    monkeypatch.setattr(Courtesy, "rest_s", lambda _: 600.0)
    destination.is_open.clear()  # a worker that rests before it is far behind has its rest
    pipeline = make_pipeline(outbox_limit_bytes=1024 * 1024, segment_bytes=16 * 1024)
    for line in make_lines(4 * BATCH_EVENTS, "x" * 200):
        pipeline.append(line)
    pipeline.commit()
    destination.is_open.set()
    assert eventually(lambda: len(destination.ids) >= 2 * BATCH_EVENTS)
    assert pipeline.flush(10).lost == {}


def test_files_are_synced_while_a_long_delivery_goes_on(
    make_pipeline: MakePipeline, destination: FickleDestination
) -> None:
    """What is written has not to wait until a backlog is through."""
    pipeline = make_pipeline()
    unsynced: list[bool] = []

    def look(_: AnyEvent) -> None:
        unsynced.append(bool(pipeline._backlog.outbox.unsynced))
        wait_until = time.monotonic() + (0.6 if len(unsynced) % BATCH_EVENTS == 1 else 0)
        eventually(lambda: time.monotonic() >= wait_until)

    destination.rejects = look
    for line in make_lines(5 * BATCH_EVENTS):
        pipeline.append(line)
    pipeline.commit()
    assert eventually(lambda: len(unsynced) == 5 * BATCH_EVENTS, 10)
    assert (unsynced[0], unsynced[-1]) == (True, False)


def test_what_is_delivered_is_settled_before_a_rest(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last batch of a round is followed by a rest too, but its files are gone at once."""
    monkeypatch.setattr(Courtesy, "rest_s", lambda _: 600.0)
    pipeline = make_pipeline()
    pipeline.append(make_lines(1)[0])
    pipeline.commit()
    assert eventually(lambda: destination.ids)
    assert eventually(lambda: not list(outbox.glob("*/*.segment")))
    assert pipeline.report().is_complete


class Leisurely(FickleDestination):
    """Takes its time for every batch."""

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Answer after a while."""
        threading.Event().wait(0.3)
        return super().deliver(batch)


def test_the_end_of_the_process_begins_no_batch_late(make_pipeline: MakePipeline, outbox: Path) -> None:
    """The first batch is tried; what would be begun after a seventh of the time stays in the outbox."""
    destination = Leisurely()
    pipeline = make_pipeline(destination)
    lines = make_lines(4 * BATCH_EVENTS)
    for line in lines:
        pipeline.hold("chat", line)  # so that nothing is under way before the end
    pipeline.end_with_process(1.9)
    assert destination.ids == ids_of(lines[:BATCH_EVENTS])
    assert pipeline.report().pending == 3 * BATCH_EVENTS
    assert pipeline.waiting().events == 4 * BATCH_EVENTS  # the segment goes when all of it is answered


def test_a_shutdown_uses_all_the_time_it_is_given(make_pipeline: MakePipeline) -> None:
    """Unlike the end of the process, it was asked for."""
    destination = Leisurely()
    pipeline = make_pipeline(destination)
    for line in make_lines(3 * BATCH_EVENTS):
        pipeline.append(line)
    assert pipeline.shutdown(20).is_complete
