"""Measure what a snapshot costs the caller, for small values and for values without end.

All cases take turns in every round of one run, so that a busy machine slows all of them alike; the table shows medians.

Run:    python benchmarks/snapshot.py [rounds]
Prints: microseconds, the ratio to a `json.dumps` of the small dict, and whether 1 ms is kept (exit code 1 if not).
"""

from __future__ import annotations

import dataclasses
import gc
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

from agentsight_auto.snapshot import snapshot

LIMIT_US = 1000.0
CALLS_OF_SMALL = 200
UNIT = "json.dumps of the dict of 3"


@dataclasses.dataclass
class Order:
    """An object as a tool may take it."""

    number: int
    customer: str
    lines: list[str]


@dataclasses.dataclass
class Empty:
    """An object without fields."""


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


SMALL_DICT = {"order_id": "A-1001", "status": "shipped", "carrier": "post"}

SMALL: dict[str, Any] = {
    "dict of 3 short texts": SMALL_DICT,
    "dict of 20 fields": {f"field_{number}": f"value {number}" for number in range(20)},
    "dict with a list and a float": {"id": 7, "price": 9.5, "tags": ["a", "b"], "owner": {"name": "Ann"}},
    "short text": "shipped",
    "integer": 7,
    "dataclass": Order(7, "Ann", ["a", "b"]),
}

HUGE: dict[str, Callable[[], Any]] = {
    "1,000,000 integers": lambda: list(range(1_000_000)),
    "1,000,000 floats": lambda: [number / 7 for number in range(1_000_000)],
    "dict of 1,000,000 integers": lambda: {number: number for number in range(1_000_000)},
    "dict of 1,000,000 texts": lambda: {f"item {number}": "x" for number in range(1_000_000)},
    "50 MB of text": lambda: "x" * 50_000_000,
    "10 MB of lone surrogates": lambda: "\ud800" * 5_000_000,
    "100,000 dicts": lambda: [{"id": number, "name": "Ann", "note": None} for number in range(100_000)],
    "100,000 empty lists": lambda: [[] for _ in range(100_000)],
    "100,000 dataclasses": lambda: [Order(number, "Ann", []) for number in range(100_000)],
    "100,000 empty objects": lambda: [Empty() for _ in range(100_000)],
    "100,000 bytes": lambda: [b"x"] * 100_000,
    "100,000 exceptions": lambda: [ValueError("no")] * 100_000,
    "dict of 100,000 tuple keys": lambda: {(number, "x"): number for number in range(100_000)},
    "3,000 deep": lambda: nested(3000),
    "100,000 lists 30 deep": lambda: [nested(30)] * 100_000,
}


def timed(call: Callable[[], Any], calls: int) -> float:
    started = perf_counter_ns()
    for _ in range(calls):
        call()
    return (perf_counter_ns() - started) / calls / 1000


def main(rounds: int) -> int:
    cases: dict[str, tuple[Callable[[], Any], int]] = {UNIT: (partial(json.dumps, SMALL_DICT), CALLS_OF_SMALL)}
    for name, value in SMALL.items():
        cases[name] = (partial(snapshot, value), CALLS_OF_SMALL)
    for name, make in HUGE.items():
        cases[name] = (partial(snapshot, make()), 1)
    gc.collect()
    gc.freeze()  # a collection that walks through the test data is not the snapshot's cost

    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (call, calls) in cases.items():
            times[name].append(timed(call, calls))

    unit = statistics.median(times[UNIT])
    over = 0
    print(f"{'value':<30} {'median µs':>10} {'slowest µs':>11} {'ratio':>8}   {rounds} rounds, limit 16 KiB")
    for name, each in times.items():
        median = statistics.median(each)
        verdict = "under 1 ms" if median < LIMIT_US else "OVER 1 ms"
        over += median >= LIMIT_US
        print(f"{name:<30} {median:>10.2f} {max(each):>11.2f} {median / unit:>8.2f}   {verdict}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 25))
