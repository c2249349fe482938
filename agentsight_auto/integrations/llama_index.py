"""llama-index: the model calls of every `LLM` class, whole and streamed, and the tools that its agents run.

In: the methods by which the framework and programs call a model, of the classes that exist and those that come.
Out: model calls and tools. Loses: nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._guard import guarded
from . import anthropic_replies, openai_replies
from .around import around, around_async
from .model_call import ModelCall, start_call
from .patches import Patches
from .replies import Reply, Request, Said, get, items, text_of
from .streams import opening, opening_async
from .tool_call import ToolCall, ToolRun, tool_starter

NAME = "llama_index"


def install(patches: Patches) -> None:
    """Patch the classes of models, also those that are made later, and the tools."""
    base: Any = sys.modules["llama_index.core.base.llms.base"].BaseLLM
    for kind in (base, *_below(base)):
        _patch(patches, kind)

    def make(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        wrapped(*args, **kwargs)
        if issubclass(instance, base):
            guarded(_patch)(patches, instance)

    patches.wrap("llama_index_instrumentation", "DispatcherSpanMixin.__init_subclass__", make)
    start_tool = tool_starter(NAME, _read_tool)
    patches.wrap("llama_index.core.tools.function_tool", "FunctionTool.call", around(start_tool, _end_tool))
    patches.wrap("llama_index.core.tools.function_tool", "FunctionTool.acall", around_async(start_tool, _end_tool))


def _below(kind: Any) -> Iterator[Any]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _patch(patches: Patches, kind: Any) -> None:
    """Patch the methods that a class has of its own."""
    for name, wrapper in _WRAPPERS.items():
        method = vars(kind).get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            patches.wrap(kind, name, wrapper)


@guarded
def _start(llm: Any, args: Any, kwargs: Any) -> ModelCall | None:
    asked = args[0] if args else kwargs.get("messages", kwargs.get("prompt"))
    return start_call(NAME, lambda: _request(llm, asked))


def _end(call: ModelCall, result: Any) -> None:
    call.finish_with(_reply, result)


def _request(llm: Any, asked: Any) -> Request:
    known: Mapping[str, Any] = llm.metadata.model_dump()
    name = str(get(llm, "model") or known.get("model_name") or "unknown")
    provider = str(type(llm).class_name()).split("_", maxsplit=1)[0].lower()
    return Request("chat", provider, name, "llama_index.llm", {}, lambda: _prompt(asked))


def _prompt(asked: Any) -> list[Said]:
    if isinstance(asked, str):
        return [Said("user", asked)]
    return [
        Said(str(getattr(get(one, "role"), "value", get(one, "role"))), text_of(get(one, "content")))
        for one in items(asked)
    ]


def _reply(response: Any) -> Reply:
    """Read the provider's own reply, which the framework keeps as `raw`; of a stream it is the last chunk."""
    raw = get(response, "raw")
    said = text_of(get(response, "message", "content")) or str(get(response, "text") or "")
    if get(raw, "output") is not None:
        reply = openai_replies.response_reply(raw)
    elif get(raw, "stop_reason") is not None:
        reply = anthropic_replies.message_reply(raw)
    else:
        reply = openai_replies.chat_reply(raw)
    return reply._replace(text=reply.text or said)


class _Steps:
    """A streamed reply: each step holds all that has been said, and the provider's chunk."""

    def __init__(self) -> None:
        self._reply = Reply()

    def add(self, item: Any) -> bool:
        """Take a step."""
        known = {name: value for name, value in _reply(item)._asdict().items() if value}
        self._reply = self._reply._replace(**known)
        return bool(get(item, "delta"))

    def reply(self) -> Reply:
        """Return what has arrived."""
        return self._reply


_WRAPPERS: dict[str, Callable[..., Any]] = {
    "chat": around(_start, _end),
    "complete": around(_start, _end),
    "achat": around_async(_start, _end),
    "acomplete": around_async(_start, _end),
    "stream_chat": opening(_start, _Steps),
    "stream_complete": opening(_start, _Steps),
    "astream_chat": opening_async(_start, _Steps),
    "astream_complete": opening_async(_start, _Steps),
}


def _read_tool(tool: Any, args: Any, kwargs: Any) -> ToolRun:
    functions = [vars(tool).get(name) for name in ("_fn", "_async_fn", "_real_fn")]
    return ToolRun(str(tool.metadata.name), kwargs or list(args), functions)


def _end_tool(call: ToolCall, result: Any) -> None:
    content = getattr(result, "content", result)
    if getattr(result, "is_error", False):
        call.end(None, error_text=str(content))
    else:
        call.end(content)
