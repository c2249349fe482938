"""litellm: completions and embeddings, whole and streamed, sync and async; its router and what it calls inside too."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .._guard import guarded
from . import openai_replies as read
from .model_call import ModelCall, current_call, start_call
from .patches import Patches
from .replies import Reply, Request

NAME = "litellm"


class _Pending(NamedTuple):
    call: ModelCall
    seen: read.ChatChunks

    @guarded
    def add(self, item: Any) -> None:
        if self.seen.add(item):
            self.call.first_token()

    def end(self, error: BaseException | None = None, *, is_closed_early: bool = False) -> None:
        self.call.finish(self.seen.reply(), error, is_closed_early=is_closed_early)

    def abandon(self) -> None:
        if not self.call.is_finished:
            self.end(is_closed_early=True)


_pending: weakref.WeakKeyDictionary[Any, _Pending] = weakref.WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Patch the functions under both of their names, and the stream that they return."""
    for module in ("litellm.main", "litellm"):
        patches.wrap(module, "completion", _sync(_chat_request, read.chat_reply))
        patches.wrap(module, "embedding", _sync(_embedding_request, read.embedding_reply))
        patches.wrap(module, "acompletion", _async(_chat_request, read.chat_reply))
        patches.wrap(module, "aembedding", _async(_embedding_request, read.embedding_reply))
    stream = "litellm.litellm_core_utils.streaming_handler"
    patches.wrap(stream, "CustomStreamWrapper.__next__", _next)
    patches.wrap(stream, "CustomStreamWrapper.__anext__", _anext)


def _start(read_request: Callable[[Mapping[str, Any]], Request], args: Any, kwargs: Any) -> ModelCall | None:
    running = current_call()
    if running is not None and running.integration == NAME and not running.is_finished:
        return None  # its async functions call the sync ones
    body = {**dict(zip(("model", "messages"), args, strict=False)), **kwargs}
    return start_call(NAME, lambda: read_request(body))


def _sync(read_request: Callable[[Mapping[str, Any]], Request], read_reply: Callable[[Any], Reply]) -> Any:
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        del instance
        call = _start(read_request, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            call.finish(None, error)
            raise
        _settle(call, result, read_reply)
        return result

    return wrapper


def _async(read_request: Callable[[Mapping[str, Any]], Request], read_reply: Callable[[Any], Reply]) -> Any:
    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        del instance
        call = _start(read_request, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.finish(None, error)
            raise
        _settle(call, result, read_reply)
        return result

    return wrapper


@guarded
def _settle(call: ModelCall, result: Any, read_reply: Callable[[Any], Reply]) -> None:
    if type(result).__name__ != "CustomStreamWrapper":
        call.finish_with(read_reply, result)
        return
    call.suspend()
    pending = _pending[result] = _Pending(call, read.ChatChunks())
    weakref.finalize(result, pending.abandon)


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
