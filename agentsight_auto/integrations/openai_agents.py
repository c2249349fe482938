"""openai-agents: the spans of its own tracing, whether tracing sends them anywhere or is turned off.

In: the start and end of its generation, response, function and hand-over spans. Out: model calls and tools.
Loses: where tracing leaves out sensitive data, what only the span would have told; the SDK beneath knows the rest.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from typing import Any

from .._guard import guarded
from ..capture.spec import spec_of
from . import openai_replies
from .model_call import ModelCall, start_call
from .patches import Patches
from .replies import Reply, Request, Said, Usage, get, items, number, text_of
from .tool_call import ToolCall, ToolRun, start_tool

NAME = "openai_agents"

_running: weakref.WeakKeyDictionary[Any, ModelCall | ToolCall] = weakref.WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Patch both kinds of spans, those that are traced and those that are not, and what describes a function."""
    for kind in ("SpanImpl", "NoOpSpan"):
        patches.wrap("agents.tracing.spans", f"{kind}.start", _start)
        patches.wrap("agents.tracing.spans", f"{kind}.finish", _finish)
    patches.wrap("agents.tool", "function_schema", _describe)


def _describe(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    schema = wrapped(*args, **kwargs)
    _note_name(args[0] if args else kwargs.get("func"), schema)
    return schema


@guarded
def _note_name(function: Any, schema: Any) -> None:
    """Let a tracked function know as which tool it is run: the span of a run tells that name alone."""
    spec = spec_of(function)
    if spec is not None:
        spec.aliases.add(str(schema.name))


def _start(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    _open(instance)
    return result


def _finish(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    _close(instance)
    return wrapped(*args, **kwargs)


@guarded
def _open(span: Any) -> None:
    data = span.span_data
    call: ModelCall | ToolCall | None = None
    if data.type in {"generation", "response"}:
        call = start_call(NAME, lambda: _request(data))
    elif data.type == "function":
        call = start_tool(NAME, ToolRun(str(data.name)))
    elif data.type == "handoff":
        call = start_tool(NAME, ToolRun("handoff"))
    if call is not None:
        _running[data] = call


@guarded
def _close(span: Any) -> None:
    data = span.span_data
    call = _running.pop(data, None)
    error = get(span, "error")
    told = None if error is None else f"{get(error, 'message')}: {get(error, 'data', 'error') or get(error, 'data')}"
    if isinstance(call, ModelCall):
        call.request = call.request._replace(model=_model(data, call))
        failure = None if told is None else _Failure(told)
        call.finish(_reply(data), failure)
    elif isinstance(call, ToolCall):
        is_handoff = data.type == "handoff"
        arguments = {"from": data.from_agent, "to": data.to_agent} if is_handoff else _arguments(data.input)
        if call.conversation.runtime.settings.capture_args:
            call.tools_used["parameters"] = arguments
        call.end(None if is_handoff else data.output, error_text=told)


class _Failure(Exception):
    """A failure that the framework tells as text."""


def _model(data: Any, call: ModelCall) -> str:
    told = get(data, "model") or get(data, "response", "model")
    inner = next((reply.model for reply in call.inner if reply.model), None)
    return str(told or inner or "unknown")


def _request(data: Any) -> Request:
    return Request(
        "chat", "openai", str(get(data, "model") or "unknown"), "openai_agents.model", {}, lambda: _prompt(data)
    )


def _prompt(data: Any) -> list[Said]:
    return [Said(str(get(entry, "role")), text_of(get(entry, "content"))) for entry in items(get(data, "input"))]


def _reply(data: Any) -> Reply:
    if data.type == "response":
        return Reply() if data.response is None else openai_replies.response_reply(data.response)
    usage = get(data, "usage")
    tokens = Usage(
        prompt=number(get(usage, "input_tokens")),
        completion=number(get(usage, "output_tokens")),
        cache_read=number(get(usage, "input_tokens_details", "cached_tokens")),
        reasoning=number(get(usage, "output_tokens_details", "reasoning_tokens")),
    )
    output = items(get(data, "output"))
    choice = {"message": output[0]} if output and isinstance(output[0], Mapping) else {}
    return openai_replies.chat_reply({"choices": [choice]})._replace(
        usage=tokens if usage else None, model=get(data, "model")
    )


def _arguments(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
