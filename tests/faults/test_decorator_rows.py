"""C23: what is decorated stays what it was."""

from __future__ import annotations

import statistics
import sys
import time
import traceback

import pytest

from agentsight_auto import conversation, propagate, track_action
from agentsight_auto.testing import Recording

from . import transparency
from .table import Row

DECORATORS = {
    "track_action": track_action,
    "track_action with a name": track_action("named", exclude=["x"]),
    "conversation": conversation("chat"),
    "propagate": propagate,
    "both": lambda function: conversation("chat")(track_action(function)),
}


@pytest.mark.parametrize("decorator", DECORATORS)
def test_c23_transparency(row: Row, recorded: Recording, decorator: str) -> None:
    """Twelve kinds of function pass nine checks, inside a conversation and outside."""
    with conversation("around"):
        found = transparency.judge(DECORATORS[decorator])
    missed = [f"{kind} {check}: {why}" for kind, checks in found.items() for check, why in checks.items() if why]
    total = sum(map(len, found.values()))
    row.provoke(f"{len(found)} kinds of function x {len(transparency.CHECKS)} checks with {decorator}")
    passed = total - len(missed)
    row.figure("checks passed", asked="108 of 108", reached=f"{passed} of {total}", holds=not missed and total == 108)
    assert missed == []


def raises() -> None:
    raise ValueError("here")


def depth() -> int:
    frame, levels = sys._getframe(), 0
    while frame is not None:
        frame, levels = frame.f_back, levels + 1
    return levels


def test_c23_frames_and_time(row: Row, recorded: Recording) -> None:
    """One frame more in a traceback, and microseconds."""
    extra = track_action(depth)() - depth()
    with pytest.raises(ValueError, match="here") as caught, conversation("chat"):
        track_action(raises)()
    ours = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if "agentsight_auto" in frame.filename]

    @track_action
    def add(a: int, b: int) -> int:
        return a + b

    times = []
    with conversation("chat"):
        for number in range(20_000 if row.is_full else 2_000):
            began = time.perf_counter()
            add(number, 1)
            times.append(time.perf_counter() - began)
    p99_us = 1e6 * statistics.quantiles(times, n=100)[98]
    row.provoke("depth of the stack, traceback and time of a decorated call")
    row.figure("extra frames", asked="≤ 1", reached=max(extra, len(ours)), holds=max(extra, len(ours)) <= 1)
    row.figure("call p99", asked="≤ 100 µs", reached=f"{p99_us:.0f} µs", holds=p99_us <= 100 or not row.is_full)
