"""Bodies and parameters from people who mean harm: an answer of the 4xx kind, quickly, and nothing broken."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsight_auto.server.bodies import clean, decompress, is_harmless, parse_json
from agentsight_auto.server.errors import ApiError

from .support import Client, Served

TRACK = "/api/track/"
MESSAGE = {"content": "hello", "sender": "end_user", "conversation_id": "cid"}
RAW_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"5",
    b"NaN",
    b'{"content": NaN}',
    b'{"content": Infinity}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"metadata":' + b"[" * 70 + b"]" * 70 + b"}",
    b'{"metadata":{"n":' + b"9" * 300_000 + b"}}",
    b'{"metadata":{"n":1e999}}',
    b'{"metadata":{"n":99999999999999999999999}}',
    b"\xff\xfe\x00",
    b"\x00" * 100,
    b'{"content": "\xed\xa0\x80"}',
    b"<xml/>",
    b"content=hello&sender=end_user",
]


@pytest.mark.parametrize("body", RAW_BODIES, ids=range(len(RAW_BODIES)))
def test_every_writing_route_survives_every_body(served: Served, body: bytes) -> None:
    """400 with a JSON object, whichever route it is sent to; two routes need nothing of their body."""
    client = served.client()
    client.open("cid")
    for operation in served.service.operations:
        if operation.body is None:
            continue
        answer = client.request(operation.method, operation.path.replace("{id}", "1"), content=body)
        is_bare = operation.path.endswith(("/resolve/", "/escalate/"))
        assert (200 if is_bare else 400) <= answer.status_code < 500, operation
        assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("depth", [60, 61, 62, 63])
def test_sixty_four_levels_are_the_most(client: Client, depth: int) -> None:
    """The object of the body is the first; those that fit come back as sent."""
    nested: Any = 1
    for _ in range(depth):
        nested = {"a": nested}
    answer = client.post(TRACK, {**MESSAGE, "metadata": nested})
    assert answer.status_code == 201
    assert answer.json()["metadata"] == nested
    assert client.post(TRACK, {**MESSAGE, "metadata": {"a": [[[[nested]]]]}}).status_code == 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_comes_back_as_sent(client: Client, encoding: str) -> None:
    """In any encoding of JSON; NUL and lone surrogates become U+FFFD, also in keys."""
    sent = {**MESSAGE, "content": "a\x00b\ud800c😀", "metadata": {"k\x00": ["\udfff"], "k2": "'; --"}}
    answer = client.request("POST", TRACK, content=json.dumps(sent).encode(encoding))
    assert answer.status_code == 201
    assert answer.json()["content"] == "a\ufffdb\ufffdc😀"
    assert answer.json()["metadata"] == {"k\ufffd": ["\ufffd"], "k2": "'; --"}


def test_the_last_of_two_equal_keys_counts(client: Client) -> None:
    """As everywhere in JSON."""
    body = b'{"content":"a","content":"b","sender":"agent","conversation_id":"c"}'
    assert client.request("POST", TRACK, content=body).json()["content"] == "b"


def test_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    """100 MiB in 100 KB, twice compressed, cut off, not gzip at all or of another kind: refused at the limit."""
    with Served(tmp_path, body_bytes=64 * 1024) as served:
        client = served.client()
        bomb = gzip.compress(bytes(100 * 1024 * 1024), 9)
        small = gzip.compress(json.dumps(MESSAGE).encode())
        for body, encoding, status in [
            (bomb, "gzip", 413),
            (bomb[:50_000], "gzip", 413),
            (gzip.compress(small), "gzip", 400),
            (small[:-9], "gzip", 400),
            (small + b"x", "gzip", 400),
            (b"plain", "gzip", 400),
            (small, "br", 415),
            (small, "deflate", 415),
            (small, "gzip, gzip", 415),
            (small, "gzip", 201),
            (small, "GZIP", 201),
        ]:
            headers = {"Content-Encoding": encoding}
            answer = client.request("POST", TRACK, content=body, headers=headers)
            assert answer.status_code == status, (encoding, len(body))
            assert answer.json()


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    """With and without Content-Length, and with one that lies."""
    with Served(tmp_path, body_bytes=2048) as served:
        client = served.client()
        large = json.dumps({**MESSAGE, "content": "x" * 4096}).encode()
        read = 0

        async def stream() -> Any:
            nonlocal read
            for start in range(0, len(large), 512):
                read += 512
                yield large[start : start + 512]

        assert client.request("POST", TRACK, content=large).status_code == 413
        assert client.request("POST", TRACK, content=b"{}", headers={"Content-Length": "9" * 30}).status_code == 413
        answer = client.request("POST", TRACK, content=stream())
        assert answer.status_code == 413
        assert answer.json() == {"detail": "The body is larger than 2048 bytes."}
        assert client.post(TRACK, MESSAGE).status_code == 201


def test_a_body_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    """408 once the time for reading is over, and the connection is closed."""
    import anyio

    with Served(tmp_path, read_timeout_s=0.1) as served:

        async def stream() -> Any:
            yield b"{"
            await anyio.sleep_forever()

        answer = served.client().request("POST", TRACK, content=stream())
        assert (answer.status_code, answer.headers["connection"]) == (408, "close")


@pytest.mark.parametrize(
    "value",
    ["%", "_", "\\", "'", '"*^:NEAR', "a" * 60_000, "(a+)+$", "id;--", "\x00", "\ud800", "9" * 5000, "-1", "NaN", "[]",
     "0000-00-00", "99999-01-01", "2026-03-29T02:30:00", "1763600000000", "$.a", "a:b,c:d", ":", ",", "😀"],
)  # fmt: skip
def test_every_parameter_survives_every_value(client: Client, value: str) -> None:
    """200, 400 or 404; a part of a text means itself."""
    from urllib.parse import quote

    from agentsight_auto.query.filters import KNOWN_FILTERS

    client.say("cid")
    quoted = quote(value.encode("utf-8", "surrogatepass"))
    for name in (*KNOWN_FILTERS, "page", "page_size", "cursor", "full", "count", "include_tickets", "conversation_id"):
        answer = client.get(f"/api/conversations/?{name}={quoted}")
        assert answer.status_code in {200, 400, 404}, name
        assert isinstance(answer.json(), dict)
    assert client.get(f"/api/conversations/lookup/?conversation_id={quoted}").status_code in {400, 404}
    assert client.get(f"/api/conversations/metadata-values/?key={quoted}").status_code in {200, 400}


_texts = st.text(st.characters(exclude_categories=()), max_size=20)
_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)


def outcome(function: Any, *arguments: Any) -> tuple[Any, int]:
    """Return the value with 200, or None with the status of the refusal."""
    try:
        return function(*arguments), 200
    except ApiError as error:
        return None, error.status


def _mended(document: Any) -> Any:
    """Say independently what should come out."""
    if isinstance(document, str):
        return "".join("\ufffd" if c == "\0" or 0xD800 <= ord(c) <= 0xDFFF else c for c in document)
    if isinstance(document, list):
        return [_mended(item) for item in document]
    if isinstance(document, dict):
        return {_mended(key): _mended(value) for key, value in document.items()}
    return document


@given(_documents)
def test_json_is_read_as_it_was_written(document: Any) -> None:
    """Every document that JSON can write, in ASCII and as text, but for what cannot be stored."""
    # a pair of surrogates written as two escapes is one character to every reader
    expected = _mended(json.loads(json.dumps(document)))
    assert parse_json(json.dumps(document).encode(), 64) == expected


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a value or a 400 comes of them."""
    document, status = outcome(parse_json, data, 8)
    assert status == 400 or clean(document, 8) == document


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_decompression_gives_the_content_or_stops_at_the_limit(data: bytes, limit: int) -> None:
    """Exactly what was compressed, or 413."""
    expected = (data, 200) if len(data) <= limit else (None, 413)
    assert outcome(decompress, gzip.compress(data), limit) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_decompressed_or_refused(data: bytes) -> None:
    """Also those that begin like gzip."""
    for body in (data, b"\x1f\x8b\x08\x00" + data, zlib.compress(data)):
        assert outcome(decompress, body, 1000)[1] in {200, 400, 413}


@given(_documents, st.integers(1, 6))
def test_what_is_called_harmless_needs_no_mending(document: Any, depth: int) -> None:
    """The quick look never lets through what the slow one would change or refuse."""
    line = json.dumps(document).encode()
    if is_harmless(line, depth):
        assert parse_json(line, depth) == json.loads(line)


def test_numbers_at_the_border_are_kept(client: Client) -> None:
    """64 bits, and floats with all their digits."""
    numbers = {"low": -(2**63), "high": 2**63 - 1, "pi": math.pi, "tiny": 5e-324}
    assert client.post(TRACK, {**MESSAGE, "metadata": numbers}).json()["metadata"] == numbers
