"""``POST /api/conversation-feedbacks/``: a customer's judgement on a conversation, as older clients send it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query.edit_values import LONGEST_COMMENT, SENTIMENTS
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.recording import conversation_of, event_head, has_conversation
from agentsight_auto.server.routing import Call, Operation


class FeedbackBody(msgspec.Struct):
    """A feedback; `conversation` is the integer id, and wins over the text id."""

    sentiment: str
    conversation: int | str | None = None
    conversation_id: int | str | None = None
    timestamp: str | None = None
    comment: str | None = None
    metadata: dict[str, Any] | None = None


def create(call: Call) -> Response:
    """Store a feedback of the customer."""
    body = call.read(FeedbackBody)
    if body.sentiment not in SENTIMENTS:
        raise errors.field_error("sentiment", f'"{body.sentiment[:64]}" is not a valid choice.')
    if body.comment is not None and len(body.comment) > LONGEST_COMMENT:
        raise errors.field_error("comment", f"Ensure this field has no more than {LONGEST_COMMENT} characters.")
    conversation_id = conversation_of(call, body.conversation, body.conversation_id)
    if not has_conversation(call, conversation_id):
        raise errors.not_found("Conversation not found.")
    event_id, _, at_us = event_head(call, conversation_id, body.timestamp)
    feedback = call.backend.submit_feedback(
        conversation_id, body.sentiment, body.comment, body.metadata, event_id=event_id, at_us=at_us
    )
    return json_response(feedback, 201)


ROUTES = (
    Operation(
        "POST", "/api/conversation-feedbacks/", create, "Submit feedback", role="write", body=FeedbackBody,
        answers={201: dict[str, Any]}, refusals=(400, 404), tag="tracking",
    ),
)  # fmt: skip
