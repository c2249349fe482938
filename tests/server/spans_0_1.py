"""Bodies of ``POST /api/ingest/`` in few words, in the shape that the published client sends."""

from __future__ import annotations

import json
from typing import Any

from agentsight_auto._clock import iso_from_us

from .support import Client

T0_US = 1_795_000_000_000_000
TURN = "aaaaaaaaaaaaaaaa"
TRACE = "f" * 32


def at(ms: float) -> str:
    """Return a moment so many milliseconds after the beginning."""
    return iso_from_us(T0_US + round(ms * 1000))


def span(kind: str, span_id: str, *, ms: float = 0, lasts: float = 10, **more: Any) -> dict[str, Any]:
    """Return a span that begins after `ms` milliseconds."""
    return {
        "span_id": span_id, "trace_id": TRACE, "parent_span_id": None, "kind": kind, "name": kind,
        "started_at": at(ms), "ended_at": at(ms + lasts), "duration_ms": lasts, "status": "ok",
        "attributes": {"agentsight.span.kind": kind}, "events": [], "otel": {"span_kind": "INTERNAL"}, **more,
    }  # fmt: skip


def said(sender: str, content: str, ms: float, metadata: str | None = None) -> dict[str, Any]:
    """Return the event of a message."""
    attributes = {"agentsight.message.sender": sender, "agentsight.message.content": content}
    if metadata is not None:
        attributes["agentsight.message.metadata"] = metadata
    return {"name": "agentsight.message", "timestamp": at(ms), "attributes": attributes}


def turn(*events: dict[str, Any], span_id: str = TURN, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a turn, complete unless there is a reason."""
    attributes: dict[str, Any] = {"agentsight.turn.id": span_id, "agentsight.turn.complete": reason is None}
    if reason is not None:
        attributes["agentsight.turn.incomplete_reason"] = reason
    return span("turn", span_id, attributes=attributes, events=list(events), **more)


def tool(span_id: str, name: str = "find_order", arguments: Any = None, **more: Any) -> dict[str, Any]:
    """Return a tool's span inside the turn; `arguments` as the JSON text or what it says."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    attributes = {
        "agentsight.tool.name": name, "agentsight.tool.arguments": text, "agentsight.tool.response": "found",
        "agentsight.turn.id": TURN, **more.pop("attributes", {}),
    }  # fmt: skip
    return span("tool", span_id, attributes=attributes, **{"parent_span_id": TURN, "ms": 2, "lasts": 3, **more})


def llm(span_id: str, prompt: int, completion: int, model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    """Return a model call's span inside the turn."""
    attributes = {
        "gen_ai.request.model": model, "gen_ai.usage.input_tokens": prompt, "gen_ai.usage.output_tokens": completion,
        "agentsight.turn.id": TURN, **more.pop("attributes", {}),
    }  # fmt: skip
    return span("llm", span_id, attributes=attributes, **{"parent_span_id": TURN, "ms": 1, **more})


def block(*spans: dict[str, Any], to: str = "c1", **fields: Any) -> dict[str, Any]:
    """Return a conversation block."""
    return {"conversation_id": to, **fields, "spans": list(spans)}


def body(*blocks: dict[str, Any]) -> dict[str, Any]:
    """Return a request's body."""
    return {"sdk": {"name": "agentsight-python", "version": "0.1.4"}, "conversations": list(blocks)}


def send(client: Client, *blocks: dict[str, Any]) -> list[dict[str, Any]]:
    """Send blocks that are accepted; return what became of each."""
    answer = client.post("/api/ingest/", body(*blocks))
    assert answer.status_code == 200, answer.text
    told: list[dict[str, Any]] = answer.json()["conversations"]
    return told


def whole(client: Client, conversation_id: str = "c1") -> dict[str, Any]:
    """Return a conversation with everything."""
    row = client.get("/api/conversations/lookup/", conversation_id=conversation_id)
    assert row.status_code == 200, row.text
    document: dict[str, Any] = client.get(f"/api/conversations/{row.json()['id']}/").json()
    return document


def texts(client: Client, conversation_id: str = "c1") -> list[str]:
    """Return the contents of a conversation's messages in their order."""
    return [message["content"] for message in whole(client, conversation_id)["messages"]]


def listed(client: Client, path: str, **filters: Any) -> list[dict[str, Any]]:
    """Return all rows of a list of the newer clients."""
    answer = client.get(path, page_size=100, **filters)
    assert answer.status_code == 200, answer.text
    envelope = answer.json()
    assert envelope["count"] == len(envelope["results"])
    rows: list[dict[str, Any]] = envelope["results"]
    return rows
