"""``/api/track/{id}/``: one message by its integer id, and its metadata to edit."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.server.shapes import Message
from agentsight_auto.store.message_edit import replace_metadata

PATH = "/api/track/{id}/"


class MetadataBody(msgspec.Struct):
    """The whole new document; other fields of a message are what was recorded, and stay so."""

    metadata: dict[str, Any]


def fetch(call: Call) -> Response:
    """Return one message with what hangs on it."""
    return json_response(call.backend.fetch_message(call.id()))


def change(call: Call) -> Response:
    """Replace the message's metadata."""
    number = call.id()
    replace_metadata(call.service.database, call.backend.agent_id, number, call.read(MetadataBody).metadata)
    return json_response(call.backend.fetch_message(number))


ROUTES = (
    Operation("GET", PATH, fetch, "Read one message", tag="messages", answers={200: Message}, refusals=(404,)),
    Operation(
        "PATCH", PATH, change, "Replace a message's metadata", role="write", body=MetadataBody, tag="messages",
        answers={200: Message}, refusals=(400, 404),
    ),
)  # fmt: skip
