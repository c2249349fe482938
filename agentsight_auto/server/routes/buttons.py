"""``POST /api/buttons/``: a choice that was offered and pressed."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.events import Button
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.recording import checked_text, conversation_of, event_head, record, used_before
from agentsight_auto.server.routing import Call, Operation


class ButtonBody(msgspec.Struct):
    """A button; `conversation` is the integer id, and wins over the text id."""

    button_event: str
    label: str
    value: str
    timestamp: str | None = None
    conversation: int | str | None = None
    conversation_id: int | str | None = None
    metadata: dict[str, Any] | None = None


def create(call: Call) -> Response:
    """Store a button; it appears as a message of the customer."""
    body = call.read(ButtonBody)
    for field in ("button_event", "label", "value"):
        checked_text(field, getattr(body, field))
    conversation_id = conversation_of(call, body.conversation, body.conversation_id)
    head = event_head(call, conversation_id, body.timestamp)
    event = Button(*head, body.button_event, body.label, body.value, body.metadata)
    message = call.backend.fetch_message(record(call, event))
    button = message["button"]
    if button is None:
        raise used_before()
    return json_response({**button, "message": message["id"], "timestamp": message["timestamp"]}, 201)


ROUTES = (
    Operation(
        "POST", "/api/buttons/", create, "Record a pressed button", role="write", body=ButtonBody,
        answers={201: dict[str, Any]}, refusals=(400, 404), tag="tracking",
    ),
)  # fmt: skip
