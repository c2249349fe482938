"""``POST /api/track/``: a message."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.events import Message
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.recording import checked_text, conversation_of, event_head, record
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.server.shapes import Message as MessageAnswer

SENDERS = ("end_user", "agent", "system")


class MessageBody(msgspec.Struct):
    """A message; `conversation` is the integer id, and wins over the text id."""

    content: str
    sender: str
    timestamp: str | None = None
    conversation: int | str | None = None
    conversation_id: int | str | None = None
    metadata: dict[str, Any] | None = None


def create(call: Call) -> Response:
    """Store a message."""
    body = call.read(MessageBody)
    content, sender = checked_text("content", body.content), checked_sender(body.sender)
    conversation_id = conversation_of(call, body.conversation, body.conversation_id)
    event = Message(*event_head(call, conversation_id, body.timestamp), sender, content, body.metadata)
    return json_response(call.backend.fetch_message(record(call, event)), 201)


def checked_sender(sender: str) -> str:
    """Return a sender that there is.

    Raises:
        ApiError: 400.
    """
    if sender not in SENDERS:
        raise errors.field_error("sender", f'"{sender[:64]}" is not a valid choice.')
    return sender


ROUTES = (
    Operation(
        "POST", "/api/track/", create, "Record a message", role="write", body=MessageBody,
        answers={201: MessageAnswer}, refusals=(400, 404), tag="tracking",
    ),
)  # fmt: skip
