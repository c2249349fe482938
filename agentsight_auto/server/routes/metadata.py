"""What there is to filter by: keys and values in the metadata of recent conversations and messages."""

from __future__ import annotations

from starlette.responses import Response

from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routes.conversations import PATH
from agentsight_auto.server.routing import Call, Operation, Parameter
from agentsight_auto.server.shapes import Names, Values


def fetch_keys(call: Call) -> Response:
    """Return the keys of conversations' metadata."""
    return json_response({"keys": call.backend.metadata_keys()})


def fetch_values(call: Call) -> Response:
    """Return the values of one key."""
    key = call.filters().get("key", "")
    if not key:
        raise errors.required("key")
    return json_response({"key": key, "values": call.backend.metadata_values(key)})


def fetch_message_keys(call: Call) -> Response:
    """Return the keys of messages' metadata."""
    return json_response({"keys": call.backend.message_metadata_keys()})


_KEY = Parameter("key", "dotted path of a metadata key", is_required=True)

ROUTES = (
    Operation("GET", PATH + "metadata-keys/", fetch_keys, "List metadata keys", answers={200: Names}, tag="metadata"),
    Operation(
        "GET", PATH + "metadata-values/", fetch_values, "List the values of a metadata key",
        query=(_KEY,), answers={200: Values}, refusals=(400,), tag="metadata",
    ),
    Operation(
        "GET", PATH + "message-metadata-keys/", fetch_message_keys, "List metadata keys of messages",
        answers={200: Names}, tag="metadata",
    ),
)  # fmt: skip
