"""Text that any JSON reader, SQLite and UTF-8 accept, within a limit.

In: exact `str` values of any length and content. Out: text without NUL and lone surrogates, cut at a character.
Loses: what lies beyond the limit; the suffix says how long the text was.
"""

from __future__ import annotations

import msgspec

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_LONGEST_ESCAPE = len("\\u0000")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(str).decode


def sanitize_text(text: str) -> str:
    """Return `text` with each NUL and each surrogate, which UTF-8 has no bytes for, replaced by U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # The codec writes "?" for a surrogate. NUL, free by now, holds the place of the text's own question marks:
        # ten times as fast as any way by character, and so bounded for text that is nothing but surrogates.
        encoded = text.replace("?", "\0").encode("utf-8", "replace")
        return encoded.replace(b"?", REPLACEMENT.encode()).decode().replace("\0", "?")
    return text


def cut_text(text: str, limit_bytes: int, length: int | None = None) -> str:
    """Return clean text of at most `limit_bytes` bytes of UTF-8, the suffix that tells of a cut included.

    `length` is the whole length where `text` is only the beginning. A limit smaller than the suffix leaves the suffix.
    """
    head = sanitize_text(text[:limit_bytes])
    if len(text) <= limit_bytes and (len(text) * 4 <= limit_bytes or len(head.encode()) <= limit_bytes):
        return head
    suffix = cut_suffix(len(text) if length is None else length, "characters")
    room = max(limit_bytes - len(suffix.encode()), 0)
    return head.encode()[:room].decode("utf-8", "ignore") + suffix


def cut_suffix(length: int, unit: str) -> str:
    """Return what stands at the end of something that was cut."""
    return f"… [truncated, {length} {unit}]"


def fit_text(text: str, room_bytes: int) -> str:
    """Return the longest clean beginning of `text` whose JSON, quotes included, is at most `room_bytes` long."""
    encoded = _encode(sanitize_text(text[: max(room_bytes - 2, 0)]))
    if len(encoded) <= room_bytes:
        return _decode(encoded)
    content = encoded[1 : max(room_bytes - 1, 1)].decode("utf-8", "ignore")
    for end in range(len(content), max(len(content) - _LONGEST_ESCAPE, 0), -1):
        try:
            return _decode(f'"{content[:end]}"')
        except msgspec.DecodeError:  # the cut went through an escape
            continue
    return ""
