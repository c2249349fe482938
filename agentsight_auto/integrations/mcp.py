"""mcp clients: each call of a server's tool is an action under the tool's name."""

from __future__ import annotations

from typing import Any

from .around import around_async
from .patches import Patches
from .replies import get, text_of
from .tool_call import ToolCall, ToolRun, tool_starter

NAME = "mcp"


def install(patches: Patches) -> None:
    """Patch the client's session, which every transport and every client uses."""
    start_tool = tool_starter(NAME, _read_tool)
    patches.wrap("mcp.client.session", "ClientSession.call_tool", around_async(start_tool, _end))


def _read_tool(session: Any, args: Any, kwargs: Any) -> ToolRun:
    del session
    given = {**dict(zip(("name", "arguments"), args, strict=False)), **kwargs}
    return ToolRun(str(given.get("name")), given.get("arguments"))


def _end(call: ToolCall, result: Any) -> None:
    """End with the text that the server answered; a failure of the tool is an answer, too."""
    text = text_of(get(result, "content"))
    if get(result, "is_error") or get(result, "isError"):
        call.end(None, error_text=text or "the tool failed")
    else:
        call.end(get(result, "structured_content") or get(result, "structuredContent") or text)
