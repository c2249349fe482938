"""Runs one recorder in its own environment: ``python drive.py RECORDER SINK_ADDRESS``, then a command a line.

Commands are JSON lists, answers JSON lines: ``["calls", n]``, ``["awaits", n]``, ``["turns", n]`` (all answer with
microseconds), ``["threads", threads, turns]``, ``["burst", n]``, ``["flush"]`` (these in seconds), ``["leave"]``;
``["produced"]`` and ``["delivered"]`` answer with numbers of calls, the latter for a recorder that needs no sink.
Every recorded call carries a marker ``item-NNNNNNNN-end`` as its argument, which the sink counts.

Needs nothing but the standard library and the recorder.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import itertools
import json
import sys
import threading
import time
from typing import Any

CALLS_OF_A_TURN = 3

numbers = itertools.count(1)
produced: list[int] = []


def markers(count: int) -> list[str]:
    made = [next(numbers) for _ in range(count)]
    produced.extend(made)
    return [f"item-{number:08d}-end" for number in made]


def find_order(order_id: str) -> str:
    return order_id


async def find_order_async(order_id: str) -> str:
    return order_id


class Driver:
    """Carries out the commands with one recorder."""

    def __init__(self, recorder: Any) -> None:
        self._recorder = recorder
        self._call = recorder.tracked(find_order)
        self._call_async = recorder.tracked(find_order_async)
        self._loop = asyncio.new_event_loop()

    def calls(self, count: int) -> float:
        """Return the microseconds of one call, inside a conversation, beyond those of the loop."""
        items, call = markers(count), self._call
        with self._recorder.conversation("calls"):
            started_ns = time.perf_counter_ns()
            for item in items:
                call(item)
            taken_ns = time.perf_counter_ns() - started_ns
        started_ns = time.perf_counter_ns()
        for item in items:
            find_order(item)
        return (taken_ns - (time.perf_counter_ns() - started_ns)) / count / 1000

    def awaits(self, count: int) -> float:
        """Return the microseconds of one awaited call, beyond those of an undecorated one."""
        return self._loop.run_until_complete(self._awaits(count))

    async def _awaits(self, count: int) -> float:
        items, call = markers(count), self._call_async
        with self._recorder.conversation("awaits"):
            started_ns = time.perf_counter_ns()
            for item in items:
                await call(item)
            taken_ns = time.perf_counter_ns() - started_ns
        started_ns = time.perf_counter_ns()
        for item in items:
            await find_order_async(item)
        return (taken_ns - (time.perf_counter_ns() - started_ns)) / count / 1000

    def turns(self, count: int) -> list[float]:
        """Return the microseconds of each of so many turns, one after the other."""
        taken = []
        for _ in range(count):
            items = markers(CALLS_OF_A_TURN)
            started_ns = time.perf_counter_ns()
            self._recorder.turn(self._call, items)
            taken.append((time.perf_counter_ns() - started_ns) / 1000)
        return taken

    def threads(self, threads: int, turns: int) -> float:
        """Return the seconds that threads need for so many turns each."""

        def work() -> None:
            self.turns(turns)

        running = [threading.Thread(target=work) for _ in range(threads)]
        started = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return time.perf_counter() - started

    def burst(self, count: int) -> float:
        """Return the seconds of so many calls without a pause, in conversations of 1,000."""
        started = time.perf_counter()
        for _ in range(count // 1000):
            items = markers(1000)
            with self._recorder.conversation("burst"):
                for item in items:
                    self._call(item)
        return time.perf_counter() - started

    def produced(self) -> int:
        """Return how many calls were made."""
        return len(produced)

    def delivered(self) -> int:
        """Return how many calls have reached their place, where that is not the sink."""
        return int(self._recorder.delivered())

    def flush(self) -> float:
        """Return the seconds until everything is delivered."""
        started = time.perf_counter()
        self._recorder.flush()
        return time.perf_counter() - started


def main() -> None:
    recorder = importlib.import_module(f"peer_{sys.argv[1]}")
    recorder.start(sys.argv[2])
    driver = Driver(recorder)
    gc.collect()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        if command == "leave":
            print(json.dumps(driver.produced()), flush=True)
            return
        print(json.dumps(getattr(driver, command)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
