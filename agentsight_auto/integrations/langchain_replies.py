"""Read the messages of langchain-core. Pure.

Source: langchain_core.messages (AIMessage, UsageMetadata) and langchain_core.outputs (ChatResult).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .replies import LONGEST_TEXT, Reply, Request, Said, ToolCall, Usage, get, is_ordinary_tier, items, number, text_of

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
_SHOWN = ("temperature", "max_tokens", "top_p")


def model_name(model: Any) -> str:
    """Return the model's name as its provider knows it; else the class of its client."""
    for attribute in ("model_name", "model", "model_id", "deployment_name"):
        name = getattr(model, attribute, None)
        if isinstance(name, str) and name:
            return name.removeprefix("models/")
    return type(model).__name__


def chat_request(model: Any, messages: Any, kwargs: Mapping[str, Any]) -> Request:
    """Read a call of a chat model; `messages` is a list of messages, a text or a prompt value."""
    provider = str(getattr(model, "_llm_type", type(model).__name__)).removesuffix("-chat")
    shown = {name: getattr(model, name, None) for name in _SHOWN}
    parameters: dict[str, Any] = {name: value for name, value in shown.items() if isinstance(value, (int, float))}
    tools = [get(tool, "function", "name") or get(tool, "name") for tool in items(kwargs.get("tools"))]
    if tools:
        parameters["tools"] = tools
    return Request("chat", provider, model_name(model), "langchain.chat", parameters, lambda: prompt_of(messages))


def prompt_of(messages: Any) -> list[Said]:
    """Return the prompt."""
    if isinstance(messages, str):
        return [Said("user", messages)]
    if hasattr(messages, "to_messages"):
        messages = messages.to_messages()
    said = []
    for message in items(messages):
        if isinstance(message, tuple) and len(message) == 2:
            said.append(Said(str(message[0]), text_of(message[1])))
            continue
        role = str(get(message, "type") or get(message, "role"))
        said.append(Said(_ROLES.get(role, role), text_of(get(message, "content"))))
    return said


def usage_of(message: Any) -> Usage | None:
    """Read the usage of a message; None where it has none."""
    usage = get(message, "usage_metadata")
    if usage is None:
        return None
    audio = number(get(usage, "input_token_details", "audio")) + number(get(usage, "output_token_details", "audio"))
    tier = get(message, "response_metadata", "service_tier")
    return Usage(
        prompt=number(get(usage, "input_tokens")),
        completion=number(get(usage, "output_tokens")),
        cache_read=number(get(usage, "input_token_details", "cache_read")),
        cache_write=number(get(usage, "input_token_details", "cache_creation")),
        cache_write_1h=number(get(usage, "input_token_details", "ephemeral_1h_input_tokens")),
        reasoning=number(get(usage, "output_token_details", "reasoning")),
        has_list_price=not audio and is_ordinary_tier(tier),
    )


def message_reply(message: Any) -> Reply:
    """Read a message of a model."""
    told = get(message, "response_metadata") or {}
    own_id = get(message, "id")
    generated = not isinstance(own_id, str) or own_id.startswith(("run-", "lc_", "lc-"))
    calls = tuple(ToolCall(str(get(call, "name")), get(call, "args")) for call in items(get(message, "tool_calls")))
    return Reply(
        model=get(told, "model_name") or get(told, "model"),
        response_id=get(told, "id") or (None if generated else own_id),
        finish_reason=get(told, "finish_reason") or get(told, "stop_reason") or get(told, "status"),
        tool_calls=calls,
        usage=usage_of(message),
        text=text_of(get(message, "content")),
    )


def result_reply(result: Any) -> Reply:
    """Read a `ChatResult`: several generations are one call, whose usage is told with one of them or beside them."""
    messages = [get(generation, "message") for generation in items(get(result, "generations"))]
    replies = [message_reply(message) for message in messages]
    if not replies:
        return Reply()
    usage = next((reply.usage for reply in replies if reply.usage is not None), None)
    beside = get(result, "llm_output")
    return replies[0]._replace(
        usage=usage,
        model=replies[0].model or get(beside, "model_name"),
        response_id=replies[0].response_id or get(beside, "id"),
        tool_calls=tuple(call for reply in replies for call in reply.tool_calls),
    )


class MessageChunks:
    """A message in chunks: usage is told in parts, which are summed."""

    def __init__(self) -> None:
        self._reply = Reply()
        self._texts: list[str] = []
        self._size = 0
        self._calls: dict[Any, tuple[str, list[str]]] = {}

    def add(self, item: Any) -> bool:
        """Take a chunk."""
        part, reply = message_reply(item), self._reply
        usage = part.usage if reply.usage is None or part.usage is None else reply.usage.plus(part.usage)
        self._reply = Reply(
            model=part.model or reply.model,
            response_id=part.response_id or reply.response_id,
            finish_reason=part.finish_reason or reply.finish_reason,
            usage=usage or reply.usage,
        )
        if part.text and self._size < LONGEST_TEXT:
            self._texts.append(part.text)
            self._size += len(part.text)
        calls = items(get(item, "tool_call_chunks"))
        for call in calls:
            name, pieces = self._calls.setdefault(get(call, "index"), ("", []))
            self._calls[get(call, "index")] = (name or get(call, "name") or "", pieces)
            pieces.append(get(call, "args") or "")
        return bool(part.text or calls)

    def reply(self) -> Reply:
        """Return what has arrived."""
        calls = tuple(ToolCall(name, "".join(pieces)) for name, pieces in self._calls.values())
        return self._reply._replace(text="".join(self._texts), tool_calls=calls)
