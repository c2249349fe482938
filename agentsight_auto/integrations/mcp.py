"""mcp clients: each call of a server's tool is an action under the tool's name."""

from __future__ import annotations

from typing import Any

from .patches import Patches
from .replies import get, text_of
from .tool_call import ToolCall, await_tool, start_tool

NAME = "mcp"


def install(patches: Patches) -> None:
    """Patch the client's session, which every transport and every client uses."""
    patches.wrap("mcp.client.session", "ClientSession.call_tool", _call_tool)


async def _call_tool(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    name = args[0] if args else kwargs.get("name")
    call = start_tool(NAME, str(name), args[1] if len(args) > 1 else kwargs.get("arguments"))
    return await await_tool(call, lambda: wrapped(*args, **kwargs), _end)


def _end(call: ToolCall, result: Any) -> None:
    """End with the text that the server answered; a failure of the tool is an answer, too."""
    text = text_of(get(result, "content"))
    if get(result, "is_error") or get(result, "isError"):
        call.end(None, error_text=text or "the tool failed")
    else:
        call.end(get(result, "structured_content") or get(result, "structuredContent") or text)
