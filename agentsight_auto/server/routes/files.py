"""``/api/files/``: attachment contents, in by their digest, out by links that expire."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO, cast

from starlette.responses import FileResponse, Response

from agentsight_auto.query.served import StoredFile, find_attachment
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.incoming_files import check_space
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.server.service import FILES_PATH

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}


def fetch(call: Call) -> Response:
    """Return the bytes of a link, to be saved and never shown in place."""
    service = call.service
    signed = service.signer.read(call.path["name"])
    file = None if signed is None else find_attachment(service.database, *signed)
    if signed is None or file is None:
        raise errors.not_found()
    path = service.attachments(signed[0], file.agent).path(file.sha256)
    if not path.exists():
        raise errors.not_found()
    return file_response(path, file)


def file_response(path: Path, file: StoredFile) -> Response:
    """Return an attachment to be saved, never shown in place."""
    media_type = file.mime_type if _MEDIA_TYPE.fullmatch(file.mime_type) else "application/octet-stream"
    return FileResponse(path, headers=_SAFE_HEADERS, media_type=media_type, filename=_base_name(file.filename))


def _base_name(filename: str) -> str:
    """Return the last part of a name, without what could reorder it or break the header."""
    name = _UNPRINTABLE.sub("", filename).replace("\\", "/").rsplit("/", 1)[-1].strip(". ")
    return name[:200] or "attachment"


def store(call: Call) -> Response:
    """Keep the body under its SHA-256, which the path names; what is there already stays."""
    digest = call.path["name"]
    if not _DIGEST.fullmatch(digest):
        raise errors.detail_error(400, "The path does not end in a SHA-256 of 64 lower-case hex digits.")
    folder = call.service.attachments(call.agent.id, call.agent.name)
    check_space(call.service.settings.attachments_path)
    incoming = folder.receive(_uploaded(call))
    if incoming.sha256 != digest:
        folder.discard(incoming)
        raise errors.detail_error(400, "The SHA-256 of the body is not the one in the path.")
    if not folder.path(digest).exists():
        try:
            call.service.quota.check(call.agent.id, folder, incoming.size_bytes)
        except errors.ApiError:
            folder.discard(incoming)
            raise
    folder.keep(incoming)
    return json_response({"sha256": digest, "size_bytes": incoming.size_bytes})


def _uploaded(call: Call) -> bytes | BinaryIO:
    """Return the body as it waits in its file; one that was compressed is in memory."""
    upload = call.upload
    if upload is None or upload.is_compressed:
        return call.body
    upload.file.seek(0)
    return cast("BinaryIO", upload.file)


ROUTES = (
    Operation(
        "GET", FILES_PATH + "{name}/", fetch, "Download an attachment by its signed link", role=None,
        answers={200: bytes}, refusals=(404,), tag="files",
    ),
    Operation(
        "PUT", FILES_PATH + "{name}/", store, "Upload an attachment's bytes by their SHA-256", role="write",
        takes_bytes=True, limit="attachment_bytes", answers={200: dict[str, Any]}, refusals=(400, 413, 507),
        tag="files",
    ),
)  # fmt: skip
