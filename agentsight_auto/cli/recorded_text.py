"""Recorded text is text: nothing in it may move the cursor, change colours or reorder what stands around it.

In: any text of a conversation. Out: text whose control characters are visible.
"""

from __future__ import annotations

import re

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_UNSAFE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_WHITE_SPACE = re.compile(r"\s+")


def clean_text(text: str) -> str:
    """Return the text with one kind of line end, tabs as spaces, and other control characters written as escapes."""
    return _UNSAFE.sub(_escaped, _LINE_ENDS.sub("\n", text)).replace("\t", "    ")


def one_line(text: str, limit: int | None = None) -> str:
    """Return clean text on one line, shortened to `limit` characters with ``…``."""
    if limit is not None and len(text) > 4 * limit:
        text = text[: 4 * limit]
    line = _WHITE_SPACE.sub(" ", clean_text(text)).strip()
    return line if limit is None or len(line) <= limit else f"{line[: limit - 1]}…"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
