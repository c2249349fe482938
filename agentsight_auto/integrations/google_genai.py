"""google-genai: contents generated, whole and streamed, embeddings, and the functions that it calls by itself."""

from __future__ import annotations

from typing import Any

from .._runtime import default
from ..capture.current import live_frame
from . import google_replies as read
from .model_call import ModelCall, start_call
from .patches import Patches
from .streams import carry_async, carry_stream, follow, follow_async
from .tool_call import ToolCall, await_tool, run_tool, start_tool

NAME = "google_genai"


def install(patches: Patches) -> None:
    """Patch what sends one request: the public methods call it again for each round of functions."""
    models, extra = "google.genai.models", "google.genai._extra_utils"
    patches.wrap(models, "Models._generate_content", _generate)
    patches.wrap(models, "AsyncModels._generate_content", _agenerate)
    patches.wrap(models, "Models._generate_content_stream", _stream)
    patches.wrap(models, "AsyncModels._generate_content_stream", _astream)
    patches.wrap(models, "Models.generate_content_stream", carry_stream)
    patches.wrap(models, "AsyncModels.generate_content_stream", _carry)
    patches.wrap(models, "Models.embed_content", _embed)
    patches.wrap(models, "AsyncModels.embed_content", _aembed)
    patches.wrap(extra, "invoke_function_from_dict_args", _call_function)
    patches.wrap(extra, "invoke_function_from_dict_args_async", _acall_function)


def _start(kwargs: Any, *, begins: bool = True) -> ModelCall | None:
    asked = (kwargs.get("model"), kwargs.get("contents"), kwargs.get("config"))
    return start_call(NAME, lambda: read.chat_request(*asked), begins=begins)


def _generate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = _start(kwargs)
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish_with(read.chat_reply, result)
    return result


async def _agenerate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = _start(kwargs)
    if call is None:
        return await wrapped(*args, **kwargs)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish_with(read.chat_reply, result)
    return result


def _stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = _start(kwargs, begins=False)
    source = wrapped(*args, **kwargs)
    return source if call is None else follow(source, call, read.ResponseChunks())


async def _astream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = _start(kwargs)
    if call is None:
        return await wrapped(*args, **kwargs)
    try:
        source = await wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.suspend()
    return follow_async(source, call, read.ResponseChunks())


async def _carry(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    frame = live_frame(default())
    source = await wrapped(*args, **kwargs)
    return source if frame is None else carry_async(source, frame)


def _embed(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = start_call(NAME, lambda: read.embedding_request(kwargs.get("model"), kwargs.get("contents")))
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish_with(read.embedding_reply, result)
    return result


async def _aembed(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = start_call(NAME, lambda: read.embedding_request(kwargs.get("model"), kwargs.get("contents")))
    if call is None:
        return await wrapped(*args, **kwargs)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish_with(read.embedding_reply, result)
    return result


def _call_function(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = start_tool(NAME, getattr(args[1], "__name__", "function"), args[0])
    return run_tool(call, lambda: wrapped(*args, **kwargs), ToolCall.end)


async def _acall_function(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    call = start_tool(NAME, getattr(args[1], "__name__", "function"), args[0])
    return await await_tool(call, lambda: wrapped(*args, **kwargs), ToolCall.end)
