"""Wrap a function that does one thing to be told: open it, run the function, settle it with the result or the error.

In: how the thing is opened, and how it ends with a result. Out: wrappers for the ledger of patches.
Loses: nothing. The result and the exception pass through as they are; what cannot be read ends it all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from .._guard import guarded
from .patches import Wrapper


class Told(Protocol):
    """A running thing that can fail."""

    def fail(self, error: BaseException) -> None:
        """End it with an error; never raises."""


T = TypeVar("T", bound=Told)

Start = Callable[[Any, Any, Any], T | None]
"""``start(instance, args, kwargs)``: opens the thing; None where there is nothing to tell. Never raises."""

Settle = Callable[[T, Any], object]
"""``settle(thing, result)``: ends it with a result."""


def around(start: Start[T], settle: Settle[T]) -> Wrapper:
    """Return the wrapper of a function."""
    settle = guarded(settle)

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        told = start(instance, args, kwargs)
        if told is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            told.fail(error)
            raise
        settle(told, result)
        return result

    return wrapper


def around_async(start: Start[T], settle: Settle[T]) -> Wrapper:
    """Return the wrapper of a coroutine function."""
    settle = guarded(settle)

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        told = start(instance, args, kwargs)
        if told is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            told.fail(error)
            raise
        settle(told, result)
        return result

    return wrapper
