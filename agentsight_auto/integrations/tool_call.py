"""One run of a tool by a framework: an action under the tool's name.

In: the tool's name and arguments, then its result or error. Out: an `Action`. Loses: nothing. A tool that is run
inside a run of the same tool (an adapter that calls a server, say) is told once, by the outer one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _runtime
from .._guard import guarded
from ..capture.current import live_frame
from ..capture.running import ActionFrame
from ..capture.spec import ActionSpec
from ..snapshot import snapshot
from . import options


class ToolCall(ActionFrame, kw_only=True):
    """A running tool."""

    @guarded
    def end(self, result: Any = None, error: BaseException | None = None, *, error_text: str | None = None) -> None:
        """Record it; `error_text` is a failure that the framework has turned into a result."""
        self.error_msg = error_text
        self.finish(result, None if error is not None and is_control_flow(error) else error)


@guarded
def start_tool(integration: str, name: str, arguments: Any) -> ToolCall | None:
    """Return a run that has begun; None outside a conversation, and where it is told already."""
    runtime = _runtime.default()
    frame = live_frame(runtime)
    if frame is None or not frame.conversation.is_recording or integration in options.records_tokens_alone:
        return None
    if isinstance(frame, ToolCall) and frame.spec.name == name and not frame.is_finished:
        return None
    settings = runtime.settings
    used: dict[str, Any] = {"function": name}
    if settings.capture_args:
        used["parameters"] = snapshot(arguments, settings.max_value_bytes)
    call = ToolCall(
        frame.conversation,
        None,
        frame,
        spec=ActionSpec(name),
        tools_used=used,
        metadata={"kind": "tool", "by": integration},
    )
    call.begin()
    return call


def run_tool(call: ToolCall | None, run: Callable[[], Any], read: Callable[[ToolCall, Any], None]) -> Any:
    """Run a tool inside its call; `read` ends the call with what the framework made of the result."""
    if call is None:
        return run()
    try:
        result = run()
    except BaseException as error:
        call.end(None, error)
        raise
    guarded(read)(call, result)
    return result


async def await_tool(call: ToolCall | None, run: Callable[[], Any], read: Callable[[ToolCall, Any], None]) -> Any:
    """Do what `run_tool` does, for coroutines."""
    if call is None:
        return await run()
    try:
        result = await run()
    except BaseException as error:
        call.end(None, error)
        raise
    guarded(read)(call, result)
    return result


def is_control_flow(error: BaseException) -> bool:
    """Tell whether an exception is a framework's way to pause or hand over, and no failure."""
    return any(kind.__name__ in {"GraphBubbleUp", "CallDeferred", "ApprovalRequired"} for kind in type(error).__mro__)
