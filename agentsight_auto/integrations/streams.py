"""Follow the streams of frameworks: their own code, which calls SDKs, runs while the call is current.

In: an iterator that the user opened and a call that has not begun. Out: the same items. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, NamedTuple

from .._guard import guarded
from .._runtime import default
from ..capture.current import live_frame
from ..capture.driving import first_step
from ..capture.frames import Frame
from .around import Start
from .model_call import ModelCall
from .patches import Wrapper
from .replies import Accumulator


class Pending(NamedTuple):
    """A call whose reply the program has still to read; it is told when that is done, given up or dropped."""

    call: ModelCall
    seen: Accumulator

    @guarded
    def add(self, item: Any) -> None:
        """Take one item on its way to the program."""
        if self.seen.add(item):
            self.call.first_token()

    @guarded
    def end(self, error: BaseException | None = None, *, is_closed_early: bool = False) -> None:
        """End the call with what has been seen; only the first end counts."""
        if not self.call.is_finished:
            self.call.finish(self.seen.reply(), error, is_closed_early=is_closed_early)

    def abandon(self) -> None:
        """End the call where nobody reads on."""
        self.end(is_closed_early=True)


def opening(start: Start[ModelCall], accumulate: Callable[[], Accumulator]) -> Wrapper:
    """Return the wrapper of a function that opens a stream; what it does at once is part of the call, if that began."""

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        call = start(instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            source = wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        call.suspend()
        is_async = hasattr(source, "__anext__")
        return (
            follow_async(source, Pending(call, accumulate()))
            if is_async
            else follow(source, Pending(call, accumulate()))
        )

    return wrapper


def opening_async(start: Start[ModelCall], accumulate: Callable[[], Accumulator]) -> Wrapper:
    """Return the wrapper of a coroutine function that opens an async stream."""

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        call = start(instance, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            source = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        call.suspend()
        return follow_async(source, Pending(call, accumulate()))

    return wrapper


def follow(source: Iterator[Any], pending: Pending) -> Generator[Any, Any, None]:
    """Yield what `source` yields; a call that has not begun begins with the first item asked for."""
    call = pending.call
    if not call.started_ns:
        with call.resumed():
            call.begin()
    try:
        while True:
            with call.resumed():
                try:
                    item = next(source)
                except StopIteration:
                    break
            pending.add(item)
            yield item
    except GeneratorExit:
        try:
            _close(source)
        finally:
            pending.abandon()
        raise
    except BaseException as error:
        pending.end(error)
        raise
    pending.end()


async def follow_async(source: AsyncIterator[Any], pending: Pending) -> AsyncGenerator[Any, None]:
    """Do what `follow` does, for async iterators."""
    call = pending.call
    if not call.started_ns:
        with call.resumed():
            call.begin()
    is_begun = False
    try:
        while True:
            with call.resumed():
                try:
                    item = await (source.__anext__() if is_begun else first_step(source))
                except StopAsyncIteration:
                    break
            is_begun = True
            pending.add(item)
            yield item
    except GeneratorExit:
        try:
            await _aclose(source)
        finally:
            pending.abandon()
        raise
    except BaseException as error:
        pending.end(error)
        raise
    pending.end()


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


async def _aclose(source: Any) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


def carry(source: Iterator[Any], frame: Frame) -> Generator[Any, Any, None]:
    """Yield what `source` yields; whatever runs in it runs where the stream was opened, in `frame`."""
    current = frame.conversation.runtime.current
    try:
        while True:
            before = current.get()
            current.set(frame)
            try:
                item = next(source)
            except StopIteration:
                break
            finally:
                current.set(before)
            yield item
    finally:
        _close(source)


async def carry_async(source: AsyncIterator[Any], frame: Frame) -> AsyncGenerator[Any, None]:
    """Do what `carry` does, for async iterators."""
    current = frame.conversation.runtime.current
    is_begun = False
    try:
        while True:
            before = current.get()
            current.set(frame)
            try:
                item = await (source.__anext__() if is_begun else first_step(source))
                is_begun = True
            except StopAsyncIteration:
                break
            finally:
                current.set(before)
            yield item
    finally:
        await _aclose(source)


def carry_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Patch a method that returns a generator, so that it runs where it was made."""
    del instance
    frame = live_frame(default())
    source = wrapped(*args, **kwargs)
    return source if frame is None else carry(source, frame)


def carry_async_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Patch a method that returns an async generator, so that it runs where it was made."""
    del instance
    frame = live_frame(default())
    source = wrapped(*args, **kwargs)
    return source if frame is None else carry_async(source, frame)
