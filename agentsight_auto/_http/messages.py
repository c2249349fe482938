"""What is asked and what is answered, whoever carries it. Imports no HTTP library.

In: a method, a path and a body. Out: a status and the whole body. Loses: nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, BinaryIO, NamedTuple

import msgspec

LONGEST_WAIT_S = 60.0
"""Longer waits that a server asks for are cut to this."""

_GZIP = 16 + zlib.MAX_WBITS
_DETAIL_CHARACTERS = 500
_DEEPEST = 8

Part = tuple[str, tuple[str, BinaryIO, str]]
"""One file of a multipart body: the part's name, then file name, content and media type."""


class Request(NamedTuple):
    """One request; a body is JSON bytes, the content of a file, or a multipart form.

    `open_parts` opens the files of a multipart form, `open_content` that of a plain body, at the time of sending.
    `deadline_s` overrides the client's.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    open_content: Callable[[], BinaryIO] | None = None
    fields: Mapping[str, str] | None = None
    open_parts: Callable[[], Sequence[Part]] | None = None
    deadline_s: float | None = None


class Unreadable(ValueError):
    """An answer whose body is not the JSON it should be."""


class NoAnswer(Exception):
    """No whole answer came: refused, reset, too slow, or not HTTP.

    `is_cut`: a connection that had been made ended early, which a kept connection does when the server has closed it.
    """

    def __init__(self, message: str, *, is_cut: bool = False) -> None:
        super().__init__(message)
        self.is_cut = is_cut


class Reply(NamedTuple):
    """The answer to one request, with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body.

        Raises:
            Unreadable: it is empty, not JSON, or HTML.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type")
            raise Unreadable(f"the answer with status {self.status} is not JSON ({kind})") from error

    def json_or_text(self) -> Any:
        """Return the body as JSON, or the beginning of its text; None if it is empty."""
        try:
            return self.json()
        except Unreadable:
            return self.body[:_DETAIL_CHARACTERS].decode("utf-8", "replace") or None

    @property
    def is_json(self) -> bool:
        """Tell whether the body is JSON."""
        try:
            self.json()
        except Unreadable:
            return False
        return True

    def detail(self) -> str:
        """Return what an error body says, in one line: ``detail``, ``error``, or the fields and what is wrong."""
        told = describe(self.json_or_text())[: 2 * _DETAIL_CHARACTERS]
        printable = "".join(character if character.isprintable() else " " for character in told)
        return " ".join(printable.split())[:_DETAIL_CHARACTERS]

    def retry_after_s(self) -> float | None:
        """Return how long to wait, from the header in seconds or as a date; at most 60 s, None for no usable value."""
        text = self.headers.get("retry-after", "").strip()
        if not text:
            return None
        try:
            seconds = float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else _until(text)
        except (ValueError, TypeError, OverflowError):
            return None
        return min(seconds, LONGEST_WAIT_S) if seconds > 0 else None


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time()


def describe(body: Any, depth: int = 0) -> str:
    """Say in one line what an error body says; what lies deeper than eight levels is left out."""
    if depth > _DEEPEST:
        return "..."
    if isinstance(body, dict):
        for name in ("detail", "error"):
            if body.get(name):
                return describe(body[name], depth + 1)
        return "; ".join(f"{field}: {describe(value, depth + 1)}" for field, value in body.items())
    if isinstance(body, list):
        return ", ".join(describe(item, depth + 1) for item in body)
    return "" if body is None else str(body)


def as_json(value: Any) -> bytes:
    """Write a JSON body."""
    return msgspec.json.encode(value)


def compressed(body: bytes) -> bytes:
    """Return the body in gzip form, quickly rather than small."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def same_headers(api_key: str, version: str) -> dict[str, str]:
    """Return the headers of every request."""
    return {
        "Authorization": f"Api-Key {api_key}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": f"agentsight-auto/{version}",
    }
