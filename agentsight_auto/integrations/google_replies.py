"""Read requests and replies of the Gemini API through google-genai. Pure.

Source: https://ai.google.dev/api/generate-content (GenerateContentResponse, UsageMetadata) and /api/embeddings.
"""

from __future__ import annotations

from typing import Any

from .replies import LONGEST_TEXT, Reply, Request, Said, ToolCall, Usage, get, items, number

PROVIDER = "google"
_SHOWN = ("temperature", "top_p", "max_output_tokens")


def chat_request(model: Any, contents: Any, config: Any) -> Request:
    """Read a call of `generate_content`."""
    shown: dict[str, Any] = {name: get(config, name) for name in _SHOWN}
    parameters: dict[str, Any] = {name: value for name, value in shown.items() if isinstance(value, (int, float))}
    tools = [_tool_name(tool) for tool in items(get(config, "tools"))]
    if tools:
        parameters["tools"] = tools
    name = str(model).rpartition("/")[2]
    return Request("chat", PROVIDER, name, "google.generate_content", parameters, lambda: prompt_of(contents))


def _tool_name(tool: Any) -> str:
    declared = items(get(tool, "function_declarations"))
    names = [str(get(function, "name")) for function in declared]
    return ", ".join(names) or getattr(tool, "__name__", type(tool).__name__)


def prompt_of(contents: Any) -> list[Said]:
    """Return the prompt: a text, a content, or a list of both."""
    said = []
    for content in items(contents) or [contents]:
        if isinstance(content, str):
            said.append(Said("user", content))
            continue
        parts = items(get(content, "parts"))
        texts = [text for part in parts if isinstance(text := get(part, "text"), str)]
        is_result = any(get(part, "function_response") is not None for part in parts)
        role = "tool" if is_result else str(get(content, "role") or "user")
        said.append(Said(role, "\n".join(texts)))
    return said


def usage_of(response: Any) -> Usage | None:
    """Read the usage of a response; thoughts are part of the completion."""
    usage = get(response, "usage_metadata")
    if usage is None:
        return None
    thoughts = number(get(usage, "thoughts_token_count"))
    details = [*items(get(usage, "prompt_tokens_details")), *items(get(usage, "candidates_tokens_details"))]
    return Usage(
        prompt=number(get(usage, "prompt_token_count")) + number(get(usage, "tool_use_prompt_token_count")),
        completion=number(get(usage, "candidates_token_count")) + thoughts,
        cache_read=number(get(usage, "cached_content_token_count")),
        reasoning=thoughts,
        has_list_price=all("AUDIO" not in str(get(detail, "modality")).upper() for detail in details),
    )


def chat_reply(response: Any) -> Reply:
    """Read a response, or one chunk of it."""
    candidates = items(get(response, "candidates"))
    first = candidates[0] if candidates else None
    parts = items(get(first, "content", "parts"))
    calls = [get(part, "function_call") for part in parts if get(part, "function_call") is not None]
    reason = get(first, "finish_reason")
    texts = [get(part, "text") for part in parts if get(part, "text") and not get(part, "thought")]
    return Reply(
        model=get(response, "model_version"),
        response_id=get(response, "response_id"),
        finish_reason=None if reason is None else str(getattr(reason, "value", reason)),
        tool_calls=tuple(ToolCall(str(get(call, "name")), get(call, "args")) for call in calls),
        usage=usage_of(response),
        text="".join(texts),
    )


class ResponseChunks:
    """A response in chunks: text adds up, counters are those of the last chunk."""

    def __init__(self) -> None:
        self._reply = Reply()
        self._size = 0

    def add(self, item: Any) -> bool:
        """Take a chunk."""
        part, before = chat_reply(item), self._reply
        text = part.text if self._size < LONGEST_TEXT else ""
        self._size += len(text)
        self._reply = Reply(
            model=part.model or before.model,
            response_id=part.response_id or before.response_id,
            finish_reason=part.finish_reason or before.finish_reason,
            tool_calls=before.tool_calls + part.tool_calls,
            usage=part.usage or before.usage,
            text=before.text + text,
        )
        return bool(part.text or part.tool_calls)

    def reply(self) -> Reply:
        """Return what has arrived."""
        return self._reply


def embedding_request(model: Any, contents: Any) -> Request:
    """Read a call of `embed_content`."""
    inputs = len(items(contents)) or 1
    return Request("embeddings", PROVIDER, str(model).rpartition("/")[2], "google.embed_content", {"inputs": inputs})


def embedding_reply(response: Any) -> Reply:
    """Read embeddings; only some services count their tokens."""
    counts = [number(get(one, "statistics", "token_count")) for one in items(get(response, "embeddings"))]
    return Reply(usage=Usage(embedding=sum(counts)) if any(counts) else None)
