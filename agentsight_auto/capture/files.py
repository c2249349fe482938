"""Attachments as users hand them over, in both documented modes.

In: dicts with base64 text, or bytes and file objects. Out: `AttachmentRef`s; the bytes lie in the attachment folder.
Loses: bytes that the disk does not take, counted by `_guard.failures`; the reference is kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from .._guard import failed
from ..enums import AttachmentMode
from ..events import AttachmentRef
from ..exceptions import InvalidAttachmentException, InvalidQueryException
from ..snapshot import bounded_text
from ..store.attachments import AttachmentFolder

MAX_FILES = 10
MAX_CALL_BYTES = 40 * 1024 * 1024
"""Most attachments and bytes of one call. Source: the limits of the documented attachment routes."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
_DEFAULT_TYPE = "application/octet-stream"


def attachment_mode(mode: object) -> AttachmentMode:
    """Read ``base64`` or ``form_data``.

    Raises:
        InvalidQueryException: something else.
    """
    text = str(getattr(mode, "value", mode)).strip().lower().replace("-", "_")
    try:
        return AttachmentMode(text)
    except ValueError:
        raise InvalidQueryException(f"Unknown attachment mode {mode!r:.80}: use 'base64' or 'form_data'.") from None


def store_attachments(
    attachments: Sequence[Mapping[str, Any]], mode: AttachmentMode, folder: AttachmentFolder
) -> list[AttachmentRef]:
    """Write the bytes of all attachments once and return what refers to them.

    Raises:
        InvalidAttachmentException: none or too many, without data, not base64, or too large; nothing is recorded.
    """
    if isinstance(attachments, (str, bytes, Mapping)) or not isinstance(attachments, Sequence) or not attachments:
        raise InvalidAttachmentException("Pass a list with at least one attachment: [{'filename': ..., 'data': ...}].")
    if len(attachments) > MAX_FILES:
        raise InvalidAttachmentException(f"{len(attachments)} attachments in one call, but at most {MAX_FILES} may be.")
    read = [_read(number, attachment, mode) for number, attachment in enumerate(attachments, 1)]
    if sum(len(data) for _, data in read if isinstance(data, bytes)) > MAX_CALL_BYTES:
        raise InvalidAttachmentException(f"The attachments of one call exceed {MAX_CALL_BYTES // 2**20} MiB together.")
    return [_store(number, attachment, data, folder) for number, (attachment, data) in enumerate(read, 1)]


def _read(number: int, attachment: object, mode: AttachmentMode) -> tuple[Mapping[str, Any], bytes | BinaryIO]:
    if not isinstance(attachment, Mapping):
        raise InvalidAttachmentException(f"Attachment {number} must be a dict, not {type(attachment).__name__}.")
    data = attachment.get("data")
    if mode is AttachmentMode.BASE64:
        return attachment, _from_base64(number, data)
    if isinstance(data, (bytes, bytearray, memoryview)) and len(data):
        return attachment, bytes(data)
    if hasattr(data, "read"):
        return attachment, cast("BinaryIO", data)
    raise InvalidAttachmentException(f"Attachment {number} has no data: mode 'form_data' takes bytes or a file object.")


def _from_base64(number: int, data: object) -> bytes:
    if not isinstance(data, (str, bytes)) or not data:
        raise InvalidAttachmentException(f"Attachment {number} has no data. In mode 'base64' pass base64 text.")
    if isinstance(data, str) and data.startswith("data:") and "," in data[:200]:
        data = data.split(",", 1)[1]
    try:
        decoded = base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError) as error:
        raise InvalidAttachmentException(f"Attachment {number} is not base64: {error}.") from error
    if not decoded:
        raise InvalidAttachmentException(f"Attachment {number} has no data after decoding base64.")
    return decoded


def _store(
    number: int, attachment: Mapping[str, Any], data: bytes | BinaryIO, folder: AttachmentFolder
) -> AttachmentRef:
    head = data[:16] if isinstance(data, bytes) else b""
    name = attachment.get("filename") or getattr(data, "name", None)
    mime_type = attachment.get("mime_type") or _guess_type(name, head)
    filename = name if isinstance(name, str) and name.strip() else f"attachment_{number}{_extension(str(mime_type))}"
    try:
        sha256, size_bytes = folder.write(data)
    except OSError as error:
        failed("attachments", error)
        kept = data if isinstance(data, bytes) else b""
        sha256, size_bytes = hashlib.sha256(kept).hexdigest(), len(kept)
    if not size_bytes and not isinstance(data, bytes):
        raise InvalidAttachmentException(f"Attachment {number} has no data: the file object is at its end.")
    base_name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return AttachmentRef(sha256, size_bytes, bounded_text(base_name, 255), bounded_text(str(mime_type), 255))


def _guess_type(name: object, head: bytes) -> str:
    guessed = mimetypes.guess_type(name)[0] if isinstance(name, str) else None
    if guessed is not None:
        return guessed
    return next((mime_type for signature, mime_type in _SIGNATURES if head.startswith(signature)), _DEFAULT_TYPE)


def _extension(mime_type: str) -> str:
    return mimetypes.guess_extension(mime_type) or ".bin"
