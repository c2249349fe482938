"""What recording costs the caller: `@track_action` against an undecorated call and against a bare wrapt wrapper.

All cases take turns in every round of one run, so that a busy machine slows all of them alike; the table shows medians
over the rounds. Everything is recorded into a real embedded store in a temporary home and delivered between the rounds.

Run:    python benchmarks/track_action.py [--rounds N]
Prints: microseconds per call, and ratios to a call through `wrapt.decorator`; at the end, whether all that was captured
        was delivered (exit code 1 if not).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import wrapt

from agentsight_auto import configure, conversation, flush, shutdown, track_action

_CALLS = 100
_TURNS = 5
_WARM_UP_ROUNDS = 3


def no_op(order_id: str) -> str:
    return order_id


@wrapt.decorator
def pass_through(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    return wrapped(*args, **kwargs)


class Proxy(wrapt.CallableObjectProxy):  # type: ignore[misc,no-any-unimported,type-arg,unused-ignore]
    """The least that a proxy with a call of its own does."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what is wrapped."""
        return self.__wrapped__(*args, **kwargs)


async def no_op_async(order_id: str) -> str:
    return order_id


wrapped_no_op = pass_through(no_op)
proxied_no_op = Proxy(no_op)
tracked_no_op = track_action("no_op")(no_op)
tracked_no_op_async = track_action("no_op_async")(no_op_async)


def time_calls(function: Callable[[str], Any]) -> float:
    """Return the microseconds of one call."""
    started_ns = time.perf_counter_ns()
    for _ in range(_CALLS):
        function("A-17")
    return (time.perf_counter_ns() - started_ns) / _CALLS / 1000


async def time_awaits(function: Callable[[str], Any]) -> float:
    """Return the microseconds of one awaited call."""
    started_ns = time.perf_counter_ns()
    for _ in range(_CALLS):
        await function("A-17")
    return (time.perf_counter_ns() - started_ns) / _CALLS / 1000


def time_tracked() -> float:
    with conversation("benchmark-sync"):
        return time_calls(tracked_no_op)


async def time_tracked_awaits() -> float:
    async with conversation("benchmark-async"):
        return await time_awaits(tracked_no_op_async)


def time_disabled() -> float:
    configure(disabled=True)
    try:
        return time_calls(tracked_no_op)
    finally:
        configure(disabled=False)


def time_turns() -> float:
    """Return the microseconds of a whole turn: from opening the block until its events are safe in the outbox."""
    started_ns = time.perf_counter_ns()
    for _ in range(_TURNS):
        with conversation("benchmark-turn", customer_id="customer-1", source="web") as chat:
            chat.track_human_message("Where is my order A-17?")
            for _ in range(3):
                tracked_no_op("A-17")
            chat.track_agent_message("On its way.")
            chat.track_token_usage(200, 20)
    return (time.perf_counter_ns() - started_ns) / _TURNS / 1000


_REFERENCE = "wrapt.decorator, passing through"


def measure(rounds: int) -> dict[str, list[float]]:
    """Run all cases in turn, `rounds` times."""
    with closing(asyncio.new_event_loop()) as loop:
        cases: dict[str, Callable[[], float]] = {
            "undecorated": lambda: time_calls(no_op),
            _REFERENCE: lambda: time_calls(wrapped_no_op),
            "wrapt.CallableObjectProxy": lambda: time_calls(proxied_no_op),
            "@track_action": time_tracked,
            "@track_action, disabled": time_disabled,
            "coroutine, undecorated": lambda: loop.run_until_complete(time_awaits(no_op_async)),
            "coroutine, @track_action": lambda: loop.run_until_complete(time_tracked_awaits()),
            "a whole turn": time_turns,
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(rounds + _WARM_UP_ROUNDS):
            for name, case in cases.items():
                taken_us = case()
                if number >= _WARM_UP_ROUNDS:
                    times[name].append(taken_us)
            flush()
    return times


def print_table(times: dict[str, list[float]]) -> None:
    reference_us = statistics.median(times[_REFERENCE])
    print(f"{'':<36}{'µs':>10}{'ratio':>9}")
    for name, taken in times.items():
        median_us = statistics.median(taken)
        print(f"{name:<36}{median_us:>10.2f}{median_us / reference_us:>9.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what @track_action costs the caller.")
    parser.add_argument("--rounds", type=int, default=60, help="rounds to take medians over (default: 60)")
    rounds = max(parser.parse_args().rounds, 1)
    with tempfile.TemporaryDirectory(prefix="agentsight-benchmark-") as home:
        configure(home=home, environment="development", disabled=False)
        print_table(measure(rounds))
        report = flush(60)
        shutdown()
    print(f"a turn: 1 block, 2 messages, 3 actions, 1 token usage; medians of {rounds} rounds of {_CALLS} calls")
    print(f"captured {report.captured:,}, delivered {report.delivered:,}")
    return 0 if report.captured == report.delivered else 1


if __name__ == "__main__":
    sys.exit(main())
