"""pydantic-ai: the tools that its agents run; the model calls beneath are those of the SDKs it uses."""

from __future__ import annotations

from typing import Any

from .around import around_async
from .patches import Patches
from .replies import get
from .tool_call import ToolCall, ToolRun, tool_starter

NAME = "pydantic_ai"


def install(patches: Patches) -> None:
    """Patch the toolset that every function tool of an agent is in."""
    start_tool = tool_starter(NAME, _read_tool)
    patches.wrap("pydantic_ai.toolsets.function", "FunctionToolset.call_tool", around_async(start_tool, ToolCall.end))


def _read_tool(toolset: Any, args: Any, kwargs: Any) -> ToolRun:
    del toolset
    given = {**dict(zip(("name", "tool_args", "ctx", "tool"), args, strict=False)), **kwargs}
    function = get(given.get("tool"), "call_func", "__self__", "function")
    return ToolRun(str(given.get("name")), given.get("tool_args"), (function,))
