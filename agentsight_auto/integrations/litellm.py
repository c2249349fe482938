"""litellm: completions and embeddings, whole and streamed, sync and async; its router and what it calls inside too."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from . import openai_replies as read
from .around import around, around_async
from .model_call import ModelCall, current_call, start_call
from .patches import Patches
from .replies import Request
from .streams import Pending

NAME = "litellm"


_pending: weakref.WeakKeyDictionary[Any, Pending] = weakref.WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Patch the functions under both of their names, and the stream that they return."""
    chat, embedding = _starter(_chat_request), _starter(_embedding_request)
    for module in ("litellm.main", "litellm"):
        patches.wrap(module, "completion", around(chat, _end))
        patches.wrap(module, "embedding", around(embedding, _end_embedding))
        patches.wrap(module, "acompletion", around_async(chat, _end))
        patches.wrap(module, "aembedding", around_async(embedding, _end_embedding))
    stream = "litellm.litellm_core_utils.streaming_handler"
    patches.wrap(stream, "CustomStreamWrapper.__next__", _next)
    patches.wrap(stream, "CustomStreamWrapper.__anext__", _anext)


def _starter(read_request: Callable[[Mapping[str, Any]], Request]) -> Callable[[Any, Any, Any], ModelCall | None]:
    def start(instance: Any, args: Any, kwargs: Any) -> ModelCall | None:
        del instance
        running = current_call()
        if running is not None and running.integration == NAME and not running.is_finished:
            return None  # its async functions call the sync ones
        body = {**dict(zip(("model", "messages"), args, strict=False)), **kwargs}
        return start_call(NAME, lambda: read_request(body))

    return start


def _end(call: ModelCall, result: Any) -> None:
    if type(result).__name__ != "CustomStreamWrapper":
        call.finish_with(read.chat_reply, result)
        return
    call.suspend()
    pending = _pending[result] = Pending(call, read.ChatChunks())
    weakref.finalize(result, pending.abandon)


def _end_embedding(call: ModelCall, result: Any) -> None:
    call.finish_with(read.embedding_reply, result)


def _next(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    pending = _pending.get(instance)
    if pending is None or pending.call.is_finished:
        return wrapped(*args, **kwargs)
    try:
        with pending.call.resumed():
            item = wrapped(*args, **kwargs)
    except StopIteration:
        pending.end()
        raise
    except BaseException as error:
        pending.end(error)
        raise
    pending.add(item)
    return item


async def _anext(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    pending = _pending.get(instance)
    if pending is None or pending.call.is_finished:
        return await wrapped(*args, **kwargs)
    try:
        with pending.call.resumed():
            item = await wrapped(*args, **kwargs)
    except StopAsyncIteration:
        pending.end()
        raise
    except BaseException as error:
        pending.end(error)
        raise
    pending.add(item)
    return item


def _provider(body: Mapping[str, Any]) -> str:
    named = body.get("custom_llm_provider") or str(body.get("model")).rpartition("/")[0].partition("/")[0]
    return str(named or NAME)


def _chat_request(body: Mapping[str, Any]) -> Request:
    return read.chat_request(body)._replace(provider=_provider(body), function="litellm.completion")


def _embedding_request(body: Mapping[str, Any]) -> Request:
    return read.embedding_request(body)._replace(provider=_provider(body), function="litellm.embedding")
