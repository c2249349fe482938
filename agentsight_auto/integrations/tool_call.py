"""One run of a tool by a framework: an action under the tool's name.

In: the tool's name and arguments, then its result or error. Out: an `Action`. Loses: nothing.
It is told once. A tool that is run inside a run of the same tool (an adapter that calls a server, say) is told by the
outer one. A tool whose function is tracked itself is told by that function, in the words its decorator was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .. import _runtime
from .._guard import guarded
from ..capture.current import live_frame
from ..capture.frames import Frame
from ..capture.running import ActionFrame
from ..capture.spec import ActionSpec, spec_of
from ..snapshot import snapshot
from . import options


class ToolCall(ActionFrame, kw_only=True):
    """A running tool."""

    own: tuple[ActionSpec, ...] = ()
    """The tool's tracked functions, as far as they are known."""
    is_told: bool = False
    is_failure_told: bool = False

    def told_by(
        self, action: ActionFrame, error: BaseException | None
    ) -> tuple[Frame | None, Mapping[str, Any] | None, BaseException | None]:
        """Let the tool's own function tell this run: it takes the run's place. Other actions lie inside it."""
        is_own = action.spec in self.own if self.own else action.spec.is_called(self.spec.name)
        if self.is_finished or not is_own:
            return self, action.metadata, error
        if error is not None and is_control_flow(error):
            error = None
        self.is_told = True
        self.is_failure_told = error is not None or action.error_msg is not None
        return self.outer, {**(self.metadata or {}), **(action.metadata or {})}, error

    @guarded
    def end(self, result: Any = None, error: BaseException | None = None, *, error_text: str | None = None) -> None:
        """Record it; `error_text` is a failure that the framework has turned into a result."""
        if error is not None and is_control_flow(error):
            error = None
        if self.is_told and (self.is_failure_told or (error is None and error_text is None)):
            self.is_finished = True
        self.error_msg = error_text
        self.finish(result, error)

    def fail(self, error: BaseException) -> None:
        """Record it with an exception."""
        self.end(None, error)


class ToolRun(NamedTuple):
    """What a framework tells when it runs a tool; `functions` are the tool's own, as far as they are known."""

    name: str
    arguments: Any = None
    functions: Iterable[Any] = ()


@guarded
def start_tool(integration: str, run: ToolRun) -> ToolCall | None:
    """Return a run that has begun; None outside a conversation, and where it is told already.

    Where none of the tool's functions is known to be tracked, a tracked one of the tool's name is taken for it.
    """
    runtime = _runtime.default()
    frame = live_frame(runtime)
    if frame is None or not frame.conversation.is_recording or integration in options.records_tokens_alone:
        return None
    if isinstance(frame, ToolCall) and frame.spec.name == run.name and not frame.is_finished:
        return None
    settings = runtime.settings
    used: dict[str, Any] = {"function": run.name}
    if settings.capture_args:
        used["parameters"] = snapshot(run.arguments, settings.max_value_bytes)
    call = ToolCall(
        frame.conversation,
        None,
        frame,
        is_tool=True,
        spec=ActionSpec(run.name),
        tools_used=used,
        metadata={"kind": "tool", "by": integration},
        own=tuple(spec for spec in map(spec_of, run.functions) if spec is not None),
    )
    call.begin()
    return call


def tool_starter(
    integration: str, read: Callable[[Any, Any, Any], ToolRun]
) -> Callable[[Any, Any, Any], ToolCall | None]:
    """Return what opens a run for `around`: ``read(instance, args, kwargs)`` says of which tool."""

    @guarded
    def start(instance: Any, args: Any, kwargs: Any) -> ToolCall | None:
        return start_tool(integration, read(instance, args, kwargs))

    return start


def is_control_flow(error: BaseException) -> bool:
    """Tell whether an exception is a framework's way to pause or hand over, and no failure."""
    return any(kind.__name__ in {"GraphBubbleUp", "CallDeferred", "ApprovalRequired"} for kind in type(error).__mro__)
