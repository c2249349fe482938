"""Write conversations as CSV, one row per message or action, that no spreadsheet executes.

In: a conversation of the store. Out: rows of text.
Loses: what a table has no place for: feedback, token usage, attachments' bytes, conversations without a message.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

import msgspec

COLUMNS = (
    "conversation_id",
    "started_at",
    "customer_id",
    "source",
    "device",
    "language",
    "environment",
    "timestamp",
    "kind",
    "sender",
    "content",
    "action_name",
    "duration_ms",
    "error",
    "tools_used",
    "response",
    "attachments",
    "metadata",
)
_SHARED = COLUMNS[:7]

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a cell a formula, or hides that it is one; the wide forms count in East Asian spreadsheets.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""


def safe_cell(text: str) -> str:
    """Return the text, with ``'`` before it if a spreadsheet could take it for a formula.

    That is also so where white space comes first. NUL, which many readers of CSV refuse, becomes U+FFFD.
    """
    if text.startswith(_DANGEROUS) or text.lstrip().startswith(_DANGEROUS):
        text = f"'{text}"
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class CsvWriter:
    """Write conversations to a text stream that was opened with ``newline=""``."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        self._writer.writerow(COLUMNS)

    def write(self, conversation: dict[str, Any]) -> None:
        """Write the rows of one conversation."""
        self._writer.writerows([safe_cell(cell) for cell in row] for row in _rows(conversation))


def _rows(conversation: dict[str, Any]) -> Iterator[list[str]]:
    shared = [_text(conversation[name]) for name in _SHARED]
    for message in conversation["messages"]:
        log: dict[str, Any] = next(iter(message["action_logs"]), {})
        names = ", ".join(attachment["filename"] for attachment in message["attachments"])
        yield [
            *shared,
            _text(message["timestamp"]),
            kind_of(message),
            _text(message["sender"]),
            _text(message["content"]),
            _text(message["action_name"]),
            _text(log.get("duration_ms")),
            _text(log.get("error_message")),
            _text(log.get("tools_used")),
            _text(log.get("response")),
            names,
            _text(message["metadata"] or None),
        ]


def kind_of(message: dict[str, Any]) -> str:
    """Return message, action, button or attachments."""
    if message["action_name"] is not None:
        return "action"
    if message["button"] is not None:
        return "button"
    return "attachments" if message["attachments"] and not message["content"] else "message"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
