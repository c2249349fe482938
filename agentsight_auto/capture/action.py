"""`track_action`: one decorator or with-block that turns work into a recorded action.

In: calls of the decorated function. Out: `Action` events with name, duration, arguments, result or error.
Loses: what exceeds the value limits, which the recorded value says itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar, overload

from .. import _runtime, events
from .._guard import failed, guarded
from .._settings import Settings
from ..exceptions import ConfigurationException
from ..snapshot import QUICK_INT, describe_error, snapshot
from ..snapshot.redaction import MASK, is_secret_name
from . import arguments
from .current import frame_for_recording
from .frames import Entries, Frame
from .scope import ConversationScope
from .shapes import openers_of, positional_names, wrap_if_possible

F = TypeVar("F", bound=Callable[..., Any])

_STREAM_ITEMS = 100
"""Share of the limit that one yielded item which is no text uses up: so many items are kept at most."""


class ActionFrame(Frame, kw_only=True):
    """A running action.

    In ``with track_action("name") as action:`` set `response`, `error_msg`, `tools_used` and `metadata` on it.
    """

    spec: ActionSpec
    tools_used: Any = None
    response: Any = None
    error_msg: str | None = None
    metadata: Mapping[str, Any] | None = None
    started_ns: int = 0
    at_us: int = 0
    is_finished: bool = False
    keeps_result: bool = False
    """What the function returns is the response, as it is or its snapshot; otherwise `_response` decides."""
    stream: _Stream | None = None

    @property
    def frame(self) -> Frame:
        """The frame of the action: itself."""
        return self

    @guarded
    def begin(self) -> None:
        """Take the time and an event id, and become current."""
        runtime = self.conversation.runtime
        self.started_ns = runtime.clock.monotonic_ns()
        self.at_us = (self.started_ns + runtime.clock.offset_ns) // 1000
        self.action_id = runtime.ids.next(self.at_us)
        self.conversation.used_at_us = self.at_us
        runtime.current.set(self)

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Record the action with its result or error, and win back what was current before; never raises."""
        try:
            conversation = self.conversation
            runtime = conversation.runtime
            ended_ns = runtime.clock.monotonic_ns()
            before = runtime.current.set(self.outer).old_value
            if before is not self:
                self.leave_after_all(before)
            if self.is_finished:
                return
            self.is_finished = True
            settings = runtime.loaded_settings or runtime.settings
            kind = type(result)
            if not self.keeps_result or not (  # what `snapshot` would return as it is
                result is None
                or (kind is str and len(result) < settings.max_value_bytes >> 3)
                or (kind is int and -QUICK_INT < result < QUICK_INT)
                or kind is bool
            ):
                result = self._response(result, settings)
            outer, metadata = self.outer, self.metadata
            if outer is not None and outer.is_tool:
                outer, metadata, error = outer.told_by(self, error)
            duration_ns = ended_ns - self.started_ns
            runtime.record(
                events.Action(
                    self.action_id or "",
                    conversation.conversation_id,
                    self.at_us,
                    self.spec.name or "action",
                    self.at_us,
                    self.at_us + duration_ns // 1000,
                    duration_ns / 1e6,
                    self.tools_used,
                    result,
                    None if error is None and self.error_msg is None else self._error_text(error),
                    None if metadata is None else arguments.kept_metadata(metadata, settings),
                    outer.action_id
                    if outer is not None and outer.conversation.conversation_id == conversation.conversation_id
                    else None,
                ),
                conversation,
            )
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ActionFrame.finish", failure)

    @guarded
    def add_item(self, item: object) -> None:
        """Count an item of a generator and keep the first ones."""
        if self.stream is None:
            settings = self.conversation.runtime.settings
            keeps = self.spec.captures_response(settings)
            self.stream = _Stream(settings.max_value_bytes if keeps else 0)
        self.stream.add(item)

    @guarded
    def close_early(self) -> None:
        """Record a generator whose consumer stopped before its end."""
        self.metadata = {**(self.metadata or {}), "is_closed_early": True}
        self.finish(None, None)

    def _response(self, result: object, settings: Settings) -> Any:
        limit_bytes = settings.max_value_bytes
        if self.response is not None:
            return snapshot(self.response, limit_bytes)
        if not self.spec.captures_response(settings):
            return None
        if self.stream is not None:
            return snapshot(self.stream.response(), limit_bytes)
        return None if result is None else snapshot(result, limit_bytes)

    def _error_text(self, error: BaseException | None) -> str | None:
        if self.error_msg is not None:
            return str(snapshot(self.error_msg, 2048))
        return None if error is None else describe_error(error)


class _Stream:
    """What a generator has yielded: its text joined, or the first items and their number."""

    __slots__ = ("_count", "_items", "_room_bytes", "_texts")

    def __init__(self, limit_bytes: int) -> None:
        self._count = 0
        self._items: list[Any] = []
        self._texts: list[str] = []
        self._room_bytes = limit_bytes

    def add(self, item: object) -> None:
        self._count += 1
        if self._room_bytes <= 0:
            return
        if type(item) is str:
            self._room_bytes -= len(item)
            self._texts.append(item)
        else:
            self._room_bytes -= self._room_bytes // _STREAM_ITEMS + 1
            self._items.append(snapshot(item, self._room_bytes))

    def response(self) -> Any:
        if self._texts and not self._items:
            return "".join(self._texts)
        return {"yielded": self._count, "items": [*self._items, *self._texts]}


class ActionSpec:
    """What is known of a decorated function before it is called; opens a frame for each call."""

    __slots__ = (
        "_capture_args",
        "_capture_response",
        "_function_name",
        "_is_special",
        "_masked",
        "_name_count",
        "_names",
        "_rest_name",
        "aliases",
        "metadata",
        "name",
        "skips_first",
        "tools_used",
    )

    def __init__(
        self,
        name: str,
        *,
        tools_used: Any = None,
        capture_args: bool | None = None,
        capture_response: bool | None = None,
        exclude: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.tools_used = tools_used
        self.metadata = metadata
        self.aliases: set[str] = set()
        self.skips_first = False
        self._capture_args = capture_args
        self._capture_response = capture_response
        self._function_name = name
        self._masked = frozenset(exclude)
        self._names: tuple[str, ...] = ()
        self._rest_name: str | None = None
        self._name_count = 0
        self._is_special = True

    def for_function(self, function: Callable[..., Any]) -> ActionSpec:
        """Return this spec for one function: its name as a default and the names of its parameters."""
        target = getattr(function, "__func__", function)
        while hasattr(target, "func") and not hasattr(target, "__name__"):
            target = target.func
        function_name = getattr(target, "__name__", None) or type(target).__name__
        spec = ActionSpec(
            self.name or function_name,
            tools_used=self.tools_used,
            capture_args=self._capture_args,
            capture_response=self._capture_response,
            exclude=self._masked,
            metadata=self.metadata,
        )
        spec._function_name = function_name
        spec._names, spec._rest_name = positional_names(target)
        spec._masked |= {name for name in spec._names if is_secret_name(name)}
        qualified = getattr(target, "__qualname__", "")
        is_in_class = "." in qualified and not qualified.endswith(f"<locals>.{function_name}")
        spec._name_count = len(spec._names)
        spec._is_special = bool(spec._masked) or spec.tools_used is not None or spec._capture_args is not None
        spec.skips_first = is_in_class and spec._names[:1] in {("self",), ("cls",)}
        return spec

    def is_called(self, name: str) -> bool:
        """Return whether the action has this name, or its function, or the tool that a framework makes of it."""
        return name in {self.name, self._function_name, *self.aliases}

    def captures_response(self, settings: Settings) -> bool:
        """Return whether results are recorded."""
        return settings.capture_response if self._capture_response is None else self._capture_response

    @guarded
    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActionFrame | None:
        """Return the frame of one call, its arguments copied; None where nothing is recorded."""
        runtime = _runtime.default_runtime
        settings = runtime.settings
        outer = None if settings.disabled else frame_for_recording(runtime, hold=False)
        if outer is None or not outer.conversation.is_recording:
            return None
        return ActionFrame(
            outer.conversation,
            None,
            outer,
            spec=self,
            tools_used=self._tools_used(args, kwargs, settings),
            metadata=self.metadata,
        )

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActionFrame | None:
        """Return the frame of one call, begun: what `open` and `begin` do, in one for the sake of speed."""
        try:
            runtime = _runtime.default_runtime
            settings = runtime.loaded_settings or runtime.settings
            if settings.disabled:
                return None
            outer = runtime.current.get()
            if outer is None or outer.conversation.is_binding:
                outer = frame_for_recording(runtime, hold=False)
            conversation = outer.conversation
            if not conversation.is_recording:
                return None
            limit_bytes = settings.max_value_bytes
            if kwargs or self._is_special or not settings.capture_args:
                tools_used = self._tools_used(args, kwargs, settings)
            else:
                names, given = (self._names[1:], args[1:]) if self.skips_first else (self._names, args)
                parameters: dict[str, Any] = {}
                for name, value in zip(names, given):  # noqa: B905 - a keyword costs
                    kind = type(value)
                    if (  # what `snapshot` would return as it is; most arguments are
                        (kind is str and len(value) < limit_bytes >> 3)
                        or value is None
                        or (kind is int and -QUICK_INT < value < QUICK_INT)
                        or kind is bool
                    ):
                        parameters[name] = value
                    else:
                        parameters[name] = snapshot(value, limit_bytes)
                if rest := args[self._name_count :]:
                    parameters[self._rest_name or "args"] = snapshot(rest, limit_bytes)
                tools_used = {"function": self._function_name, "parameters": parameters}
            clock = runtime.clock
            started_ns = clock.monotonic_ns()
            conversation.used_at_us = at_us = (started_ns + clock.offset_ns) // 1000
            ids = runtime.ids
            at_ms = at_us // 1000
            latest_ms, head = ids.latest
            if latest_ms != at_ms:
                head = ids.head(at_ms)
            frame = ActionFrame(
                conversation,
                head + ids.tail(),
                outer,
                spec=self,
                tools_used=tools_used,
                metadata=self.metadata,
                started_ns=started_ns,
                at_us=at_us,
                keeps_result=settings.capture_response if self._capture_response is None else self._capture_response,
            )
            runtime.current.set(frame)
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ActionSpec.start", failure)
            return None
        return frame

    def _tools_used(self, args: tuple[Any, ...], kwargs: dict[str, Any], settings: Settings) -> Any:
        """Return what is recorded of any call: a copy of each argument by name, with the whole limit to itself."""
        limit_bytes = settings.max_value_bytes
        if self.tools_used is not None:
            return snapshot(self.tools_used, limit_bytes)
        if not (settings.capture_args if self._capture_args is None else self._capture_args):
            return {"function": self._function_name}
        names = self._names
        if self.skips_first:
            args, names = args[1:], names[1:]
        masked = self._masked
        parameters = {}
        for name, value in zip(names, args, strict=False):
            parameters[name] = MASK if name in masked else snapshot(value, limit_bytes)
        if len(args) > len(names):
            parameters[self._rest_name or "args"] = snapshot(args[len(names) :], limit_bytes)
        for name, value in kwargs.items():
            is_masked = name in masked or is_secret_name(name)
            parameters[name] = MASK if is_masked else snapshot(value, limit_bytes)
        return {"function": self._function_name, "parameters": parameters}


class TrackedBlock:
    """What `track_action("name", ...)` returns: a decorator, and a context manager that may be entered many times."""

    __slots__ = ("_entries", "_spec")

    def __init__(self, spec: ActionSpec) -> None:
        self._spec = spec
        self._entries: Entries[ActionFrame] = Entries()

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
        self._entries.add(frame, owner)
        frame.begin()
        return frame

    @guarded
    def _leave(self, error: BaseException | None, owner: int) -> None:
        frame = self._entries.take(_runtime.default().current.get(), owner)
        if frame is not None:
            frame.finish(None, error)


_SILENT = Frame(ConversationScope(_runtime.default(), "", is_recording=False), None, None)
"""What surrounds a block that could not be opened."""

_NAMELESS = TrackedBlock(ActionSpec(""))
"""Stands for a block that could not be made."""


def spec_of(function: Any) -> ActionSpec | None:
    """Return the spec of a tracked function, also where other decorators lie above it; None of any other."""
    return next((opener for opener in openers_of(function) if isinstance(opener, ActionSpec)), None)


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
