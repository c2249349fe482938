"""The only module that knows contextvars-extras: what "current" is stored in.

`ContextVarExt` exposes the C methods of the variable beneath it (`get_raw`, `set`), which the hot path uses directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from contextvars_extras import ContextVarExt

T = TypeVar("T")


class CurrentVariable(Generic[T]):
    """Hold what is current in this thread or asyncio task; `get()` is None where nothing was set."""

    __slots__ = ("_variable", "get", "set")

    get: Callable[[], T | None]
    set: Callable[[T | None], Any]

    def __init__(self, name: str) -> None:
        self._variable: Any = ContextVarExt(name, default=None)
        self.get = self._variable.get_raw
        self.set = self._variable.set
