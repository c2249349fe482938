"""What `@track_action` adds to a call, measured here and now.

In: nothing. Out: medians in microseconds. Loses: nothing; what is recorded for it goes to memory, not to the store.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from .. import conversation, track_action
from ..testing import recording

_ROUNDS = 40
_CALLS = 50


class Cost(NamedTuple):
    """Microseconds per call of a function that does nothing, without and with `@track_action`."""

    plain_us: float
    tracked_us: float
    calls: int

    @property
    def added_us(self) -> float:
        """What the decorator adds."""
        return self.tracked_us - self.plain_us


def measure_cost() -> Cost:
    """Time a tracked call inside a conversation, argument and result recorded, against an undecorated one."""
    tracked = track_action("no_op")(_no_op)
    plain_us, tracked_us = [], []
    with recording(durability="process"), conversation("cost"):
        _time_calls(tracked)
        for _ in range(_ROUNDS):
            plain_us.append(_time_calls(_no_op))
            tracked_us.append(_time_calls(tracked))
    return Cost(statistics.median(plain_us), statistics.median(tracked_us), _ROUNDS * _CALLS)


def _no_op(order_id: str) -> str:
    return order_id


def _time_calls(function: Callable[[str], str]) -> float:
    started_ns = time.perf_counter_ns()
    for _ in range(_CALLS):
        function("A-17")
    return (time.perf_counter_ns() - started_ns) / _CALLS / 1000
