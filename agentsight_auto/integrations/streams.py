"""Follow the streams of frameworks: their own code, which calls SDKs, runs while the call is current.

In: an iterator that the user opened and a call that has not begun. Out: the same items. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

from .._guard import guarded
from .._runtime import default
from ..capture.current import live_frame
from ..capture.frames import Frame
from .model_call import ModelCall
from .replies import Accumulator


def follow(source: Iterator[Any], call: ModelCall, seen: Accumulator) -> Generator[Any, Any, None]:
    """Yield what `source` yields; begin the call with the first item asked for, end it with the last."""
    with call.resumed():
        call.begin()
    try:
        while True:
            with call.resumed():
                try:
                    item = next(source)
                except StopIteration:
                    break
            _note(call, seen, item)
            yield item
    except GeneratorExit:
        _close(source)
        call.finish(seen.reply(), is_closed_early=True)
        raise
    except BaseException as error:
        call.finish(seen.reply(), error)
        raise
    call.finish(seen.reply())


async def follow_async(source: AsyncIterator[Any], call: ModelCall, seen: Accumulator) -> AsyncGenerator[Any, None]:
    """Do what `follow` does, for async iterators; the call may have begun with the request."""
    if not call.started_ns:
        with call.resumed():
            call.begin()
    try:
        while True:
            with call.resumed():
                try:
                    item = await source.__anext__()
                except StopAsyncIteration:
                    break
            _note(call, seen, item)
            yield item
    except GeneratorExit:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
        call.finish(seen.reply(), is_closed_early=True)
        raise
    except BaseException as error:
        call.finish(seen.reply(), error)
        raise
    call.finish(seen.reply())


@guarded
def _note(call: ModelCall, seen: Accumulator, item: Any) -> None:
    if seen.add(item):
        call.first_token()


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


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
    try:
        while True:
            before = current.get()
            current.set(frame)
            try:
                item = await source.__anext__()
            except StopAsyncIteration:
                break
            finally:
                current.set(before)
            yield item
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


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
