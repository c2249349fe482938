"""google-genai: contents generated, whole and streamed, embeddings, and the functions that it calls by itself."""

from __future__ import annotations

from typing import Any

from .._runtime import default
from ..capture.current import live_frame
from . import google_replies as read
from .around import around, around_async
from .model_call import ModelCall, start_call
from .patches import Patches
from .streams import carry_async, carry_stream, opening, opening_async
from .tool_call import ToolCall, ToolRun, tool_starter

NAME = "google_genai"


def install(patches: Patches) -> None:
    """Patch what sends one request: the public methods call it again for each round of functions."""
    start_tool = tool_starter(NAME, _read_function)
    models, extra = "google.genai.models", "google.genai._extra_utils"
    patches.wrap(models, "Models._generate_content", around(_start, _end))
    patches.wrap(models, "AsyncModels._generate_content", around_async(_start, _end))
    patches.wrap(models, "Models._generate_content_stream", opening(_start_later, read.ResponseChunks))
    patches.wrap(models, "AsyncModels._generate_content_stream", opening_async(_start, read.ResponseChunks))
    patches.wrap(models, "Models.generate_content_stream", carry_stream)
    patches.wrap(models, "AsyncModels.generate_content_stream", _carry)
    patches.wrap(models, "Models.embed_content", around(_start_embedding, _end_embedding))
    patches.wrap(models, "AsyncModels.embed_content", around_async(_start_embedding, _end_embedding))
    patches.wrap(extra, "invoke_function_from_dict_args", around(start_tool, ToolCall.end))
    patches.wrap(extra, "invoke_function_from_dict_args_async", around_async(start_tool, ToolCall.end))


def _start(instance: Any, args: Any, kwargs: Any, *, begins: bool = True) -> ModelCall | None:
    del instance, args
    asked = (kwargs.get("model"), kwargs.get("contents"), kwargs.get("config"))
    return start_call(NAME, lambda: read.chat_request(*asked), begins=begins)


def _start_later(instance: Any, args: Any, kwargs: Any) -> ModelCall | None:
    return _start(instance, args, kwargs, begins=False)  # a generator starts when it is first asked


def _end(call: ModelCall, result: Any) -> None:
    call.finish_with(read.chat_reply, result)


def _start_embedding(instance: Any, args: Any, kwargs: Any) -> ModelCall | None:
    del instance, args
    return start_call(NAME, lambda: read.embedding_request(kwargs.get("model"), kwargs.get("contents")))


def _end_embedding(call: ModelCall, result: Any) -> None:
    call.finish_with(read.embedding_reply, result)


async def _carry(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    frame = live_frame(default())
    source = await wrapped(*args, **kwargs)
    return source if frame is None else carry_async(source, frame)


def _read_function(instance: Any, args: Any, kwargs: Any) -> ToolRun:
    del instance, kwargs
    return ToolRun(getattr(args[1], "__name__", "function"), args[0], (args[1],))
