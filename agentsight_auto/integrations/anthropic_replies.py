"""Read requests and replies of the Anthropic messages API. Pure.

Source: https://docs.anthropic.com/en/api/messages and /messages-streaming (messages, usage, stream events).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .openai_replies import shown_parameters
from .replies import LONGEST_TEXT, Reply, Request, Said, ToolCall, Usage, get, is_ordinary_tier, items, number, text_of

PROVIDER = "anthropic"


def message_request(body: Mapping[str, Any]) -> Request:
    """Read the body of ``POST /v1/messages``."""
    shown = shown_parameters(body)
    return Request("chat", PROVIDER, str(body.get("model")), "anthropic.messages", shown, lambda: prompt_of(body))


def prompt_of(body: Mapping[str, Any]) -> list[Said]:
    """Return the prompt; results of tools, which stand in a message of the user, are of the role ``tool``."""
    prompt = []
    for entry in items(body.get("messages")):
        content = get(entry, "content")
        kinds = {get(block, "type") for block in items(content)}
        texts = content if isinstance(content, str) else [b for b in items(content) if get(b, "type") == "text"]
        text = text_of(texts)
        if "tool_result" in kinds:
            prompt.append(Said("tool", ""))
            if not text:
                continue
        prompt.append(Said(str(get(entry, "role")), text))
    return prompt


def message_usage(usage: Any) -> Usage | None:
    """Read the usage: the provider counts cached input apart, here it is part of the prompt."""
    if usage is None:
        return None
    cache_read = number(get(usage, "cache_read_input_tokens"))
    cache_write = number(get(usage, "cache_creation_input_tokens"))
    return Usage(
        prompt=number(get(usage, "input_tokens")) + cache_read + cache_write,
        completion=number(get(usage, "output_tokens")),
        cache_read=cache_read,
        cache_write=cache_write,
        cache_write_1h=number(get(usage, "cache_creation", "ephemeral_1h_input_tokens")),
        reasoning=number(get(usage, "output_tokens_details", "thinking_tokens")),
        has_list_price=is_ordinary_tier(get(usage, "service_tier")) and get(usage, "speed") in {None, "standard"},
    )


def message_reply(message: Any) -> Reply:
    """Read a message."""
    blocks = items(get(message, "content"))
    calls = [block for block in blocks if get(block, "type") in {"tool_use", "server_tool_use"}]
    return Reply(
        model=get(message, "model"),
        response_id=get(message, "id") or None,
        finish_reason=get(message, "stop_reason"),
        tool_calls=tuple(ToolCall(str(get(call, "name")), get(call, "input")) for call in calls),
        usage=message_usage(get(message, "usage")),
        text="".join(get(block, "text") or "" for block in blocks if get(block, "type") == "text"),
    )


class MessageEvents:
    """A message as events: it starts with the input's usage, and ends with the output's."""

    def __init__(self) -> None:
        self._reply = Reply()
        self._usage: dict[str, Any] = {}
        self._texts: list[str] = []
        self._size = 0
        self._calls: dict[int, tuple[str, list[str]]] = {}

    def add(self, item: Any) -> bool:
        """Take an event."""
        kind = get(item, "type")
        if kind == "message_start":
            self._reply = message_reply(get(item, "message"))
            self._count(get(item, "message", "usage"))
        elif kind == "content_block_start":
            block = get(item, "content_block")
            if get(block, "type") in {"tool_use", "server_tool_use"}:
                self._calls[get(item, "index") or 0] = (str(get(block, "name")), [])
        elif kind == "content_block_delta":
            return self._add_delta(get(item, "index") or 0, get(item, "delta"))
        elif kind == "message_delta":
            self._reply = self._reply._replace(finish_reason=get(item, "delta", "stop_reason"))
            self._count(get(item, "usage"))
        return False

    def _add_delta(self, index: int, delta: Any) -> bool:
        text, part = get(delta, "text"), get(delta, "partial_json")
        if self._size < LONGEST_TEXT:
            if isinstance(text, str):
                self._texts.append(text)
            elif isinstance(part, str) and index in self._calls:
                self._calls[index][1].append(part)
            self._size += len(text or part or "")
        return bool(text or part or get(delta, "thinking"))

    def _count(self, usage: Any) -> None:
        """Keep each counter's latest value: they grow, and the last event leaves out what has not changed."""
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        for name in (*names, "cache_creation", "service_tier", "speed", "output_tokens_details"):
            value = get(usage, name)
            if value is not None:
                self._usage[name] = value

    def reply(self) -> Reply:
        """Return what has arrived."""
        calls = tuple(ToolCall(name, "".join(parts)) for _, (name, parts) in sorted(self._calls.items()))
        usage = message_usage(self._usage) if self._usage else None
        return self._reply._replace(text="".join(self._texts), tool_calls=calls, usage=usage)
