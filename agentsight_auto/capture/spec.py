"""What is known of a decorated function before it is called, so that a call costs little.

In: a function, and how it is to be recorded; then the arguments of each call. Out: an `ActionFrame` for each call.
Loses: what exceeds the value limits, which the recorded value says itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .. import _runtime
from .._guard import failed, guarded
from .._settings import Settings
from ..snapshot import QUICK_INT, snapshot
from ..snapshot.redaction import MASK, is_secret_name
from .current import frame_for_recording
from .running import ActionFrame
from .shapes import openers_of, positional_names
from .small import SMALL_COUNT, SMALL_TEXT, SmallCall

if TYPE_CHECKING:
    from .._runtime import Runtime


class ActionSpec:
    """What is known of a decorated function before it is called; opens a frame for each call."""

    __slots__ = (
        "_capture_args",
        "_capture_response",
        "_masked",
        "_most_small",
        "_rest_name",
        "aliases",
        "function_name",
        "metadata",
        "name",
        "names",
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
        self.function_name = name
        self._masked = frozenset(exclude)
        self.names: tuple[str, ...] = ()
        self._rest_name: str | None = None
        self._most_small = -1  # no call, however few its arguments

    def for_function(self, function: Callable[..., Any]) -> ActionSpec:
        """Return this spec for one function: its name as a default and the names of its parameters."""
        target = getattr(function, "__func__", function)
        while hasattr(target, "func") and not hasattr(target, "__name__"):
            target = target.func
        name = getattr(target, "__name__", None)
        # Names of subclasses of str cannot be encoded.
        function_name = str.__str__(name) if name and isinstance(name, str) else type(target).__name__
        spec = ActionSpec(
            str.__str__(self.name) or function_name,
            tools_used=self.tools_used,
            capture_args=self._capture_args,
            capture_response=self._capture_response,
            exclude=self._masked,
            metadata=self.metadata,
        )
        spec.function_name = function_name
        spec.names, spec._rest_name = positional_names(target)
        spec._masked |= {name for name in spec.names if is_secret_name(name)}
        qualified = getattr(target, "__qualname__", "")
        is_in_class = "." in qualified and not qualified.endswith(f"<locals>.{function_name}")
        told = (spec.tools_used, spec.metadata, spec._capture_args, spec._capture_response)
        if not spec._masked and all(given is None for given in told):
            spec._most_small = min(len(spec.names), SMALL_COUNT)
        spec.skips_first = is_in_class and spec.names[:1] in {("self",), ("cls",)}
        return spec

    def is_called(self, name: str) -> bool:
        """Return whether the action has this name, or its function, or the tool that a framework makes of it."""
        return name in {self.name, self.function_name, *self.aliases}

    def told(self, args: tuple[Any, ...]) -> dict[str, Any]:
        """Return what is recorded of a call with nothing but small positional arguments."""
        names = self.names
        position = 1 if self.skips_first else 0
        parameters = {}
        for value in args:  # counted by hand: making a `zip` takes longer than all the rest of the loop
            parameters[names[position]] = value
            position += 1
        return {"function": self.function_name, "parameters": parameters}

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
            if not settings.captures_all:
                return None if settings.disabled else self._start(runtime, args, kwargs)
            outer = runtime.current.get()
            if (
                outer is None
                or kwargs
                or len(args) > self._most_small
                or not (conversation := outer.conversation).takes_small_calls
            ):
                return self._start(runtime, args, kwargs)
            given = args[1:] if self.skips_first else args
            for value in given:
                kind = type(value)
                if not (
                    (kind is str and len(value) < SMALL_TEXT)
                    or value is None
                    or (kind is int and -QUICK_INT < value < QUICK_INT)
                    or kind is bool
                ):
                    return self._start(runtime, args, kwargs)
            clock, ids = runtime.clock, runtime.ids
            frame = SmallCall(  # by position: keywords take longer
                conversation,
                None,  # action_id
                outer,
                None,  # opener
                0,  # owner
                False,  # is_tool
                self,
                given,
                None,  # metadata
                clock.monotonic_ns(),
                clock.offset_ns,
                True,  # keeps_result
                None,  # response
                None,  # error_msg
                False,  # is_finished
                None,  # stream
                ids.number(),
                ids.process,
            )
            runtime.current.set(frame)
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ActionSpec.start", failure)
            return None
        return frame

    def _start(self, runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActionFrame | None:
        """Return the frame of a call of any kind, begun; None where nothing is recorded."""
        settings = runtime.settings
        outer = runtime.current.get()
        if outer is None or outer.conversation.is_binding:
            outer = frame_for_recording(runtime, hold=False)
        if not outer.conversation.is_recording:
            return None
        clock, ids = runtime.clock, runtime.ids
        started_ns = clock.monotonic_ns()
        if started_ns >= ids.until_ns:
            ids.tick(started_ns, clock.offset_ns)
        frame = ActionFrame(  # by position, as in `start`
            outer.conversation,
            f"{ids.head}{ids.number():08x}",
            outer,
            None,  # opener
            0,  # owner
            False,  # is_tool
            self,
            self._tools_used(args, kwargs, settings),
            self.metadata,
            started_ns,
            clock.offset_ns,
            self.captures_response(settings),
        )
        runtime.current.set(frame)
        return frame

    def _tools_used(self, args: tuple[Any, ...], kwargs: dict[str, Any], settings: Settings) -> Any:
        """Return what is recorded of any call: a copy of each argument by name, with the whole limit to itself."""
        limit_bytes = settings.max_value_bytes
        if self.tools_used is not None:
            return snapshot(self.tools_used, limit_bytes)
        if not (settings.capture_args if self._capture_args is None else self._capture_args):
            return {"function": self.function_name}
        names = self.names
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
        return {"function": self.function_name, "parameters": parameters}


def spec_of(function: Any) -> ActionSpec | None:
    """Return the spec of a tracked function, also where other decorators lie above it; None of any other."""
    return next((opener for opener in openers_of(function) if isinstance(opener, ActionSpec)), None)
