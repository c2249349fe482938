"""``POST /api/attachments/``: base64 in JSON or multipart, for a conversation or for one of its messages."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from agentsight_auto.events import AttachmentRef, Attachments
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.server import errors
from agentsight_auto.server.bodies import parse_json, storable
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.incoming_files import IncomingFile, from_base64, keep
from agentsight_auto.server.recording import conversation_of, event_head, record
from agentsight_auto.server.routes.track import checked_sender
from agentsight_auto.server.routing import Call, Operation, convert, parse_id

DEFAULT_SENDER = "end_user"
_PARTS = ("timestamp", "conversation", "conversation_id", "sender", "mode", "message")


class AttachmentBody(msgspec.Struct):
    """One attachment: `data` is base64 text."""

    data: str
    filename: str | None = None
    mime_type: str | None = None


class AttachmentsBody(msgspec.Struct):
    """Attachments of a conversation, or of the message whose integer id `message` is. Without a mode it is base64."""

    attachments: list[AttachmentBody] = []
    timestamp: str | None = None
    conversation: int | str | None = None
    conversation_id: int | str | None = None
    message: int | str | None = None
    mode: str | None = None
    sender: str | None = None
    metadata: dict[str, Any] | None = None


def create(call: Call) -> Response:
    """Keep the files and store what refers to them."""
    if call.form is None:
        body = call.read(AttachmentsBody)
        if body.mode not in {None, "", "base64"}:
            raise errors.view_error(400, "In JSON the mode is base64. Send form_data as multipart/form-data.")
        files = [
            from_base64(number, item.data, item.filename, item.mime_type)
            for number, item in enumerate(body.attachments)
        ]
    else:
        body, files = _read_form(call, call.form)
    if body.message not in {None, ""}:
        return _link(call, body.message, files)
    conversation_id = conversation_of(call, body.conversation, body.conversation_id)
    sender = checked_sender(body.sender or DEFAULT_SENDER)
    head = event_head(call, conversation_id, body.timestamp)
    refs = keep(call, files)
    return _answer(call, record(call, Attachments(*head, sender, refs, body.metadata)), refs)


def _link(call: Call, message: int | str | None, files: list[IncomingFile]) -> Response:
    """Hang the attachments on a message; which conversation the body names does not matter then."""
    number = parse_id(message) or 0  # which no message has
    try:
        call.backend.fetch_message(number)  # before any file is written
        refs = keep(call, files)
        call.backend.add_attachments(number, refs)
    except NotFoundException as error:
        raise errors.not_found(f"Message {str(message)[:40]} not found") from error
    return _answer(call, number, refs)


def _answer(call: Call, message_id: int, refs: list[AttachmentRef]) -> Response:
    message = call.backend.fetch_message(message_id)
    sent = [(ref.filename, ref.size_bytes) for ref in refs]
    shapes = [shape for shape in message["attachments"] if (shape["filename"], shape["size_bytes"]) in sent]
    answer = {
        "id": message_id,
        "message": message_id,
        "conversation": message["conversation"],
        "sender": message["sender"],
        "timestamp": message["timestamp"],
        "metadata": message["metadata"],
        "attachments": [{**shape, "message": message_id} for shape in shapes],
    }
    return json_response(answer, 201)


def _read_form(call: Call, form: FormData) -> tuple[AttachmentsBody, list[IncomingFile]]:
    """Return the fields and the files of a multipart body, the files in the order of their parts."""
    fields: dict[str, Any] = {}
    files: list[IncomingFile] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(IncomingFile(storable(value.filename or ""), value.content_type, value.file))
        elif name in _PARTS and value:
            fields[name] = storable(value)
        elif name == "metadata" and value.strip():
            fields[name] = parse_json(value.encode("utf-8", "replace"), call.service.settings.json_depth)
    return convert(fields, AttachmentsBody), files


ROUTES = (
    Operation(
        "POST", "/api/attachments/", create, "Record attachments", role="write", body=AttachmentsBody,
        takes_form=True, limit="attachment_request_bytes", answers={201: dict[str, Any]}, refusals=(400, 404, 413, 507),
        tag="tracking",
    ),
)  # fmt: skip
