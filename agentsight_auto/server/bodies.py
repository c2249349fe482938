"""Read request bodies within limits, and JSON from strangers.

In: a request's stream. Out: bytes; JSON values whose text can be stored, with at most so many levels.
Loses: NUL and lone surrogates, which become U+FFFD. Everything else that is not as it should be is a 4xx answer, given
before more than the limit was read.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import zlib
from typing import Any, NoReturn

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from agentsight_auto.server.errors import ApiError, detail_error, too_large

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SUSPICIOUS = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]")
_CHUNK_BYTES = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
SMALL_BYTES = 1024 * 1024
"""A body up to here stays in memory while it arrives; larger ones wait in a file, so that many do not fill it."""
_INTEGERS = range(-(2**63), 2**64)

_decode = msgspec.json.Decoder().decode


class Received:
    """A whole request body: in memory where it is small, else in a temporary file that goes with `close`."""

    def __init__(self, encoding: str) -> None:
        self.is_compressed = "gzip" in encoding
        self.file = tempfile.SpooledTemporaryFile(max_size=SMALL_BYTES)  # noqa: SIM115 - closed by `close`
        self.size_bytes = 0

    @property
    def is_large(self) -> bool:
        """Whether reading it takes memory that is worth waiting for."""
        return self.is_compressed or self.size_bytes > SMALL_BYTES

    async def add(self, piece: bytes) -> None:
        """Take a piece in; a file is written to on another thread."""
        self.size_bytes += len(piece)
        if self.size_bytes > SMALL_BYTES:
            await anyio.to_thread.run_sync(self.file.write, piece)
        else:
            self.file.write(piece)

    def content(self, limit_bytes: int) -> bytes:
        """Return the body, decompressed where it says gzip.

        Raises:
            ApiError: 400 not gzip, 413 more than `limit_bytes` come out.
        """
        self.file.seek(0)
        body = self.file.read()
        return decompress(body, limit_bytes) if self.is_compressed else body

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


async def receive_body(request: Request, limit_bytes: int, timeout_s: float) -> Received:
    """Receive the whole body of at most `limit_bytes`; the caller closes it.

    Raises:
        ApiError: 408 too slow, 413 too large, 415 another encoding than gzip.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"gzip", "x-gzip", "identity", ""}:
        raise detail_error(415, f'Unsupported content encoding "{encoding[:40]}" in request: gzip is accepted.')
    receive = limited(request, limit_bytes)
    received = Received(encoding)
    try:
        with anyio.fail_after(timeout_s):
            while True:
                message = await receive()
                await received.add(_piece_of(message))
                if not message.get("more_body", False):
                    return received
    except BaseException as error:
        received.close()
        if isinstance(error, TimeoutError):
            late = f"The body did not arrive within {timeout_s:g} s."
            raise detail_error(408, late, {"Connection": "close"}) from error
        raise


def _piece_of(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    piece: bytes = message.get("body", b"")
    return piece


def limited(request: Request, limit_bytes: int) -> Receive:
    """Return the request's `receive`, which refuses to give more than `limit_bytes` of body.

    Raises:
        ApiError: 413 at once where ``Content-Length`` says that the body is too large.
    """
    refusal = too_large(f"The body is larger than {limit_bytes} bytes.")
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > limit_bytes):
        raise refusal
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        message = await request.receive()
        taken += len(message.get("body", b""))
        if taken > limit_bytes:
            raise refusal
        return message

    return receive


def decompress(body: bytes, limit_bytes: int) -> bytes:
    """Return what a gzip body holds.

    Raises:
        ApiError: 400 not gzip, or cut off; 413 as soon as more than `limit_bytes` come out.
    """
    inflater = zlib.decompressobj(wbits=_GZIP)
    parts: list[bytes] = []
    size, rest = 0, body
    try:
        while rest and not inflater.eof:
            part = inflater.decompress(rest, _CHUNK_BYTES)
            rest = inflater.unconsumed_tail
            size += len(part)
            if size > limit_bytes:
                raise too_large(f"The body is larger than {limit_bytes} bytes after decompression.")
            parts.append(part)
    except zlib.error as error:
        raise detail_error(400, "The body is not gzip, as its Content-Encoding says.") from error
    if not inflater.eof or inflater.unused_data:
        raise detail_error(400, "The gzip body is cut off, or something follows it.")
    return b"".join(parts)


def parse_json(body: bytes, depth: int) -> Any:
    """Read JSON whose text can be stored.

    Raises:
        ApiError: 400 not JSON (NaN and infinity are not), more than `depth` levels, or a number nobody can keep.
    """
    if not _SUSPICIOUS.search(body):
        try:
            document = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            document = _parse_slowly(body)
    else:
        document = _parse_slowly(body)
    return clean(document, depth)


def _parse_slowly(body: bytes) -> Any:
    """Read what the fast decoder refuses but clients send: lone surrogates, a byte order mark, UTF-16."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _unreadable("it is nested too deeply") from error
    except ValueError as error:  # also UnicodeDecodeError, and numbers of more digits than Python reads
        raise _unreadable(str(error)) from error


def clean(document: Any, depth: int) -> Any:
    """Return the document with text that can be stored; see `parse_json`."""
    if isinstance(document, str):
        return storable(document)
    if isinstance(document, dict):
        if depth <= 0:
            raise _unreadable("it is nested too deeply")
        return {storable(key): clean(value, depth - 1) for key, value in document.items()}
    if isinstance(document, list):
        if depth <= 0:
            raise _unreadable("it is nested too deeply")
        return [clean(value, depth - 1) for value in document]
    if isinstance(document, float) and not math.isfinite(document):
        raise _unreadable("it holds a number that is too large")
    if isinstance(document, int) and document not in _INTEGERS:
        raise _unreadable("it holds a whole number of more than 64 bits")
    return document


def storable(text: str) -> str:
    """Return the text with NUL and lone surrogates replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def is_harmless(line: bytes, depth: int) -> bool:
    """Tell without parsing that JSON has at most `depth` levels and only text that can be stored."""
    return line.count(b"[") + line.count(b"{") <= depth and not _SUSPICIOUS.search(line)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unreadable(reason: str) -> ApiError:
    return detail_error(400, f"JSON parse error - {storable(reason)[:200]}")
