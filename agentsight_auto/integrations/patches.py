"""The patch ledger of one installed integration: what was wrapped, and how to restore it in any order.

In: wrappers for attributes of a library. Out: the attributes, wrapped; on undo exactly what was there.
Loses: nothing. Where somebody else has wrapped on top without wrapt, our layer stays and passes every call through.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Any

import wrapt

from .._guard import guarded

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""``wrapper(wrapped, instance, args, kwargs)``: calls `wrapped` and returns what it returned."""


class Patches:
    """The ledger. Every wrapped attribute stays a pass-through once `undo` was called."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []
        self.is_active = True

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Wrap the attribute `name` ("Class.method" too) of an object, or of a module given by its full name.

        The module must be one that the user's import has loaded, or a part of such a package.

        Raises:
            AttributeError, ImportError: there is no such attribute or module in this version.
        """
        if isinstance(owner, str):
            owner = sys.modules.get(owner) or importlib.import_module(owner)

        handle = wrapt.wrap_object(owner, name, wrapt.FunctionWrapper, (wrapper, self._is_enabled))
        self._undo.append(lambda: wrapt.unwrap_object(owner, name, handle, missing_ok=True))

    def on_undo(self, callback: Callable[[], Any]) -> None:
        """Call `callback` when the integration is undone, for what is no attribute."""
        self._undo.append(callback)

    def undo(self) -> None:
        """Restore everything, the last patch first."""
        self.is_active = False
        while self._undo:
            _restore(self._undo.pop())

    def _is_enabled(self) -> bool:
        return self.is_active


@guarded
def _restore(undo: Callable[[], Any]) -> None:
    # Beneath somebody else's plain function it can only become a pass-through, which it is by now.
    with contextlib.suppress(wrapt.WrapperNotOutermostError):
        undo()
