"""Does a decorator keep the function what it was? Twelve kinds of function, nine checks; knows no library.

Each kind is made twice, bare and decorated, and both must behave alike. `python -m tests.faults.transparency NAME`
prints what a library's decorator passes, as JSON: the benchmark runs it where that library is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import json
import logging
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

Decorate = Callable[[Any], Any]

seen_outside: contextvars.ContextVar[str] = contextvars.ContextVar("seen_outside", default="unset")
trace: list[Any] = []
ran_in: list[Any] = []


SLEEP = object()


class Escape(BaseException):
    pass


def _enter(value: Any) -> None:
    trace.append("started")
    ran_in[:] = [threading.get_ident(), _task()]
    seen_outside.set("inside")


def _task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def function(value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
    """Have a docstring."""
    _enter(value)
    try:
        if error is not None:
            raise error
        return value
    finally:
        trace.append("finally")


async def coroutine(value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
    """Have a docstring."""
    _enter(value)
    try:
        await asyncio.sleep(10 if value is SLEEP else 0)
        if error is not None:
            raise error
        return value
    finally:
        trace.append("finally")


def generator(value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
    """Have a docstring."""
    _enter(value)
    try:
        try:
            got = yield value
        except KeyError as thrown:
            got = thrown
        trace.append(got)
        if error is not None:
            raise error
        yield got
        return value
    finally:
        trace.append("finally")


async def async_generator(value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
    """Have a docstring."""
    _enter(value)
    try:
        async with asyncio.timeout(10) if sys.version_info >= (3, 11) else contextlib.nullcontext():
            try:
                got = yield value
            except KeyError as thrown:
                got = thrown
        trace.append(got)
        if error is not None:
            raise error
        yield got
    finally:
        trace.append("finally")


class Target:
    """What a kind offers to the checks: the thing to inspect, how to call it, and its shape."""

    def __init__(self, shape: str, thing: Any, call: Callable[..., Any] | None = None) -> None:
        self.shape = shape
        self.thing = thing
        self.call = call or thing


def _wrapped(inner: Any) -> Any:
    @functools.wraps(inner)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    return wrapper


class _Object:
    def __call__(self, value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
        """Have a docstring."""
        return function(value, error)


def _in_class(make: Callable[[Any], Any]) -> Any:
    def method(self: Any, value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
        """Have a docstring."""
        return function(value, error)

    return type("Holder", (), {"method": make(method)})


def _static(decorate: Decorate, *, above: bool) -> Any:
    made = decorate(staticmethod(function)) if above else staticmethod(decorate(function))
    return type("Holder", (), {"method": made})().method


def _property(decorate: Decorate) -> Target:
    def value(self: Any) -> Any:
        """Have a docstring."""
        return function(self.kept, self.error)

    holder = type("Holder", (), {"kept": None, "error": None, "value": property(decorate(value))})

    def read(kept: Any, error: Any = None, **more: Any) -> Any:
        instance: Any = holder()
        instance.kept, instance.error = kept, error
        return instance.value

    return Target("function", holder.__dict__["value"].fget, read)


def _managed(decorate: Decorate) -> Target:
    def once(value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
        """Have a docstring."""
        _enter(value)
        try:
            yield value
            if error is not None:
                raise error
        except KeyError as thrown:
            trace.append(thrown)
        finally:
            trace.append("finally")

    made = decorate(once)
    return Target("manager", made, contextlib.contextmanager(made))


def _managed_async(decorate: Decorate) -> Target:
    async def once(value: Any, error: Any = None, *, name: str = "", func: Any = None, **more: Any) -> Any:
        """Have a docstring."""
        _enter(value)
        try:
            yield value
            if error is not None:
                raise error
        except KeyError as thrown:
            trace.append(thrown)
        finally:
            trace.append("finally")

    made = decorate(once)
    return Target("async manager", made, contextlib.asynccontextmanager(made))


KINDS: dict[str, list[Callable[[Decorate], Target]]] = {
    "function": [lambda d: Target("function", d(function))],
    "coroutine": [lambda d: Target("coroutine", d(coroutine))],
    "generator": [lambda d: Target("generator", d(generator))],
    "async generator": [lambda d: Target("async generator", d(async_generator))],
    "contextmanager": [_managed],
    "asynccontextmanager": [_managed_async],
    "classmethod": [
        lambda d: Target("function", _in_class(lambda m: classmethod(d(m))).method),
        lambda d: Target("function", _in_class(lambda m: d(classmethod(m)))().method),
    ],
    "staticmethod": [
        lambda d: Target("function", _static(d, above=False)),
        lambda d: Target("function", _static(d, above=True)),
    ],
    "property": [_property],
    "partial": [lambda d: Target("function", d(functools.partial(function, more=1)))],
    "callable object": [lambda d: Target("function", d(_Object()))],
    "already wrapped": [lambda d: Target("function", d(_wrapped(function)))],
}


async def outcome(target: Target, *args: Any, **kwargs: Any) -> Any:
    """Call and drive to the end; return what came out of it first."""
    made = target.call(*args, **kwargs)
    if target.shape == "coroutine":
        return await made
    if target.shape == "generator":
        return next(iter(list(made)))
    if target.shape == "async generator":
        return next(iter([item async for item in made]))
    if target.shape == "manager":
        with made as value:
            return value
    if target.shape == "async manager":
        async with made as value:
            return value
    return made


def _predicates(thing: Any) -> list[bool]:
    questions = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return [*(bool(question(thing)) for question in questions), callable(thing)]


async def check_kind(bare: Target, ours: Target) -> bool:
    """`inspect` tells the same."""
    return _predicates(bare.thing) == _predicates(ours.thing)


async def check_signature(bare: Target, ours: Target) -> bool:
    """The same parameters and defaults."""
    return inspect.signature(bare.thing) == inspect.signature(ours.thing)


async def check_name(bare: Target, ours: Target) -> bool:
    """Name, docstring, module and annotations; at the top level of a module it pickles by name."""
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__")
    if any(getattr(bare.thing, name, None) != getattr(ours.thing, name, None) for name in names):
        return False
    if bare.thing not in (function, coroutine, generator, async_generator):
        return True
    module, name = sys.modules[bare.thing.__module__], bare.thing.__name__
    try:
        setattr(module, name, ours.thing)
        return hasattr(ours.thing, "__wrapped__") and pickle.loads(pickle.dumps(ours.thing)) is ours.thing
    finally:
        setattr(module, name, bare.thing)


async def check_result(bare: Target, ours: Target) -> bool:
    """The very same object comes out."""
    value = object()
    return await outcome(ours, value) is value


async def check_exception(bare: Target, ours: Target) -> bool:
    """The very same exception, also one that is no Exception, with nothing attached to it."""
    for error in (ValueError("of the user"), Escape("of the user")):
        try:
            await outcome(ours, 1, error)
        except (ValueError, Escape) as caught:
            if caught is not error or caught.__context__ is not None or caught.__cause__ is not None:
                return False
        else:
            return False
    return True


async def check_laziness(bare: Target, ours: Target) -> bool:
    """The body begins when it would have begun."""
    begun = []
    for target in (bare, ours):
        trace.clear()
        made = target.call(1)
        begun.append(list(trace))
        if target.shape == "coroutine":
            made.close()
        if target.shape == "generator":
            made.close()
        if target.shape == "async generator":
            await made.aclose()
    return begun[0] == begun[1]


async def check_control(bare: Target, ours: Target) -> bool:
    """Send, throw, close, break, cancel, garbage collection: the user's code sees them, its finally runs at once."""
    checks = {
        "coroutine": _control_coroutine,
        "generator": _control_generator,
        "async generator": _control_async_generator,
        "manager": _control_manager,
        "async manager": _control_async_manager,
    }
    trace.clear()
    check = checks.get(ours.shape)
    if check is not None:
        return bool(await check(ours))
    return await outcome(ours, 1) == 1 and trace == ["started", "finally"]


async def _control_coroutine(ours: Target) -> bool:
    task = asyncio.ensure_future(ours.call(SLEEP))
    await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return task.cancelled() and trace == ["started", "finally"]


async def _control_generator(ours: Target) -> bool:
    def delegate() -> Any:
        returned.append((yield from ours.call("value")))

    returned: list[Any] = []
    sent, thrown = object(), KeyError("thrown")
    made = ours.call(1)
    is_right = next(made) == 1 and made.send(sent) is sent
    made.close()
    is_right &= trace[-1] == "finally"
    made = ours.call(1)
    next(made)
    is_right &= made.throw(thrown) is thrown
    trace.clear()
    for _ in ours.call(1):
        break
    is_right &= trace[-1:] == ["finally"]
    list(delegate())
    return is_right and returned == ["value"]


async def _control_async_generator(ours: Target) -> bool:
    sent, thrown = object(), KeyError("thrown")
    made = ours.call(1)
    is_right = await anext(made) == 1 and await made.asend(sent) is sent
    await made.aclose()
    is_right &= trace[-1] == "finally"
    made = ours.call(1)
    await anext(made)
    is_right &= await made.athrow(thrown) is thrown
    await asyncio.get_running_loop().create_task(made.aclose())
    is_right &= trace[-1] == "finally"
    trace.clear()
    made = ours.call(1)
    async for _ in made:
        break
    del made
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    return is_right and trace[-1:] == ["finally"]


async def _control_manager(ours: Target) -> bool:
    error = KeyError("in the body")
    with ours.call(1):
        raise error
    return trace == ["started", error, "finally"]


async def _control_async_manager(ours: Target) -> bool:
    error = KeyError("in the body")
    async with ours.call(1):
        raise error
    return trace == ["started", error, "finally"]


async def check_context(bare: Target, ours: Target) -> bool:
    """It runs in the caller's thread and task, and a context variable that it sets is set outside."""
    found = []
    for target in (bare, ours):
        seen_outside.set("before")
        ran_in.clear()
        await outcome(target, 1)
        found.append([seen_outside.get(), *ran_in])
    return found[0] == found[1]


class Hostile:
    """Raises whenever it is looked at."""

    def __repr__(self) -> str:
        trace.append("looked at")
        raise RuntimeError("repr")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        trace.append("looked at")
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        trace.append("looked at")
        raise RuntimeError("hash")


async def check_arguments(bare: Target, ours: Target) -> bool:
    """Any keyword name is the user's, and an argument that raises when looked at does no harm and is not looked at."""
    hostile = Hostile()
    trace.clear()
    taken = await outcome(ours, hostile, name="mine", func=hostile, args=1, kwargs=2, wrapped=3, instance=4, span=5)
    return taken is hostile and "looked at" not in trace


CHECKS = {
    "kind": check_kind,
    "signature": check_signature,
    "name": check_name,
    "result": check_result,
    "exception": check_exception,
    "laziness": check_laziness,
    "control": check_control,
    "context": check_context,
    "arguments": check_arguments,
}


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def judge(decorate: Decorate) -> dict[str, dict[str, str]]:
    """Return kind -> check -> an empty text where it passes, else why it does not."""
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    unraisable: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda given: unraisable.append(str(given.exc_value))
    try:
        return {
            kind: {name: _attempt(check, makes, decorate, listener, unraisable) for name, check in CHECKS.items()}
            for kind, makes in KINDS.items()
        }
    finally:
        sys.unraisablehook = before
        logging.getLogger().removeHandler(listener)


def _attempt(check: Any, makes: Any, decorate: Decorate, listener: _Listener, unraisable: list[str]) -> str:
    async def once(make: Any) -> str:
        try:
            return "" if await check(make(lambda found: found), make(decorate)) else "differs"
        except Exception as error:  # noqa: BLE001 - that is the finding
            return f"{type(error).__name__}: {error!s:.80}"

    listener.lines.clear()
    unraisable.clear()
    for make in makes:
        reason = asyncio.run(asyncio.wait_for(once(make), 15))
        if reason:
            return reason
    about = [line for line in [*listener.lines, *unraisable] if "ontext" in line]
    return about[0][:80] if about else ""


def decorator_of(library: str) -> Decorate:
    """Return the decorator of one library, recording for real, to nowhere."""
    if library == "agentsight-auto":
        from agentsight_auto import track_action

        return track_action
    if library == "opentelemetry-sdk":
        from opentelemetry import trace as otel
        from opentelemetry.sdk.trace import TracerProvider

        otel.set_tracer_provider(TracerProvider())
        return lambda found: otel.get_tracer("t").start_as_current_span("span")(found)
    if library == "sentry-sdk":
        import sentry_sdk

        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0)
        return sentry_sdk.trace
    if library == "ddtrace":
        from ddtrace.trace import tracer

        return tracer.wrap()
    if library == "langfuse":
        from langfuse import observe

        return observe()
    if library == "langsmith":
        from langsmith import traceable

        return traceable
    if library == "logfire":
        import logfire

        logfire.configure(send_to_logfire=False, console=False)
        return logfire.instrument()
    raise ValueError(library)


if __name__ == "__main__":
    import importlib.metadata
    import os

    found = judge(decorator_of(sys.argv[1]))
    print(json.dumps({"version": importlib.metadata.version(sys.argv[1]), "found": found}), flush=True)
    os._exit(0)
