"""Drive the user's coroutine or generator, with a unit of recording entered around each stretch of it.

In: what the user's function returned, and a `Unit`. Out: a driver that behaves like it and bears its name.
Loses: nothing; where making the driver fails, the user's own object runs unrecorded.
"""

from __future__ import annotations

import sys
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from inspect import CO_COROUTINE, CO_VARARGS
from typing import Any, Protocol

from .._guard import failed, guarded
from .frames import Frame, Resumption


class Unit(Protocol):
    """One call's stretch of recording. None of its methods raises."""

    @property
    def frame(self) -> Frame:
        """What is current while the user's code runs."""

    def begin(self) -> None:
        """Start: the user's code runs now. Makes the frame current."""

    def finish(self, result: object, error: BaseException | None) -> None:
        """End with a result or an error. Wins back what was current before."""

    def add_item(self, item: object) -> None:
        """Take an item that a generator yields."""

    def close_early(self) -> None:
        """End because the consumer of a generator stopped."""


class Opener(Protocol):
    """Opens a unit for a call, or returns None where nothing is to be recorded. Does not raise."""

    skips_first: bool
    """Whether the first positional argument is the instance or class of a method."""

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Unit | None:
        """Return the unit of one call, which begins later."""

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Unit | None:
        """Return the unit of one call, begun."""


_NEVER = (1, 0)
"""From one argument to none."""


class _Unstarted:
    """Holds a coroutine until it is started; one that never is, is closed, so that Python warns once and not twice."""

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine: Coroutine[Any, Any, Any] | None = coroutine

    def __del__(self) -> None:
        if self.coroutine is not None:
            self.coroutine.close()


def driver_for(function: Callable[..., Any]) -> tuple[Callable[..., Coroutine[Any, Any, Any]], int, int]:
    """Return what drives a call of an ``async def`` function, and of how few to how many positional arguments.

    So many and no others the function takes for sure: its coroutine need not be made before it is awaited, to raise
    what Python raises at the call. The driver bears the function's name, for warnings and task names.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(function, types.FunctionType) or code is None or not code.co_flags & CO_COROUTINE:
        return _drive_call, *_NEVER
    drive = types.FunctionType(_drive_call.__code__, globals(), function.__name__)
    drive.__qualname__ = function.__qualname__
    if code.co_kwonlyargcount > len(function.__kwdefaults__ or ()):
        return drive, *_NEVER
    most = sys.maxsize if code.co_flags & CO_VARARGS else code.co_argcount
    return drive, code.co_argcount - len(function.__defaults__ or ()), most


async def _drive_call(
    opener: Opener, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    unit = opener.start(args, kwargs)
    if unit is None:
        return await function(*args)
    try:
        result = await function(*args)
    except BaseException as error:
        unit.finish(None, error)
        raise
    unit.finish(result, None)
    return result


def driver_of_coroutine(
    coroutine: Coroutine[Any, Any, Any], opener: Opener, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    """Return what drives a coroutine, under its name; where we fail, the coroutine itself."""
    unstarted: _Unstarted | None = None
    try:
        unstarted = _Unstarted(coroutine)
        driver = _drive_coroutine(unstarted, opener, args, kwargs)
        if type(coroutine) is types.CoroutineType:  # what `_rename` does, in a third of the time
            driver.__name__, driver.__qualname__ = coroutine.__name__, coroutine.__qualname__  # type: ignore[attr-defined]
        else:
            _rename(driver, coroutine)
    except Exception as failure:  # noqa: BLE001 - as `guarded` does
        if unstarted is not None:
            unstarted.coroutine = None
        failed("driver of a coroutine", failure)
        return coroutine
    return driver


async def _drive_coroutine(unstarted: _Unstarted, opener: Opener, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    coroutine, unstarted.coroutine = unstarted.coroutine, None
    assert coroutine is not None
    unit = opener.start(args, kwargs)
    if unit is None:
        return await coroutine
    try:
        result = await coroutine
    except BaseException as error:
        unit.finish(None, error)
        raise
    unit.finish(result, None)
    return result


def driver_of(drive: Callable[[Any, Unit, Resumption], Any], generator: Any, unit: Unit) -> Any:
    """Return what drives a generator of any kind, under its name; where we fail, the generator itself."""
    try:
        driver = drive(generator, unit, Resumption(unit.frame))
        _rename(driver, generator)
    except Exception as failure:  # noqa: BLE001 - as `guarded` does
        failed("driver of a generator", failure)
        return generator
    return driver


def drive_generator(
    generator: Generator[Any, Any, Any], unit: Unit, resumption: Resumption
) -> Generator[Any, Any, Any]:
    """Send to, throw into and close the user's generator as is done to this one."""
    sent: Any = None
    thrown: BaseException | None = None
    with resumption:
        unit.begin()
    while True:
        try:
            with resumption:
                item = generator.send(sent) if thrown is None else generator.throw(thrown)
        except StopIteration as stop:
            unit.finish(stop.value, None)
            return stop.value
        except BaseException as error:
            _finish_with(unit, error, is_closing=thrown is error)
            raise
        finally:
            thrown = None
        unit.add_item(item)
        try:
            sent = yield item
        except BaseException as error:  # noqa: BLE001 - thrown into the user's generator at once
            thrown = error


@types.coroutine
def drive_awaitable_generator(
    generator: Generator[Any, Any, Any], unit: Unit, resumption: Resumption
) -> Generator[Any, Any, Any]:
    """Do what `drive_generator` does for what `types.coroutine` has made."""
    return (yield from drive_generator(generator, unit, resumption))


async def drive_async_generator(
    generator: AsyncGenerator[Any, Any], unit: Unit, resumption: Resumption
) -> AsyncGenerator[Any, Any]:
    """Send to, throw into and close the user's async generator as is done to this one."""
    sent: Any = None
    thrown: BaseException | None = None
    with resumption:
        unit.begin()
    step = first_step(generator)
    while True:
        try:
            with resumption:
                item = await step
        except StopAsyncIteration:
            unit.finish(None, None)
            return
        except BaseException as error:
            _finish_with(unit, error, is_closing=thrown is error)
            raise
        finally:
            thrown = None
        unit.add_item(item)
        try:
            sent = yield item
        except BaseException as error:  # noqa: BLE001 - thrown into the user's generator at once
            thrown = error
        step = generator.asend(sent) if thrown is None else generator.athrow(thrown)


@guarded
def _finish_with(unit: Unit, error: BaseException, *, is_closing: bool) -> None:
    if is_closing and isinstance(error, GeneratorExit):
        unit.close_early()
    else:
        unit.finish(None, error)


def first_step(iterator: AsyncIterator[Any]) -> Any:
    """Start an async generator without the event loop's hooks: the driver around it is the one the loop closes."""
    try:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return iterator.__anext__()
        finally:
            sys.set_asyncgen_hooks(*hooks)
    except Exception as failure:  # noqa: BLE001 - as `guarded` does
        failed("first step", failure)
        return iterator.__anext__()


@guarded
def _rename(driver: Any, driven: object) -> None:
    """Give the driver the names of what it drives, for warnings and task names."""
    driver.__name__ = getattr(driven, "__name__", driver.__name__)
    driver.__qualname__ = getattr(driven, "__qualname__", driver.__qualname__)
