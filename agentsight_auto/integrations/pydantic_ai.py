"""pydantic-ai: the tools that its agents run; the model calls beneath are those of the SDKs it uses."""

from __future__ import annotations

from typing import Any

from .patches import Patches
from .tool_call import ToolCall, await_tool, start_tool

NAME = "pydantic_ai"


def install(patches: Patches) -> None:
    """Patch the toolset that every function tool of an agent is in."""
    patches.wrap("pydantic_ai.toolsets.function", "FunctionToolset.call_tool", _call_tool)


async def _call_tool(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    name = args[0] if args else kwargs["name"]
    arguments = args[1] if len(args) > 1 else kwargs.get("tool_args")
    call = start_tool(NAME, str(name), arguments)
    return await await_tool(call, lambda: wrapped(*args, **kwargs), ToolCall.end)
