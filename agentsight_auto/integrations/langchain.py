"""langchain-core, and with it langgraph: every chat model, whole and streamed, and every tool; sync and async."""

from __future__ import annotations

from typing import Any

from . import langchain_replies as read
from .around import around, around_async
from .model_call import ModelCall, start_call
from .patches import Patches
from .replies import text_of
from .streams import carry_async_stream, carry_stream, opening
from .tool_call import ToolCall, ToolRun, tool_starter

NAME = "langchain"


def install(patches: Patches) -> None:
    """Patch the base classes that every chat model and tool inherits from."""
    models, tools = "langchain_core.language_models.chat_models", "langchain_core.tools.base"
    start_tool = tool_starter(NAME, _read_tool)
    patches.wrap(models, "BaseChatModel._generate_with_cache", around(_start, _end))
    patches.wrap(models, "BaseChatModel._agenerate_with_cache", around_async(_start, _end))
    patches.wrap(models, "BaseChatModel.stream", opening(_start_later, read.MessageChunks))
    patches.wrap(models, "BaseChatModel.astream", opening(_start_later, read.MessageChunks))
    for kind in ("RunnableBindingBase", "RunnableSequence"):
        patches.wrap("langchain_core.runnables.base", f"{kind}.stream", carry_stream)
        patches.wrap("langchain_core.runnables.base", f"{kind}.astream", carry_async_stream)
    patches.wrap(tools, "BaseTool.run", around(start_tool, _end_tool))
    patches.wrap(tools, "BaseTool.arun", around_async(start_tool, _end_tool))


def _start(model: Any, args: Any, kwargs: Any, *, begins: bool = True) -> ModelCall | None:
    messages = args[0] if args else kwargs.get("messages", kwargs.get("input"))
    return start_call(NAME, lambda: read.chat_request(model, messages, kwargs), begins=begins)


def _start_later(model: Any, args: Any, kwargs: Any) -> ModelCall | None:
    return _start(model, args, kwargs, begins=False)  # a generator starts when it is first asked


def _end(call: ModelCall, result: Any) -> None:
    call.finish_with(read.result_reply, result)


def _read_tool(tool: Any, args: Any, kwargs: Any) -> ToolRun:
    functions = (getattr(tool, "func", None), getattr(tool, "coroutine", None), type(tool)._run, type(tool)._arun)
    return ToolRun(tool.name, args[0] if args else kwargs.get("tool_input"), functions)


def _end_tool(call: ToolCall, result: Any) -> None:
    """End with what the model is told: the content of a tool message, or what the tool returned."""
    content = getattr(result, "content", result)
    if getattr(result, "status", None) == "error":
        call.end(None, error_text=text_of(content) or "the tool failed")
    else:
        call.end(content)
