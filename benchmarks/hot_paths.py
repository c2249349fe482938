"""The hot paths, one after the other, for `instructions.py` to count: run under callgrind, which dumps at each mark.

Nothing else runs: the threads are started but do nothing, and nothing is delivered.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable
from typing import Any

import wrapt

from agentsight_auto import configure, conversation, track_action
from agentsight_auto.deliver.journal import Journal
from agentsight_auto.deliver.worker import Worker

REPEATS = {"bare": 400, "disabled": 400, "call": 160, "turn": 40}


def find_order(order_id: str) -> str:
    return order_id


@wrapt.decorator
def pass_through(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    return wrapped(*args, **kwargs)


bare = pass_through(find_order)
tracked = track_action(find_order)


def calls(function: Callable[[str], Any], count: int) -> None:
    for _ in range(count):
        function("A-17")


def turns(count: int) -> None:
    for _ in range(count):
        with conversation("guard", customer_id="customer-1", source="web") as chat:
            chat.track_human_message("Where is my order A-17?")
            for _ in range(3):
                tracked("A-17")
            chat.track_agent_message("On its way.")
            chat.track_token_usage(200, 20)


def mark() -> None:
    """Have callgrind write down what it has counted since the last mark: it is told of this function of libc."""
    os.sched_yield()


def run_each() -> None:
    calls(bare, 20)
    mark()
    calls(bare, REPEATS["bare"])
    mark()
    configure(disabled=True)
    calls(tracked, 20)
    mark()
    calls(tracked, REPEATS["disabled"])
    mark()
    configure(disabled=False)
    turns(5)
    with conversation("guard"):
        calls(tracked, 20)
        mark()
        calls(tracked, REPEATS["call"] // 2)
        mark()
    with conversation("guard"):
        calls(tracked, 20)
        mark()
        calls(tracked, REPEATS["call"] // 2)
        mark()
    turns(5)
    mark()
    turns(REPEATS["turn"])
    mark()


if __name__ == "__main__":
    Worker._run = Journal._run = lambda self: None  # type: ignore[method-assign]
    configure(home=tempfile.mkdtemp(), environment="development", journal_interval_ms=60_000)
    gc.disable()
    run_each()
    os._exit(0)
