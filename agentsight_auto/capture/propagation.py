"""`propagate(fn)`: carry the current conversation into a thread, an executor or another loop.

In: a callable, where the conversation is current. Out: the same callable, which always runs in that
conversation.
Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .. import _runtime
from .._guard import guarded
from .frames import Frame
from .shapes import wrap_if_possible

F = TypeVar("F", bound=Callable[..., Any])


class _CarriedFrame:
    """Makes a frame current while one call runs, and records nothing."""

    __slots__ = ("_before", "_is_entered", "frame")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._before: Frame | None = None
        self._is_entered = False

    @guarded
    def begin(self) -> None:
        variable = self.frame.conversation.runtime.current
        self._before = variable.get()
        # A generator's driver makes the frame current around each resumption by itself.
        self._is_entered = self._before is not self.frame
        variable.set(self.frame)

    @guarded
    def finish(self, result: object, error: BaseException | None) -> None:
        del result, error
        if self._is_entered:
            self.frame.conversation.runtime.current.set(self._before)

    @guarded
    def add_item(self, item: object) -> None:
        pass

    def close_early(self) -> None:
        self.finish(None, None)


class _FrameOpener:
    __slots__ = ("_frame", "skips_first")

    def __init__(self, frame: Frame | None) -> None:
        self._frame = frame
        self.skips_first = False

    @guarded
    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _CarriedFrame | None:
        del args, kwargs
        frame = self._frame or _runtime.default().current.get()
        return None if frame is None else _CarriedFrame(frame)

    @guarded
    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _CarriedFrame | None:
        carried = self.open(args, kwargs)
        if carried is not None:
            carried.begin()
        return carried


def propagate(function: F) -> F:
    """Return `function` bound to the conversation (and action) that is current now.

    ``executor.submit(propagate(work), ...)``, ``Thread(target=propagate(work))``. It may run many times at once. On a
    generator function at module level, where nothing is current yet, it binds each generator to the conversation in
    which it is created.

    Raises:
        TypeError: a class, a property or something that cannot be called.
    """
    carried: F = wrap_if_possible(function, lambda: _FrameOpener(_runtime.default().current.get()), verb="propagate")
    return carried
