"""Files from strangers: decoded, measured, named, and kept under their digest.

In: base64 text or a part of a form. Out: what an event says of them. Loses: nothing; names are only ever text.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from agentsight_auto.events import AttachmentRef
from agentsight_auto.server import errors
from agentsight_auto.server.bodies import storable
from agentsight_auto.server.routing import Call

_DEFAULT_TYPE = "application/octet-stream"
_LONGEST_NAME = 255
_FREE_SHARE = 0.05
_FREE_BYTES = 2 * 1024**3
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)


class IncomingFile(NamedTuple):
    """A file before it is kept."""

    filename: str
    mime_type: str | None
    content: bytes | BinaryIO

    @property
    def size_bytes(self) -> int:
        """How long the content is."""
        if isinstance(self.content, bytes):
            return len(self.content)
        size = self.content.seek(0, os.SEEK_END)
        self.content.seek(0)
        return size

    @property
    def head(self) -> bytes:
        """The first bytes."""
        if isinstance(self.content, bytes):
            return self.content[:16]
        head = self.content.read(16)
        self.content.seek(0)
        return head


def from_base64(number: int, data: str, filename: str | None, mime_type: str | None) -> IncomingFile:
    """Decode one attachment of a JSON body; a ``data:`` URL is accepted.

    Raises:
        ApiError: 400 not base64.
    """
    if data.startswith("data:") and "," in data[:200]:
        data = data.split(",", 1)[1]
    try:
        content = base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError) as error:
        raise errors.view_error(400, f"Attachment {number} is not base64.", {"index": number}) from error
    return IncomingFile(filename or "", mime_type, content)


def check_space(folder: Path) -> None:
    """Refuse files while less than 5 % of the disk, and less than 2 GiB, is free: what is said still has room.

    Raises:
        ApiError: 507.
    """
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
    with suppress(OSError):
        usage = shutil.disk_usage(existing or folder)
        if usage.free < min(usage.total * _FREE_SHARE, _FREE_BYTES):
            raise errors.detail_error(507, "The server's disk is nearly full: it takes no files until there is space.")


def keep(call: Call, files: list[IncomingFile]) -> list[AttachmentRef]:
    """Write the contents to the agent's folder and return what refers to them, once all are within the limits.

    Raises:
        ApiError: 400 none or too many, or one without content; 413 too large, or more than this agent may keep.
    """
    settings = call.service.settings
    if not files:
        raise errors.view_error(400, "No attachments provided.")
    if len(files) > settings.attachments_per_request:
        most = settings.attachments_per_request
        raise errors.view_error(400, f"Too many attachments: {len(files)}. At most {most} may be sent at once.")
    sizes = [file.size_bytes for file in files]
    if max(sizes) > settings.attachment_bytes:
        raise errors.too_large(f"An attachment is larger than {settings.attachment_bytes} bytes.")
    if sum(sizes) > settings.attachments_bytes:
        raise errors.too_large(f"The attachments together are larger than {settings.attachments_bytes} bytes.")
    if not min(sizes):
        raise errors.view_error(400, "An attachment has no data.", {"index": sizes.index(0)})
    folder = call.service.attachments(call.agent.id, call.agent.name)
    check_space(settings.attachments_path)
    call.service.quota.check(call.agent.id, folder, sum(sizes))
    refs = []
    for number, file in enumerate(files):
        filename, mime_type = _described(number, file)
        sha256, size_bytes = folder.write(file.content)
        refs.append(AttachmentRef(sha256, size_bytes, filename, mime_type))
    return refs


def _described(number: int, file: IncomingFile) -> tuple[str, str]:
    """Return the last part of the name and the media type; each is guessed from the other where it is missing."""
    name = storable(file.filename).replace("\\", "/").rsplit("/", 1)[-1].strip()[-_LONGEST_NAME:]
    mime_type = storable(file.mime_type or "").strip()[:_LONGEST_NAME]
    if not mime_type or mime_type == _DEFAULT_TYPE:
        sniffed = next((kind for signature, kind in _SIGNATURES if file.head.startswith(signature)), _DEFAULT_TYPE)
        mime_type = mimetypes.guess_type(name)[0] or sniffed
    return name or f"attachment_{number}{mimetypes.guess_extension(mime_type) or '.bin'}", mime_type
