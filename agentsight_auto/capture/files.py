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

from .._guard import failed, shown
from ..enums import AttachmentMode
from ..events import AttachmentRef
from ..exceptions import InvalidAttachmentException, InvalidQueryException
from ..snapshot import bounded_text, sanitize_text
from ..store.attachments import AttachmentFolder, Incoming

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
_NAME_CHARACTERS = 255
_EXTENSION_CHARACTERS = 16


def attachment_mode(mode: object) -> AttachmentMode:
    """Read ``base64`` or ``form_data``.

    Raises:
        InvalidQueryException: something else.
    """
    text = str(getattr(mode, "value", mode)).strip().lower().replace("-", "_")
    try:
        return AttachmentMode(text)
    except ValueError:
        raise InvalidQueryException(f"Unknown attachment mode {shown(mode)}: use 'base64' or 'form_data'.") from None


def store_attachments(
    attachments: Sequence[Mapping[str, Any]], mode: AttachmentMode, folder: AttachmentFolder
) -> list[AttachmentRef]:
    """Write the bytes of all attachments once and return what refers to them; all of them or none.

    Raises:
        InvalidAttachmentException: none or too many, without data, not base64, or too large; nothing is recorded.
    """
    if isinstance(attachments, (str, bytes, Mapping)) or not isinstance(attachments, Sequence) or not attachments:
        raise InvalidAttachmentException("Pass a list with at least one attachment: [{'filename': ..., 'data': ...}].")
    if len(attachments) > MAX_FILES:
        raise InvalidAttachmentException(f"{len(attachments)} attachments in one call, but at most {MAX_FILES} may be.")
    read = [_read(number, attachment, mode) for number, attachment in enumerate(attachments, 1)]
    received: list[Incoming | None] = []
    try:
        for number, (_, data) in enumerate(read, 1):
            received.append(_receive(number, data, folder))
            _check_total(received)
    except BaseException:
        for incoming in received:
            if incoming is not None:
                folder.discard(incoming)
        raise
    return [
        _refer(number, attachment, data, incoming, folder)
        for number, ((attachment, data), incoming) in enumerate(zip(read, received, strict=True), 1)
    ]


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
    """Read base64, also over several lines, in the URL-safe alphabet, without padding, or as a ``data:`` URL."""
    if not isinstance(data, (str, bytes)) or not data:
        raise InvalidAttachmentException(f"Attachment {number} has no data. In mode 'base64' pass base64 text.")
    try:
        text = data.encode("ascii") if isinstance(data, str) else data
        if text.startswith(b"data:"):
            text = text.partition(b",")[2]
        text = text.translate(bytes.maketrans(b"-_", b"+/"), b"\r\n").rstrip(b"=")
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAttachmentException(
            f"Attachment {number} is not base64: {error}. Pass bytes with mode 'form_data' instead."
        ) from error
    if not decoded:
        raise InvalidAttachmentException(f"Attachment {number} has no data after decoding base64.")
    return decoded


def _receive(number: int, data: bytes | BinaryIO, folder: AttachmentFolder) -> Incoming | None:
    """Write the data to a temporary file; None where the disk does not take it."""
    try:
        incoming = folder.receive(data)
    except InvalidAttachmentException as error:
        raise InvalidAttachmentException(f"Attachment {number}: {error}") from error
    except OSError as error:
        failed("attachments", error)
        return None
    except Exception as error:
        raise InvalidAttachmentException(
            f"Attachment {number} cannot be read: {type(error).__name__}. Pass an open binary file object."
        ) from error
    if not incoming.size_bytes:
        folder.discard(incoming)
        raise InvalidAttachmentException(f"Attachment {number} has no data: the file object is at its end.")
    return incoming


def _check_total(received: list[Incoming | None]) -> None:
    if sum(incoming.size_bytes for incoming in received if incoming is not None) > MAX_CALL_BYTES:
        raise InvalidAttachmentException(f"The attachments of one call exceed {MAX_CALL_BYTES // 2**20} MiB.")


def _refer(
    number: int,
    attachment: Mapping[str, Any],
    data: bytes | BinaryIO,
    incoming: Incoming | None,
    folder: AttachmentFolder,
) -> AttachmentRef:
    content = data if isinstance(data, bytes) else b""
    name = attachment.get("filename") or getattr(data, "name", None)
    mime_type = bounded_text(str(attachment.get("mime_type") or _guess_type(name, content[:16])), 255)
    if incoming is not None:
        try:
            folder.keep(incoming)
        except OSError as error:
            failed("attachments", error)
        return AttachmentRef(incoming.sha256, incoming.size_bytes, _file_name(name, number, mime_type), mime_type)
    digest = hashlib.sha256(content).hexdigest()
    return AttachmentRef(digest, len(content), _file_name(name, number, mime_type), mime_type)


def _file_name(name: object, number: int, mime_type: str) -> str:
    """Return the last part of a path, of at most 255 characters with its extension; a made-up name for none."""
    base_name = sanitize_text(name).replace("\\", "/").rsplit("/", 1)[-1].strip() if isinstance(name, str) else ""
    if not base_name:
        return f"attachment_{number}{mimetypes.guess_extension(mime_type) or '.bin'}"
    stem, dot, extension = base_name.rpartition(".")
    if len(base_name) > _NAME_CHARACTERS and dot and len(extension) <= _EXTENSION_CHARACTERS:
        return f"{stem[: _NAME_CHARACTERS - len(extension) - 1]}.{extension}"
    return base_name[:_NAME_CHARACTERS]


def _guess_type(name: object, head: bytes) -> str:
    guessed = mimetypes.guess_type(name)[0] if isinstance(name, str) else None
    if guessed is not None:
        return guessed
    return next((mime_type for signature, mime_type in _SIGNATURES if head.startswith(signature)), _DEFAULT_TYPE)
