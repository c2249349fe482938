"""Read requests and replies of the OpenAI API: chat completions, responses, embeddings. Pure.

Source: https://platform.openai.com/docs/api-reference (chat, responses and embeddings objects and their streams).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .replies import (
    LONGEST_TEXT,
    Reply,
    Request,
    Said,
    ToolCall,
    Usage,
    get,
    is_ordinary_tier,
    items,
    number,
    text_of,
)

_SHOWN = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "reasoning_effort",
    "stream",
)
PROVIDER = "openai"


def shown_parameters(body: Mapping[str, Any], names: tuple[str, ...] = _SHOWN) -> dict[str, Any]:
    """Return the parameters worth showing, and the names of the tools offered."""
    shown = {name: body[name] for name in names if isinstance(body.get(name), (bool, int, float, str))}
    tools = [
        get(tool, "function", "name") or get(tool, "name") or get(tool, "type") for tool in items(body.get("tools"))
    ]
    return {**shown, "tools": tools} if tools else shown


def chat_request(body: Mapping[str, Any]) -> Request:
    """Read the body of ``POST /chat/completions``."""
    return Request(
        "chat", PROVIDER, str(body.get("model")), "openai.chat", shown_parameters(body), lambda: prompt_of(body)
    )


def prompt_of(body: Mapping[str, Any]) -> list[Said]:
    """Return the prompt of a chat completion."""
    said = ((get(entry, "role"), text_of(get(entry, "content"))) for entry in items(body.get("messages")))
    return [Said(str(role), text) for role, text in said]


def chat_usage(usage: Any, tier: Any = None) -> Usage | None:
    """Read the usage of a chat completion; None where there is none."""
    if usage is None or (get(usage, "prompt_tokens") is None and get(usage, "total_tokens") is None):
        return None
    audio = number(get(usage, "prompt_tokens_details", "audio_tokens"))
    audio += number(get(usage, "completion_tokens_details", "audio_tokens"))
    return Usage(
        prompt=number(get(usage, "prompt_tokens")),
        completion=number(get(usage, "completion_tokens")),
        cache_read=number(get(usage, "prompt_tokens_details", "cached_tokens")),
        cache_write=number(
            get(usage, "prompt_tokens_details", "cache_write_tokens")
            or get(usage, "prompt_tokens_details", "cache_creation_tokens")  # as litellm calls it
        ),
        reasoning=number(get(usage, "completion_tokens_details", "reasoning_tokens")),
        has_list_price=not audio and is_ordinary_tier(tier),
    )


def chat_reply(completion: Any) -> Reply:
    """Read a chat completion."""
    choices = items(get(completion, "choices"))
    first = choices[0] if choices else None
    calls = [call for choice in choices for call in items(get(choice, "message", "tool_calls"))]
    return Reply(
        model=get(completion, "model"),
        response_id=get(completion, "id") or None,
        finish_reason=get(first, "finish_reason"),
        tool_calls=tuple(_tool_call(call) for call in calls),
        usage=chat_usage(get(completion, "usage"), get(completion, "service_tier")),
        text=text_of(get(first, "message", "content")) or text_of(get(first, "message", "refusal")),
    )


def _tool_call(call: Any) -> ToolCall:
    named = get(call, "function") or get(call, "custom") or call
    arguments = get(named, "arguments")
    return ToolCall(str(get(named, "name")), get(named, "input") if arguments is None else arguments)


class ChatChunks:
    """A chat completion in chunks; its usage comes only where the program asked for it."""

    def __init__(self) -> None:
        self._reply = Reply()
        self._tier: Any = None
        self._texts: list[str] = []
        self._size = 0
        self._calls: dict[tuple[int, int], tuple[str, list[str]]] = {}

    def add(self, item: Any) -> bool:
        """Take a chunk."""
        reply = self._reply
        self._tier = get(item, "service_tier") or self._tier
        self._reply = reply._replace(
            model=get(item, "model") or reply.model,
            response_id=get(item, "id") or reply.response_id,
            usage=chat_usage(get(item, "usage"), self._tier) or reply.usage,
        )
        has_content = False
        for number_, choice in enumerate(items(get(item, "choices"))):
            has_content |= self._add_choice(get(choice, "index") or number_, choice)
        return has_content

    def _add_choice(self, index: int, choice: Any) -> bool:
        delta = get(choice, "delta")
        text = get(delta, "content") or get(delta, "refusal")
        if isinstance(text, str) and text and index == 0 and self._size < LONGEST_TEXT:
            self._texts.append(text)
            self._size += len(text)
        calls = items(get(delta, "tool_calls"))
        for call in calls:
            key = (index, get(call, "index") or 0)
            name, parts = self._calls.setdefault(key, ("", []))
            self._calls[key] = (name or get(call, "function", "name") or "", parts)
            if len(parts) < LONGEST_TEXT:
                parts.append(get(call, "function", "arguments") or "")
        reason = get(choice, "finish_reason")
        if reason and index == 0:
            self._reply = self._reply._replace(finish_reason=reason)
        return bool(text or calls)

    def reply(self) -> Reply:
        """Return what has arrived."""
        calls = tuple(ToolCall(name, "".join(parts)) for _, (name, parts) in sorted(self._calls.items()))
        return self._reply._replace(text="".join(self._texts), tool_calls=calls)


def response_request(body: Mapping[str, Any]) -> Request:
    """Read the body of ``POST /responses``."""
    thread = str(body.get("previous_response_id") or get(body.get("conversation"), "id") or "")
    shown = shown_parameters(body)
    return Request(
        "chat", PROVIDER, str(body.get("model")), "openai.responses", shown, lambda: response_prompt(body), thread
    )


def response_prompt(body: Mapping[str, Any]) -> list[Said]:
    """Return the prompt of a response: a text, or items."""
    given = body.get("input")
    if isinstance(given, str):
        return [Said("user", given)]
    return [Said(str(get(item, "role") or get(item, "type")), text_of(get(item, "content"))) for item in items(given)]


def response_usage(usage: Any, tier: Any = None) -> Usage | None:
    """Read the usage of a response."""
    if usage is None:
        return None
    return Usage(
        prompt=number(get(usage, "input_tokens")),
        completion=number(get(usage, "output_tokens")),
        cache_read=number(get(usage, "input_tokens_details", "cached_tokens")),
        cache_write=number(get(usage, "input_tokens_details", "cache_write_tokens")),
        reasoning=number(get(usage, "output_tokens_details", "reasoning_tokens")),
        has_list_price=is_ordinary_tier(tier),
    )


def response_reply(response: Any) -> Reply:
    """Read a response."""
    output = items(get(response, "output"))
    calls = tuple(
        ToolCall(str(get(item, "name") or get(item, "type")), get(item, "arguments") or get(item, "input"))
        for item in output
        if str(get(item, "type")).endswith("_call")
    )
    texts = [text_of(get(item, "content")) for item in output if get(item, "type") == "message"]
    reason = get(response, "incomplete_details", "reason") or get(response, "status")
    return Reply(
        model=get(response, "model"),
        response_id=get(response, "id") or None,
        finish_reason="tool_calls" if calls and reason == "completed" else reason,
        tool_calls=calls,
        usage=response_usage(get(response, "usage"), get(response, "service_tier")),
        text="\n".join(text for text in texts if text),
    )


class ResponseEvents:
    """A response as events: the last one has it whole."""

    def __init__(self) -> None:
        self._response: Any = None

    def add(self, item: Any) -> bool:
        """Take an event."""
        response = get(item, "response")
        if response is not None:
            self._response = response
        return str(get(item, "type")).endswith(".delta")

    def reply(self) -> Reply:
        """Return what has arrived."""
        return response_reply(self._response)


def embedding_request(body: Mapping[str, Any]) -> Request:
    """Read the body of ``POST /embeddings``."""
    given = body.get("input")
    inputs = len(given) if isinstance(given, list) else 1
    return Request("embeddings", PROVIDER, str(body.get("model")), "openai.embeddings", {"inputs": inputs})


def embedding_reply(response: Any) -> Reply:
    """Read embeddings; they have no id."""
    usage = get(response, "usage")
    tokens = number(get(usage, "prompt_tokens") or get(usage, "total_tokens"))
    return Reply(model=get(response, "model"), usage=None if usage is None else Usage(embedding=tokens))
