"""Coverage-guided fuzzing of what reads bytes from strangers: ``python -m tests.fuzz TARGET [--seconds N]``.

Targets: `segment`, `snapshot`, `patterns`, `json`, `gzip`, `filters`, `metadata`, `events`, `spans`, `multipart`, or
`all`, one
after the other. Needs atheris (``pip install atheris``), which there is for CPython 3.11 to 3.13 on Linux. A finding
is printed with its bytes and ends the run with a code other than 0.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_from_bytes

import msgspec

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris (CPython 3.11 to 3.13 on Linux)")

with atheris.instrument_imports(include=["agentsight_auto"]):
    from agentsight_auto.deliver.segment import frame, parse
    from agentsight_auto.redact.patterns import PATTERNS
    from agentsight_auto.server.bodies import decompress, parse_json
    from agentsight_auto.server.errors import ApiError
    from agentsight_auto.snapshot import MIN_VALUE_BYTES, snapshot
    from tests.server.support import Client, Served

_JSON = [("Content-Type", "application/json")]
_FORM = [("Content-Type", "multipart/form-data; boundary=x")]


def segment(data: bytes) -> None:
    """Any bytes are read, and a good record behind them is found."""
    good = b'{"a":1}'
    assert parse(data + b"\n" + frame([good])).records[-1] == good


def snapshots(data: bytes) -> None:
    """Whatever the value, its copy is sound JSON within the limit."""
    limit_bytes = MIN_VALUE_BYTES + (data[0] if data else 0) * 8
    text = data[1:].decode("utf-8", "replace")
    nested: object = text
    for byte in data[:200]:
        nested = [nested, text] if byte % 2 else {text[:8]: nested, "\ud800": byte}
    for value in (data, text, [text] * (len(data) % 50), int.from_bytes(data[:64], "big"), nested):
        encoded = msgspec.json.encode(snapshot(value, limit_bytes))
        assert len(encoded) <= limit_bytes, (limit_bytes, len(encoded))
        json.loads(encoded)


def patterns(data: bytes) -> None:
    """Any text is rewritten."""
    text = data.decode("utf-8", "replace")
    for rewrite in PATTERNS.values():
        assert isinstance(rewrite(text), str)


def json_bodies(data: bytes) -> None:
    """Any bytes are JSON that can be kept, or refused."""
    with suppress(ApiError):
        parse_json(data, 64)


def gzip_bodies(data: bytes) -> None:
    """Any bytes are decompressed within the limit, or refused."""
    with suppress(ApiError):
        assert len(decompress(data, 10_000)) <= 10_000


def _asks(client: Client, method: str, path: str, headers: list[tuple[str, str]]) -> Callable[[bytes], None]:
    def ask(data: bytes) -> None:
        answer = client.request(method, path, content=data, headers=dict(headers))
        assert answer.status_code < 500, answer.text

    return ask


def _asks_filter(client: Client, name: str) -> Callable[[bytes], None]:
    def ask(data: bytes) -> None:
        given = quote_from_bytes(data[:4000])
        assert client.request("GET", f"/api/conversations/?{name}={given}").status_code < 500

    return ask


def _all_filters(client: Client) -> Callable[[bytes], None]:
    def ask(data: bytes) -> None:
        query = "&".join(quote_from_bytes(part, safe="=") for part in data[:4000].split(b"\n"))
        assert client.request("GET", f"/api/conversations/?{query}").status_code < 500

    return ask


SEEDS = {
    "filters": [b"name=a\nordering=-id\npage=1\nstarted_at_after=2026-01-01", b"metadata=a.b:1,c:2\nhas_messages=true"],
    "metadata": [b"a.b:1,c:true", b'"a":"b"'],
    "events": [
        b'{"events":[{"kind":"message","id":"%032x","conversation_id":"c","at_us":1,"sender":"agent","content":"x"}]}'
        % 7
    ],
    "spans": [
        b'{"conversations":[{"conversation_id":"c","spans":[{"span_id":"a","trace_id":"b","name":"n","kind":"k"}]}]}'
    ],
    "multipart": [b'--x\r\nContent-Disposition: form-data; name="attachment_0"; filename="a"\r\n\r\nhi\r\n--x--\r\n'],
    "segment": [frame([b'{"a":1}']), frame([b'{"a":1}', b'{"b":2}'])],
    "snapshot": [b"\x00text", bytes(range(256))],
    "patterns": [b"ann@example.com +49 176 1234567 DE89 3704 0044 0532 0130 00 4111 1111 1111 1111"],
    "json": [b'{"a":[1,2.5,"\\ud800",null]}'],
    "gzip": [gzip.compress(b'{"a":1}'), gzip.compress(b"a" * 20_000), zlib.compress(b"{}")],
}


def main() -> None:
    """Fuzz one target in this process, or each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*SEEDS, "all"])
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    if given.target == "all":
        codes = [_in_a_process(name, given.seconds) for name in SEEDS]
        sys.exit(max(codes))
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder), requests_per_minute=0) as served:
        client = served.client()
        client.say("c", "hello", metadata={"a": {"b": 1}})
        targets: dict[str, Callable[[bytes], None]] = {
            "segment": segment,
            "snapshot": snapshots,
            "patterns": patterns,
            "json": json_bodies,
            "gzip": gzip_bodies,
            "filters": _all_filters(client),
            "metadata": _asks_filter(client, "metadata"),
            "events": _asks(client, "POST", "/api/events/", _JSON),
            "spans": _asks(client, "POST", "/api/ingest/", _JSON),
            "multipart": _asks(client, "POST", "/api/attachments/", _FORM),
        }
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(SEEDS[given.target]):
            (seeds / str(number)).write_bytes(seed)
        options = [f"-max_total_time={given.seconds}", "-max_len=4096", f"-artifact_prefix={tempfile.gettempdir()}/"]
        atheris.Setup([sys.argv[0], str(seeds), *options], targets[given.target])
        atheris.Fuzz()


def _in_a_process(name: str, seconds: int) -> int:
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds)]
    code = subprocess.run(command, check=False).returncode
    print(f"{name}: {'nothing found' if code == 0 else f'ended with {code}'}", flush=True)
    return code


if __name__ == "__main__":
    main()
