"""`track_action`: one decorator or with-block that turns work into a recorded action.

In: the decorated function, or a block. Out: a function that records each call, or a running action.
Loses: nothing; where recording fails the call goes through unrecorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar, overload

from .. import _runtime
from .._guard import failed, guarded
from ..exceptions import ConfigurationException
from ..snapshot import snapshot
from .current import frame_for_recording
from .frames import Entries, Frame
from .running import ActionFrame
from .scope import ConversationScope
from .shapes import wrap_if_possible
from .spec import ActionSpec

F = TypeVar("F", bound=Callable[..., Any])


class TrackedBlock(Entries[ActionFrame]):
    """What `track_action("name", ...)` returns: a decorator, and a context manager that may be entered many times."""

    __slots__ = ("_spec",)

    def __init__(self, spec: ActionSpec) -> None:
        super().__init__()
        self._spec = spec

    def __call__(self, function: F) -> F:
        """Decorate a function of any kind."""
        decorated: F = wrap_if_possible(function, lambda: self._spec.for_function(function), verb="track_action")
        return decorated

    def __enter__(self) -> ActionFrame:
        """Start the action; set what is to be recorded of it on the result."""
        return self._begin(id(sys._getframe(1))) or ActionFrame(_SILENT.conversation, None, _SILENT, spec=self._spec)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the action; an exception is recorded as its error and goes on."""
        self._leave(error, id(sys._getframe(1)))

    async def __aenter__(self) -> ActionFrame:
        """Start the action, in ``async with``."""
        return self._begin(0) or ActionFrame(_SILENT.conversation, None, _SILENT, spec=self._spec)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the action, in ``async with``."""
        self._leave(error, 0)

    @guarded
    def _begin(self, owner: int) -> ActionFrame:
        runtime = _runtime.default()
        outer = frame_for_recording(runtime, hold=False)
        frame = ActionFrame(outer.conversation, None, outer, spec=self._spec, metadata=self._spec.metadata)
        if self._spec.tools_used is not None:
            frame.tools_used = snapshot(self._spec.tools_used, runtime.settings.max_value_bytes)
        self.add(frame, owner)
        frame.begin()
        return frame

    @guarded
    def _leave(self, error: BaseException | None, owner: int) -> None:
        frame = self.take(_runtime.default().current.get(), owner)
        if frame is not None:
            frame.finish(None, error)


_SILENT = Frame(ConversationScope(_runtime.default(), "", is_recording=False), None, None)
"""What surrounds a block that could not be opened."""

_NAMELESS = TrackedBlock(ActionSpec(""))
"""Stands for a block that could not be made."""


@overload
def track_action(function: F, /) -> F: ...
@overload
def track_action(
    name: str | None = None,
    /,
    *,
    tools_used: Any = None,
    capture_args: bool | None = None,
    capture_response: bool | None = None,
    exclude: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> TrackedBlock: ...
def track_action(
    name: Any = None,
    /,
    *,
    tools_used: Any = None,
    capture_args: bool | None = None,
    capture_response: bool | None = None,
    exclude: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Record each call of a function as an action: its name, duration, arguments, result and error.

    ``@track_action``, ``@track_action("name", ...)`` or ``with track_action("name") as action:``. Works on functions,
    coroutines, generators, async generators, methods, partials and callable objects, and changes nothing about them.

    Args:
        name: the action's name; the function's by default.
        tools_used: recorded instead of ``{"function": name, "parameters": {...}}``.
        capture_args: whether arguments are recorded; by default the setting of that name (on).
        capture_response: whether the result is recorded; by default the setting of that name (on).
        exclude: names of parameters whose values are masked, beside those that look like secrets.
        metadata: recorded with each call.

    Raises:
        TypeError: a class, a property or something that cannot be called is decorated.
        ConfigurationException: a name that is blank or not a text.
    """
    if name is not None and not isinstance(name, str):
        return wrap_if_possible(name, lambda: ActionSpec("").for_function(name), verb="track_action")
    if name is not None and not name.strip():
        raise ConfigurationException("The action name is blank. Leave it out to use the function's name.")
    try:
        return TrackedBlock(
            ActionSpec(
                name or "",
                tools_used=tools_used,
                capture_args=capture_args,
                capture_response=capture_response,
                exclude=exclude,
                metadata=metadata,
            )
        )
    except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
        failed("track_action", failure)
        return _NAMELESS
