"""``POST /api/action_logs/``: an action, or the token usage that older clients send as one."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.events import Action, TokenUsage
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.recording import checked_text, conversation_of, event_head, moment_us, record, used_before
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.store.event_rows import MAX_TOKENS

TOKEN_USAGE = "token_usage"  # noqa: S105 - the name of an action
COUNTERS = ("prompt_tokens", "completion_tokens", "total_tokens", "embedding_tokens")
LONGEST_NAME = 255


class ActionLogBody(msgspec.Struct):
    """An action; `conversation` is the integer id, and wins over the text id. `duration_ms` in milliseconds."""

    action_name: str
    timestamp: str | None = None
    conversation: int | str | None = None
    conversation_id: int | str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: int | float | None = None
    tools_used: Any = None
    response: Any = None
    error_msg: str | None = None
    metadata: dict[str, Any] | None = None


def create(call: Call) -> Response:
    """Store an action; it appears as a message of the agent with one action log."""
    body = call.read(ActionLogBody)
    name = checked_text("action_name", body.action_name, longest=LONGEST_NAME)
    conversation_id = conversation_of(call, body.conversation, body.conversation_id)
    head = event_head(call, conversation_id, body.timestamp)
    if name == TOKEN_USAGE:
        return _count_tokens(call, head, body.metadata or {})
    event = Action(
        *head,
        name,
        None if body.started_at is None else moment_us("started_at", body.started_at),
        None if body.ended_at is None else moment_us("ended_at", body.ended_at),
        None if body.duration_ms is None else float(body.duration_ms),
        body.tools_used,
        body.response,
        body.error_msg,
        body.metadata,
    )
    message = call.backend.fetch_message(record(call, event))
    if not message["action_logs"]:
        raise used_before()
    log = message["action_logs"][0]
    answer = {**log, "action_name": name, "conversation": message["conversation"], "timestamp": message["timestamp"]}
    return json_response(answer, 201)


def _count_tokens(call: Call, head: tuple[str, str, int], metadata: dict[str, Any]) -> Response:
    """Store token usage: what is marked ``delta`` as it is, else what came since the last cumulative counters."""
    told = {name: _counter(name, metadata.get(name)) for name in COUNTERS}
    rest = {name: value for name, value in metadata.items() if name not in COUNTERS and name != "delta"}
    with call.service.counting_tokens:
        if metadata.get("delta") is True:
            new, row_id = told, None
        else:
            rest["cumulative"] = told
            new, row_id = _since_last(call, head[1], told)
        if row_id is None:
            row_id = record(call, _usage(head, new, rest or None))
    return json_response({"id": row_id, "action_name": TOKEN_USAGE, "conversation_id": head[1], "metadata": new}, 201)


def _usage(head: tuple[str, str, int], counted: dict[str, int], metadata: dict[str, Any] | None) -> TokenUsage:
    prompt, completion, total, embedding = (counted[name] for name in COUNTERS)
    return TokenUsage(*head, prompt, completion, total, embedding, metadata)


def _since_last(call: Call, conversation_id: str, told: dict[str, int]) -> tuple[dict[str, int], int | None]:
    """Return what came since the counters last told, and the row that told them if nothing did.

    A counter below the last one says that another tracker has begun to count.
    """
    latest = call.backend.latest_token_usage(conversation_id)
    if latest is None:
        return told, None
    row_id, document = latest
    last = {name: document["cumulative"].get(name, 0) for name in COUNTERS}
    if told == last:
        return dict.fromkeys(COUNTERS, 0), row_id
    if any(told[name] < last[name] for name in COUNTERS):
        return told, None
    return {name: told[name] - last[name] for name in COUNTERS}, None


def _counter(name: str, value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TOKENS:
        raise errors.ApiError(400, {"metadata": {name: ["A valid integer from 0 to 2**53 is required."]}})
    return value


ROUTES = (
    Operation(
        "POST", "/api/action_logs/", create, "Record an action or token usage", role="write", body=ActionLogBody,
        answers={201: dict[str, Any]}, refusals=(400, 404), tag="tracking",
    ),
)  # fmt: skip
