from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from agentsight_auto import conversation, current_conversation, events, track_action
from agentsight_auto.testing import Recording


def current_id() -> str | None:
    current = current_conversation()
    return current and current.conversation_id


def test_a_decorated_generator_under_contextmanager_stays_transparent(recorded: Recording) -> None:
    """It handles the body's exception as undecorated, and is not current in the body."""
    handled = []

    @contextmanager
    @track_action
    def resource():
        try:
            yield "handle"
        except KeyError as error:
            handled.append(error)

    with conversation("c"):
        with resource() as handle:
            assert handle == "handle"
            error = KeyError("body")
            raise error
        assert handled == [error]
    assert recorded.action_names() == ["resource"]


async def test_a_decorated_async_generator_under_asynccontextmanager_stays_transparent(recorded: Recording) -> None:
    """The same for asynccontextmanager; an exception that it does not handle goes through unchanged."""

    @asynccontextmanager
    @track_action
    async def resource():
        await asyncio.sleep(0)
        yield "handle"

    error = LookupError("body")
    async with conversation("c"):
        async with resource() as handle:
            assert handle == "handle"
        with pytest.raises(LookupError) as caught:
            async with resource():
                raise error
    assert caught.value is error
    assert [action.error_msg for action in recorded.of(events.Action)] == [None, "LookupError: body"]


def test_a_block_inside_an_undecorated_context_manager_is_current_in_the_body(recorded: Recording) -> None:
    """The documented form for framework dependencies."""

    @contextmanager
    def dependency():
        with conversation("request") as chat:
            yield chat

    with dependency():
        assert current_id() == "request"
    assert current_id() is None


async def test_timeouts_and_task_groups_work_inside_decorated_async_generators(recorded: Recording) -> None:
    """Cancel scopes are entered and left in the same task, as undecorated."""

    @track_action
    async def stream():
        async with anyio.create_task_group() as group:
            group.start_soon(asyncio.sleep, 0)
            with anyio.move_on_after(5):
                yield 1
            yield 2

    async with conversation("c"):
        assert [item async for item in stream()] == [1, 2]
    assert recorded.of(events.Action)[0].error_msg is None


async def test_aclose_from_another_task_runs_the_cleanup(recorded: Recording) -> None:
    """The stream may be closed by another task, in another conversation, without harm."""
    cleaned = []

    @track_action
    async def stream():
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(current_id())

    async def close() -> str | None:
        with conversation("closer"):
            await opened.aclose()
            return current_id()

    with conversation("opener"):
        opened = stream()
        assert await opened.__anext__() == 1
    assert await asyncio.create_task(close()) == "closer"
    assert cleaned == ["opener"]
    assert recorded.of(events.Action)[0].conversation_id == "opener"


async def test_an_abandoned_async_generator_is_cleaned_up_once(recorded: Recording) -> None:
    """The loop closes what was dropped half-way; nothing is printed or raised (warnings are errors here)."""
    cleaned = []

    @track_action
    async def stream():
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(True)

    with conversation("c"):
        opened = stream()
        await opened.__anext__()
        del opened
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert cleaned == [True]


def test_async_generators_left_open_at_the_end_of_a_loop_are_closed_once(recorded: Recording) -> None:
    """`shutdown_asyncgens` closes the driver and, through it, the user's generator."""
    cleaned = []
    kept = []

    @track_action
    async def stream():
        try:
            yield 1
        finally:
            cleaned.append(True)

    async def main() -> None:
        opened = stream()
        kept.append(opened)
        await opened.__anext__()

    asyncio.run(main())
    assert cleaned == [True]


def test_an_abandoned_generator_records_its_action(recorded: Recording) -> None:
    """Garbage collection closes it, which ends the action early."""

    @track_action
    def stream():
        yield 1
        yield 2

    with conversation("c"):
        opened = stream()
        next(opened)
        del opened
        gc.collect()
    assert recorded.of(events.Action)[0].metadata == {"is_closed_early": True}


def test_both_decorators_stack_in_either_order(recorded: Recording) -> None:
    """The action is inside the conversation where conversation is above, and outside any where it is below."""

    @conversation("above")
    @track_action("first")
    def one() -> int:
        return 1

    @track_action("second")
    @conversation("below")
    def two() -> str | None:
        return current_id()

    assert one() == 1
    with conversation("outer"):
        assert two() == "below"
    places = {action.action_name: action.conversation_id for action in recorded.of(events.Action)}
    assert places == {"first": "above", "second": "outer"}


async def test_leaving_with_durability_disk_does_not_block_the_loop(tmp_path: object) -> None:
    """Under ``async with`` what waits for the disk or for delivery waits in a thread."""
    import threading

    from agentsight_auto import _runtime

    runtime = _runtime.Runtime(home=str(tmp_path), durability="disk")
    settled_on = []
    commit = runtime.pipeline.commit

    def note_thread() -> None:
        settled_on.append(threading.current_thread())
        commit()

    runtime.pipeline.commit = note_thread  # type: ignore[method-assign]
    with _runtime.used_as_default(runtime):
        async with conversation("c") as chat:
            chat.track_human_message("x")
    assert settled_on != [threading.main_thread()]
    assert len(settled_on) == 1
    runtime.shutdown(5)
