"""Explicit edits of a conversation: rename, mark, update, delete."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query import parameters
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routes.conversations import LONGEST_FIELD, PATH
from agentsight_auto.server.routing import Call, Operation


class NameBody(msgspec.Struct):
    """A new name, 1 to 255 characters."""

    name: str | None = None


class MarkBody(msgspec.Struct):
    """Set or clear the mark."""

    is_marked: bool | str | int | None = None


class UpdateBody(msgspec.Struct):
    """New values; null leaves a field as it is, `metadata` replaces the whole document."""

    name: str | None = None
    is_marked: bool | str | int | None = None
    customer_id: int | str | None = None
    device: str | None = None
    language: str | None = None
    metadata: dict[str, Any] | None = None


def rename(call: Call) -> Response:
    """Set the name."""
    number = call.id()
    name = call.read(NameBody).name
    if name is None or not name.strip():
        raise errors.detail_error(400, "Field 'name' cannot be empty.")
    if len(name.strip()) > LONGEST_FIELD:
        raise errors.field_error("name", f"Ensure this field has no more than {LONGEST_FIELD} characters.")
    return json_response(call.backend.rename_conversation(number, name))


def mark(call: Call) -> Response:
    """Set or clear the mark."""
    number = call.id()
    is_marked = call.read(MarkBody).is_marked
    if is_marked is None:
        raise errors.detail_error(400, "Missing field 'is_marked'.")
    flag = parameters.read_flag("is_marked", is_marked)
    return json_response(call.backend.mark_conversation(number, flag))


def update(call: Call) -> Response:
    """Overwrite the given fields."""
    number = call.id()
    body = call.read(UpdateBody)
    fields: dict[str, Any] = msgspec.structs.asdict(body)
    for name in ("name", "customer_id", "device", "language"):
        if fields[name] is not None and len(str(fields[name])) > LONGEST_FIELD:
            raise errors.field_error(name, f"Ensure this field has no more than {LONGEST_FIELD} characters.")
    return json_response(call.backend.update_conversation(number, **fields))


def delete(call: Call) -> Response:
    """Hide the conversation."""
    return json_response(call.backend.delete_conversation(call.id()))


_EDIT: dict[str, Any] = {"role": "write", "tag": "conversations"}

ROUTES = (
    Operation("PATCH", PATH + "{id}/rename/", rename, "Rename", body=NameBody, refusals=(400, 404), **_EDIT),
    Operation("POST", PATH + "{id}/mark/", mark, "Set or clear the mark", body=MarkBody, refusals=(400, 404), **_EDIT),
    Operation("PATCH", PATH + "{id}/update/", update, "Overwrite", body=UpdateBody, refusals=(400, 404), **_EDIT),
    Operation("DELETE", PATH + "{id}/delete/", delete, "Hide", refusals=(404,), **_EDIT),
    Operation("DELETE", PATH + "{id}/", delete, "Hide", refusals=(404,), **_EDIT),
)
