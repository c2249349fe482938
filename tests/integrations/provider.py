"""A provider of models on a local port: answers what a test has scripted, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One HTTP answer: a JSON document, or server-sent events of which `cut_after` breaks the connection off."""

    body: Any = None
    events: list[Any] | None = None
    status: int = 200
    cut_after: int | None = None
    headers: dict[str, str] = {}


class Asked(NamedTuple):
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Provider:
    """The scripted answers, and the requests in order."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.asked: list[Asked] = []
        self.url = ""

    def will(self, *answers: Answer) -> None:
        """Answer the next requests so."""
        self.answers.extend(answers)


def sse(event: Any) -> bytes:
    """One server-sent event; a dict with a ``type`` names its event, as Anthropic and the Responses API do."""
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.provider.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, raw))
        answer = self.provider.answers.popleft()
        if answer.events is None:
            data = json.dumps(answer.body).encode()
            self._head(answer, "application/json", len(data))
            self.wfile.write(data)
            return
        self._head(answer, "text/event-stream", None)
        for index, event in enumerate(answer.events):
            if index == answer.cut_after:
                self.close_connection = True
                return
            data = sse(event)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, answer: Answer, kind: str, length: int | None) -> None:
        self.send_response(answer.status)
        self.send_header("content-type", kind)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Provider]:
    """Serve on a free port of this machine."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def chat_answer(
    text: str | None = "On its way.",
    *,
    number: int = 1,
    calls: list[tuple[str, dict[str, Any]]] | None = None,
    model: str = "gpt-4o-mini-2024-07-18",
    tokens: tuple[int, int] = (100, 20),
) -> dict[str, Any]:
    """A chat completion as the OpenAI API sends it."""
    made = [
        {"id": f"call_{number}_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, (name, arguments) in enumerate(calls or [])
    ]
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {**message, "tool_calls": made} if made else message,
                "logprobs": None,
                "finish_reason": "tool_calls" if made else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def chat_chunks(
    *texts: str, number: int = 1, usage: tuple[int, int] | None = (100, 20), call: tuple[str, list[str]] | None = None
) -> list[Any]:
    """A chat completion as server-sent chunks; `call` is a tool's name and the pieces of its arguments."""
    head = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1_767_225_600,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}

    chunks: list[Any] = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"content": text}) for text in texts]
    if call is not None:
        name, pieces = call
        first = {"index": 0, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}
        chunks.append(chunk({"tool_calls": [first]}))
        chunks += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    chunks.append(chunk({}, "stop" if call is None else "tool_calls"))
    if usage is not None:
        counted = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        chunks.append({**head, "choices": [], "usage": counted})
    return [*chunks, "[DONE]"]


def response_answer(text: str = "On its way.", number: int = 1, tokens: tuple[int, int] = (100, 20)) -> dict[str, Any]:
    """A response as the Responses API sends it."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    message = {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": content}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_767_225_600,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-4.1-2025-04-14",
        "output": [message],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": "default",
        "usage": {
            "input_tokens": tokens[0],
            "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
            "output_tokens": tokens[1],
            "output_tokens_details": {"reasoning_tokens": 8},
            "total_tokens": sum(tokens),
        },
    }


def response_events(*texts: str, number: int = 1) -> list[Any]:
    """A response as server-sent events."""
    whole = response_answer("".join(texts), number)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    item = whole["output"][0]
    part = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = {**item, "status": "in_progress", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        {"type": "response.content_part.added", **part, "part": {**item["content"][0], "text": ""}},
        *({"type": "response.output_text.delta", **part, "delta": text, "logprobs": []} for text in texts),
        {"type": "response.output_text.done", **part, "text": "".join(texts), "logprobs": []},
        {"type": "response.content_part.done", **part, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return [{**event, "sequence_number": index} for index, event in enumerate(events)]


def message_answer(
    text: str | None = "On its way.",
    *,
    number: int = 1,
    call: tuple[str, dict[str, Any]] | None = None,
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A message as the Anthropic API sends it."""
    blocks: list[dict[str, Any]] = [] if text is None else [{"type": "text", "text": text}]
    if call is not None:
        blocks.append({"type": "tool_use", "id": f"toolu_{number}", "name": call[0], "input": call[1]})
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": blocks,
        "stop_reason": "end_turn" if call is None else "tool_use",
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 100, "output_tokens": 20, "service_tier": "standard"},
    }


def message_events(*texts: str, number: int = 1, call: tuple[str, list[str]] | None = None) -> list[Any]:
    """A message as server-sent events."""
    whole = message_answer(None, number=number, usage={"input_tokens": 100, "output_tokens": 1})
    events: list[Any] = [{"type": "message_start", "message": {**whole, "stop_reason": None}}]
    index = 0
    if texts:
        block: dict[str, Any] = {"type": "text", "text": ""}
        events.append({"type": "content_block_start", "index": 0, "content_block": block})
        events.append({"type": "ping"})
        for text in texts:
            delta = {"type": "text_delta", "text": text}
            events.append({"type": "content_block_delta", "index": 0, "delta": delta})
        events.append({"type": "content_block_stop", "index": 0})
        index = 1
    if call is not None:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": call[0], "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        for piece in call[1]:
            delta = {"type": "input_json_delta", "partial_json": piece}
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "end_turn" if call is None else "tool_use", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 20}})
    return [*events, {"type": "message_stop"}]
