"""`instrument("threads")`: threads, pools, executors and loops carry the conversation; undone, all is as it was."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import itertools
import logging
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import wrapt

from agentsight_auto import conversation, current_conversation, instrument, propagate, track_action, uninstrument
from agentsight_auto.testing import Recording


@pytest.fixture
def carrying() -> Iterator[None]:
    """Threads carry the conversation during the test."""
    instrument("threads")
    yield
    uninstrument("threads")


@track_action
def look_up(text: str) -> str | None:
    scope = current_conversation()
    return None if scope is None else scope.conversation_id


def in_thread(function: Any, *args: Any) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results[0]


def in_subclass(function: Any, *args: Any) -> Any:
    class Worker(threading.Thread):
        result: Any = None

        def run(self) -> None:
            self.result = function(*args)

    worker = Worker()
    worker.start()
    worker.join()
    assert "run" not in vars(worker)
    return worker.result


def in_timer(function: Any, *args: Any) -> Any:
    results: list[Any] = []
    timer = threading.Timer(0.001, lambda: results.append(function(*args)))
    timer.start()
    timer.join()
    return results[0]


def in_submit(function: Any, *args: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


def in_map(function: Any, *args: Any) -> Any:
    with ThreadPoolExecutor(2) as pool:
        return next(iter(pool.map(function, *([arg] for arg in args))))


def in_executor(function: Any, *args: Any) -> Any:
    async def main() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    return asyncio.run(main())


def in_to_thread(function: Any, *args: Any) -> Any:
    async def main() -> Any:
        return await asyncio.to_thread(function, *args)

    return asyncio.run(main())


def on_another_loop(function: Any, *args: Any) -> Any:
    loop = asyncio.new_event_loop()
    plain = functools.partial(loop.run_forever)
    thread = threading.Thread(target=plain)
    before = current_conversation()
    assert before is not None
    with before_nothing():
        thread.start()

    async def main() -> Any:
        return function(*args)

    try:
        return asyncio.run_coroutine_threadsafe(main(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class before_nothing:
    """Nothing is current in the block, as where a program starts its loop before any conversation."""

    def __enter__(self) -> None:
        from agentsight_auto import _runtime

        self.variable = _runtime.default().current
        self.frame = self.variable.get()
        self.variable.set(None)

    def __exit__(self, *_: object) -> None:
        self.variable.set(self.frame)


WAYS = [in_thread, in_subclass, in_timer, in_submit, in_map, in_executor, in_to_thread, on_another_loop]


@pytest.mark.parametrize("way", WAYS)
def test_work_belongs_to_the_conversation_that_handed_it_over(way: Any, carrying: None, recorded: Recording) -> None:
    """The conversation, and the action as the parent."""

    @track_action
    def outer() -> Any:
        return way(look_up, "x")

    with conversation("c"):
        assert outer() == "c"
    assert recorded.conversation_ids == ["c"]
    actions = {action["action_name"]: action for action in recorded.actions("c")}
    assert actions["look_up"]["parent_id"] == actions["outer"]["id"]
    assert current_conversation() is None


@pytest.mark.parametrize("way", [in_thread, in_subclass, in_timer, in_submit, in_map, in_executor])
def test_without_it_a_bare_thread_warns_once_and_says_the_cure(
    way: Any, recorded: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """What is tracked there goes to an implicit conversation."""
    with caplog.at_level(logging.WARNING, "agentsight_auto"), conversation("c"):
        for _ in range(3):
            assert way(look_up, "x") != "c"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "instrument('threads')" in told[0]


def test_the_threads_of_a_pool_belong_to_no_conversation(carrying: None, recorded: Recording) -> None:
    """A pool that was started inside one serves the next conversation, and none, as well."""
    with ThreadPoolExecutor(1) as pool:
        with conversation("a"):
            assert pool.submit(look_up, "x").result() == "a"
        with conversation("b"):
            assert pool.submit(look_up, "x").result() == "b"
        assert pool.submit(current_conversation).result() is None


def test_eight_conversations_share_a_pool(carrying: None, recorded: Recording) -> None:
    """Under contention each piece of work goes where it belongs."""
    with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(8) as askers:

        def ask(number: int) -> None:
            with conversation(f"c-{number}"):
                assert list(pool.map(look_up, "abcdef")) == [f"c-{number}"] * 6

        list(askers.map(ask, range(8)))
    for number in range(8):
        assert len(recorded.actions(f"c-{number}")) == 6


def test_results_exceptions_and_misuse_are_as_ever(carrying: None, recorded: Recording) -> None:
    """The same exception object; a thread that cannot start leaves nothing behind."""
    error = ValueError("of the work")

    def fail() -> None:
        raise error

    with conversation("c"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(fail).exception() is error
        with pytest.raises(TypeError):
            pool.submit()
        thread = threading.Thread(target=int)
        thread.start()
        with pytest.raises(RuntimeError):
            thread.start()
        thread.join()
        assert "run" not in vars(thread)
        assert pool.submit(propagate(look_up), "x").result() == "c"
    with pytest.raises(RuntimeError), conversation("c"):
        pool.submit(look_up, "after the end")


def test_a_finished_thread_holds_on_to_nothing(carrying: None, recorded: Recording) -> None:
    """The scope is free once block and thread are done."""
    with conversation("c") as chat:
        gone = weakref.ref(chat.frame) if hasattr(chat.frame, "__weakref__") else None
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    del chat
    gc.collect()
    assert gone is None or gone() is None
    assert "run" not in vars(thread)


PLACES = [(threading.Thread, "start"), (concurrent.futures.thread.ThreadPoolExecutor, "submit")]


def test_uninstrument_restores_the_very_functions(recorded: Recording) -> None:
    """What was there is there again, as the same objects."""
    before = [vars(owner)[name] for owner, name in PLACES]
    instrument("threads")
    assert all(vars(owner)[name] is not one for (owner, name), one in zip(PLACES, before, strict=True))
    uninstrument("threads")
    assert [vars(owner)[name] for owner, name in PLACES] == before
    with conversation("c"):
        assert in_submit(look_up, "x") != "c"


@pytest.mark.parametrize("order", list(itertools.permutations(["ours", "theirs"])))
def test_another_wrapper_on_top_can_go_in_any_order(order: tuple[str, ...], recorded: Recording) -> None:
    """Somebody else's wrapt wrapper keeps working while it is there, and goes cleanly, whoever goes first."""
    before = [vars(owner)[name] for owner, name in PLACES]
    calls: list[str] = []

    def counting(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        calls.append("theirs")
        return wrapped(*args, **kwargs)

    instrument("threads")
    theirs = wrapt.wrap_object(ThreadPoolExecutor, "submit", wrapt.FunctionWrapper, (counting,))
    for who in order:
        if who == "ours":
            uninstrument("threads")
        else:
            wrapt.unwrap_object(ThreadPoolExecutor, "submit", theirs)
        with conversation("c"):
            in_submit(look_up, "x")
    assert [vars(owner)[name] for owner, name in PLACES] == before


def test_a_plain_function_on_top_makes_ours_a_pass_through(recorded: Recording) -> None:
    """Where somebody wrapped without wrapt, our layer stays and does nothing."""
    before = vars(ThreadPoolExecutor)["submit"]
    instrument("threads")
    ours = vars(ThreadPoolExecutor)["submit"]
    ThreadPoolExecutor.submit = lambda self, *args, **kwargs: ours.__get__(self)(*args, **kwargs)  # type: ignore[assignment,method-assign]
    try:
        with conversation("c"):
            assert in_submit(look_up, "x") == "c"
        uninstrument("threads")
        with conversation("c"):
            assert in_submit(look_up, "x") != "c"
    finally:
        ThreadPoolExecutor.submit = before  # type: ignore[method-assign]
