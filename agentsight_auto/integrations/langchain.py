"""langchain-core, and with it langgraph: every chat model, whole and streamed, and every tool; sync and async."""

from __future__ import annotations

from typing import Any

from . import langchain_replies as read
from .model_call import ModelCall, start_call
from .patches import Patches
from .replies import text_of
from .streams import carry_async_stream, carry_stream, follow, follow_async
from .tool_call import ToolCall, await_tool, run_tool, start_tool

NAME = "langchain"


def install(patches: Patches) -> None:
    """Patch the base classes that every chat model and tool inherits from."""
    models, tools = "langchain_core.language_models.chat_models", "langchain_core.tools.base"
    patches.wrap(models, "BaseChatModel._generate_with_cache", _generate)
    patches.wrap(models, "BaseChatModel._agenerate_with_cache", _agenerate)
    patches.wrap(models, "BaseChatModel.stream", _stream)
    patches.wrap(models, "BaseChatModel.astream", _astream)
    for kind in ("RunnableBindingBase", "RunnableSequence"):
        patches.wrap("langchain_core.runnables.base", f"{kind}.stream", carry_stream)
        patches.wrap("langchain_core.runnables.base", f"{kind}.astream", carry_async_stream)
    patches.wrap(tools, "BaseTool.run", _run)
    patches.wrap(tools, "BaseTool.arun", _arun)


def _start(model: Any, args: Any, kwargs: Any, *, begins: bool = True) -> ModelCall | None:
    messages = args[0] if args else kwargs.get("messages", kwargs.get("input"))
    return start_call(NAME, lambda: read.chat_request(model, messages, kwargs), begins=begins)


def _generate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = _start(instance, args, kwargs)
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish_with(read.result_reply, result)
    return result


async def _agenerate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = _start(instance, args, kwargs)
    if call is None:
        return await wrapped(*args, **kwargs)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish_with(read.result_reply, result)
    return result


def _stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = _start(instance, args, kwargs, begins=False)
    source = wrapped(*args, **kwargs)
    return source if call is None else follow(source, call, read.MessageChunks())


def _astream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = _start(instance, args, kwargs, begins=False)
    source = wrapped(*args, **kwargs)
    return source if call is None else follow_async(source, call, read.MessageChunks())


def _run(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = start_tool(NAME, instance.name, args[0] if args else kwargs.get("tool_input"))
    return run_tool(call, lambda: wrapped(*args, **kwargs), _end)


async def _arun(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = start_tool(NAME, instance.name, args[0] if args else kwargs.get("tool_input"))
    return await await_tool(call, lambda: wrapped(*args, **kwargs), _end)


def _end(call: ToolCall, result: Any) -> None:
    """End with what the model is told: the content of a tool message, or what the tool returned."""
    content = getattr(result, "content", result)
    if getattr(result, "status", None) == "error":
        call.end(None, error_text=text_of(content) or "the tool failed")
    else:
        call.end(content)
