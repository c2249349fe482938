"""llama-index: its model calls by the events that it dispatches, and the tools that its agents run.

In: start and end events of chats and completions, which come in pairs. Out: model calls and tools. Loses: a call that
fails, of which there is no end event: the SDK beneath tells it.
A call that the SDK beneath has told already is not told again: both know the provider's id of the response.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from .._guard import guarded
from . import anthropic_replies, openai_replies
from .model_call import ModelCall, is_told, start_call
from .patches import Patches
from .replies import Reply, Request, Said, get, items, text_of
from .tool_call import ToolCall, await_tool, run_tool, start_tool

NAME = "llama_index"

_OPEN = {"LLMChatStartEvent", "LLMCompletionStartEvent"}
_CLOSE = {"LLMChatEndEvent", "LLMCompletionEndEvent"}
_MOST_RUNNING = 1000

_running: OrderedDict[Any, ModelCall] = OrderedDict()


def install(patches: Patches) -> None:
    """Patch the dispatcher of events, and the tools."""
    patches.wrap("llama_index_instrumentation.dispatcher", "Dispatcher.event", _event)
    patches.wrap("llama_index.core.tools.function_tool", "FunctionTool.call", _call)
    patches.wrap("llama_index.core.tools.function_tool", "FunctionTool.acall", _acall)


def _event(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    _note(args[0] if args else kwargs.get("event"))
    return wrapped(*args, **kwargs)


@guarded
def _note(event: Any) -> None:
    kind = type(event).__name__
    if kind in _OPEN:
        call = start_call(NAME, lambda: _request(event), begins=False)
        if call is not None:
            with call.resumed():
                call.begin()
            _running[event.span_id] = call
            while len(_running) > _MOST_RUNNING:
                _running.popitem(last=False)
    elif kind in _CLOSE:
        call = _running.pop(event.span_id, None)
        if call is not None:
            reply = _reply(event.response)
            if reply.response_id is None or not is_told(call.conversation.conversation_id, reply.response_id):
                call.finish(reply)


def _request(event: Any) -> Request:
    known: Mapping[str, Any] = event.model_dict
    name = str(known.get("model") or known.get("model_name") or known.get("class_name") or "unknown")
    provider = str(known.get("class_name") or "llama_index").split("_", maxsplit=1)[0].lower()
    return Request("chat", provider, name, "llama_index.llm", {}, lambda: _prompt(event))


def _prompt(event: Any) -> list[Said]:
    if get(event, "prompt") is not None:
        return [Said("user", str(event.prompt))]
    messages = items(get(event, "messages"))
    return [
        Said(str(getattr(get(one, "role"), "value", get(one, "role"))), text_of(get(one, "content")))
        for one in messages
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


def _call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = start_tool(NAME, str(instance.metadata.name), kwargs or list(args))
    return run_tool(call, lambda: wrapped(*args, **kwargs), _end)


async def _acall(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    call = start_tool(NAME, str(instance.metadata.name), kwargs or list(args))
    return await await_tool(call, lambda: wrapped(*args, **kwargs), _end)


def _end(call: ToolCall, result: Any) -> None:
    content = getattr(result, "content", result)
    if getattr(result, "is_error", False):
        call.end(None, error_text=str(content))
    else:
        call.end(content)
