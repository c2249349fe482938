"""Wrap any kind of callable so that it stays what it was: function, coroutine, generator, async generator.

In: the user's callable and an `Opener`. Out: a wrapt proxy of it, which opens a unit of recording around each call.
Loses: nothing; where opening fails the call goes through unrecorded. A generator's unit is entered around each
resumption and never held across a ``yield``.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from copy import copy
from types import CoroutineType, FunctionType, MethodType
from typing import Any

import wrapt

from .._guard import failed
from ..exceptions import AgentSightException
from .driving import (
    Opener,
    drive_async_generator,
    drive_awaitable_generator,
    drive_generator,
    driver_for,
    driver_of,
    driver_of_coroutine,
)

_MOST_LAYERS = 32


def wrap(function: Any, opener: Opener, *, verb: str) -> Any:
    """Return `function` with a unit of `opener` around each call; `verb` names the decorator in errors.

    Raises:
        TypeError: a class, a property, or something that cannot be called.
    """
    if isinstance(function, classmethod):
        opener.skips_first = True
        return classmethod(wrap(function.__func__, opener, verb=verb))
    if isinstance(function, staticmethod):
        return staticmethod(wrap(function.__func__, opener, verb=verb))
    if isinstance(function, (property, functools.cached_property)):
        raise TypeError(f"{verb} cannot wrap a property; put it below: @property above @{verb}.")
    if inspect.isclass(function):
        raise TypeError(f"{verb} cannot wrap the class {function.__name__}; decorate its methods.")
    if not callable(function):
        raise TypeError(f"{verb} cannot wrap {type(function).__name__}: it is not callable.")
    kind = kind_of(function)
    if kind == "coroutine" and not isinstance(function, (FunctionType, MethodType, functools.partial)):
        return _CoroutineObject(function, opener)
    return _KINDS[kind](function, opener)


def wrap_if_possible(function: Any, make_opener: Callable[[], Opener], *, verb: str) -> Any:
    """Do what `wrap` does; where we fail ourselves, the function stays as it was.

    Raises:
        TypeError, AgentSightException: what is decorated, or how, is wrong.
    """
    try:
        return wrap(function, make_opener(), verb=verb)
    except (TypeError, AgentSightException):
        raise
    except Exception as error:  # noqa: BLE001 - the host comes first
        failed(verb, error)
        return function


def kind_of(function: Callable[..., Any]) -> str:
    """Return what kind of function this is; of an object, that of its call.

    ``function``, ``coroutine``, ``generator``, ``async generator``, or ``awaitable generator`` (`types.coroutine`).
    """
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if not (inspect.isfunction(target) or inspect.ismethod(target)):
        call = inspect.getattr_static(type(target), "__call__", None)
        target = call if inspect.isfunction(call) else target
    if inspect.iscoroutinefunction(target):
        return "coroutine"
    code = getattr(target, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return "awaitable generator"
    if inspect.isasyncgenfunction(target):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(target) else "function"


def positional_names(function: Callable[..., Any]) -> tuple[tuple[str, ...], str | None]:
    """Return the names of positional parameters and that of ``*args``; nothing for what has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return (), "args"
    names = tuple(p.name for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD})
    return names, next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)


class _Wrapped(wrapt.CallableObjectProxy):  # type: ignore[type-arg,unused-ignore]  # generic in its stubs only
    """A transparent proxy of a callable: it binds, pickles by name and looks like what it wraps."""

    def __init__(self, wrapped: Callable[..., Any], opener: Opener) -> None:
        super().__init__(wrapped)
        self._self_opener = opener
        self._self_look_ahead(wrapped)
        self._self_binds = hasattr(type(wrapped), "__get__")

    def _self_look_ahead(self, wrapped: Callable[..., Any]) -> None:
        """Put together what calls need: each look into a proxy takes as long as making an event id."""
        self._self_call: Any = self._self_opener, wrapped

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name.startswith("__"):  # of the function, or another function
            self._self_look_ahead(self.__wrapped__)

    def __set_name__(self, owner: type, name: str) -> None:
        if self._self_opener.skips_first != self._self_binds:  # calls that were made before keep the opener they know
            self._self_opener = copy(self._self_opener)
            self._self_opener.skips_first = self._self_binds
            self._self_look_ahead(self.__wrapped__)
        if name in {"__init_subclass__", "__class_getitem__"}:
            setattr(owner, name, classmethod(self))  # as Python does by itself with a plain function

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        del owner
        return self if instance is None or not self._self_binds else MethodType(self, instance)

    def __reduce_ex__(self, protocol: Any) -> Any:
        del protocol
        name = getattr(self.__wrapped__, "__qualname__", "")
        module = getattr(self.__wrapped__, "__module__", "")
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        if isinstance(self.__wrapped__, functools.partial) or not hasattr(self.__wrapped__, "__qualname__"):
            return type(self), (self.__wrapped__, self._self_opener)
        from pickle import PicklingError  # noqa: PLC0415 - whoever pickles has it

        raise PicklingError(
            f"{module}.{name} is decorated inside a function, or wrapped by another decorator, and cannot be found "
            "by its name: pickle functions that are decorated with @ at the top level of their module."
        )

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        del memo
        return self


class _Function(_Wrapped):
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        opener, wrapped = self._self_call
        unit = opener.start(args, kwargs)
        if unit is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            unit.finish(None, error)
            raise
        unit.finish(result, None)
        return result


class _Coroutine(_Wrapped):
    def _self_look_ahead(self, wrapped: Callable[..., Any]) -> None:
        self._self_call = self._self_opener, wrapped, *driver_for(wrapped)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        opener, wrapped, drive, fewest, most = self._self_call
        if fewest <= len(args) <= most and not kwargs:
            try:
                return drive(opener, wrapped, args, kwargs)
            except Exception as failure:  # noqa: BLE001 - as `guarded` does
                failed("driver of a call", failure)
        coroutine = wrapped(*args, **kwargs)
        if type(coroutine) is not CoroutineType and not isinstance(coroutine, Coroutine):
            return coroutine
        return driver_of_coroutine(coroutine, opener, args, kwargs)


class _CoroutineObject(_Wrapped):
    """An object with ``async def __call__``: frameworks ask whether its `__call__` is a coroutine function."""

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        coroutine = self.__wrapped__(*args, **kwargs)
        return await driver_of_coroutine(coroutine, self._self_opener, args, kwargs)


class _Generator(_Wrapped):
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        generator = self.__wrapped__(*args, **kwargs)
        unit = self._self_opener.open(args, kwargs)
        if unit is None or not isinstance(generator, Generator):
            return generator
        return driver_of(drive_generator, generator, unit)


class _AwaitableGenerator(_Wrapped):
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        generator = self.__wrapped__(*args, **kwargs)
        unit = self._self_opener.open(args, kwargs)
        if unit is None or not isinstance(generator, Generator):
            return generator
        return driver_of(drive_awaitable_generator, generator, unit)


class _AsyncGenerator(_Wrapped):
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        generator = self.__wrapped__(*args, **kwargs)
        unit = self._self_opener.open(args, kwargs)
        if unit is None or not isinstance(generator, AsyncGenerator):
            return generator
        return driver_of(drive_async_generator, generator, unit)


_KINDS: dict[str, type[_Wrapped]] = {
    "function": _Function,
    "coroutine": _Coroutine,
    "generator": _Generator,
    "awaitable generator": _AwaitableGenerator,
    "async generator": _AsyncGenerator,
}


def openers_of(function: Any) -> Iterator[Opener]:
    """Yield the opener of every layer of ours around a function, the outermost first."""
    for _ in range(_MOST_LAYERS):
        if issubclass(type(function), _Wrapped):
            yield function._self_opener
        for attribute in ("__func__", "__wrapped__", "func"):
            inner = getattr(function, attribute, None)
            if callable(inner):
                function = inner
                break
        else:
            return
