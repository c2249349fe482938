"""Read a file of conversations piece by piece: JSON lines, or one JSON document.

In: a binary stream. Out: JSON values with the place they stand at.
Loses: nothing; what is not JSON comes out as an `Unreadable` in its place, and reading goes on.

A file of lines is never held whole. A document that spans lines (one JSON array, one indented object) is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import msgspec

MAX_LINE_BYTES = 256 * 1024 * 1024
"""A longer line is reported and passed over, unless it is a whole document."""

_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Unreadable(NamedTuple):
    """Why there is no value at a place."""

    reason: str


class Item(NamedTuple):
    """One value: the line it ends or stands on (1 is the first), its place in a list (0 if in none)."""

    line: int
    position: int
    value: Any | Unreadable


def read_items(stream: BinaryIO, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Item]:
    """Yield the conversations of a file, one at a time."""
    lines = _numbered_lines(stream, max_line_bytes)
    for number, line in lines:
        value = _value_of(line, number)
        if isinstance(line, Unreadable) or not isinstance(value, Unreadable) or not _begins_document(line):
            yield from _items(number, value)
            break
        whole = line + stream.read()
        document = _decoded(whole)
        if not isinstance(document, Unreadable):
            yield from _items(number, document)
            return
        # Neither a line nor a document: then it is a file of lines whose first one is damaged.
        for offset, part in enumerate(whole.split(b"\n")):
            if part.strip():
                yield from _items(number + offset, _decoded(part))
        return
    for number, line in lines:
        yield from _items(number, _value_of(line, number))


def _numbered_lines(stream: BinaryIO, max_line_bytes: int) -> Iterator[tuple[int, bytes | Unreadable]]:
    """Yield lines that hold something."""
    number = 0
    while line := stream.readline(max_line_bytes + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) > max_line_bytes and not (number == 1 and _begins_document(line)):
            _skip_rest_of_line(stream, line, max_line_bytes)
            yield number, Unreadable(f"longer than {max_line_bytes:,} bytes")
        elif line.strip():
            yield number, line


def _skip_rest_of_line(stream: BinaryIO, line: bytes, chunk_bytes: int) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(chunk_bytes)


def _begins_document(line: bytes) -> bool:
    return line.lstrip()[:1] == b"[" or line.strip() == b"{"


def _value_of(line: bytes | Unreadable, number: int) -> Any | Unreadable:
    if isinstance(line, Unreadable):
        return line
    if number == 1 and line.startswith(_UTF16_BOMS):
        return Unreadable("the file is UTF-16 text; save it as UTF-8")
    return _decoded(line)


def _items(line: int, value: Any | Unreadable) -> Iterator[Item]:
    """Yield the value itself, or the conversations of a list; a list of messages is one conversation."""
    if isinstance(value, list) and not _is_messages(value):
        yield from (Item(line, position, item) for position, item in enumerate(value, 1))
    else:
        yield Item(line, 0, value)


def _is_messages(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(item, dict) and "role" in item for item in values)


def _decoded(data: bytes) -> Any | Unreadable:
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        return Unreadable("nested too deeply")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decoded_leniently(data)


def _decoded_leniently(data: bytes) -> Any | Unreadable:
    """Read what Python's own writer produces beyond the standard: NaN, infinities, lone surrogates."""
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8 text: {error.reason} at byte {error.start}")
    except RecursionError:
        return Unreadable("nested too deeply")
    except ValueError as error:
        return Unreadable(f"not JSON: {error}")
