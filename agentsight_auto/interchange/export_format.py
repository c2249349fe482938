"""Write our own export: one conversation a line, with all that an import needs to bring the same back.

In: a conversation as the store's export gives it. Out: a line.
Loses: the store's own numbers and folder, which mean nothing elsewhere; attachments' bytes unless they are asked for.
"""

from __future__ import annotations

import base64
from typing import Any

from agentsight_auto.store.attachments import AttachmentFolder

FORMAT_KEY = "agentsight_export"
FORMAT_VERSION = 1

_LOCAL = frozenset({"id", "parent_id", "file_url"})
_MAX_BYTES_A_LINE = 150 * 1024 * 1024
"""Attachment bytes in one line, so that the line stays below what an import reads."""


def to_line(
    conversation: dict[str, Any], attachments: AttachmentFolder | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the line of a conversation, and what of its attachments could not be put in.

    `attachments` is the folder whose bytes go along as base64 ``data``; None leaves their description alone.
    """
    line: dict[str, Any] = {FORMAT_KEY: FORMAT_VERSION}
    line |= {key: value for key, value in conversation.items() if key not in {*_LOCAL, "token_usage", "cost"}}
    missing: list[str] = []
    room = [_MAX_BYTES_A_LINE]
    line["messages"] = [_message_line(message, attachments, room, missing) for message in conversation["messages"]]
    line["feedbacks"] = [_portable(feedback) for feedback in conversation["feedbacks"]]
    return line, missing


def _portable(shape: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shape.items() if key not in _LOCAL}


def _message_line(
    message: dict[str, Any], folder: AttachmentFolder | None, room: list[int], missing: list[str]
) -> dict[str, Any]:
    line = _portable(message)
    line["action_logs"] = [_portable(log) for log in message["action_logs"]]
    line["button"] = None if message["button"] is None else _portable(message["button"])
    line["attachments"] = []
    for attachment in message["attachments"]:
        described = _portable(attachment)
        if folder is not None:
            described["data"] = _data(attachment, folder, room)
            if described["data"] is None:
                missing.append(f"{attachment['filename']} ({attachment['size_bytes']} bytes)")
        line["attachments"].append(described)
    return line


def _data(attachment: dict[str, Any], folder: AttachmentFolder, room: list[int]) -> str | None:
    if attachment["size_bytes"] > room[0]:
        return None
    try:
        data = folder.path(attachment["sha256"]).read_bytes()
    except OSError:
        return None
    room[0] -= len(data)
    return base64.b64encode(data).decode("ascii")
