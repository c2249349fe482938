"""S7 to S9 and S12 to S14: bombs, attachments, names, exports, what is served, and what the server never calls."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.capture.conversation import conversation
from agentsight_auto.cli.main import main
from tests.server.support import ROOT, Served, ServeProcess
from tests.server.test_server_files import HOSTILE_NAMES

from .server_rig import MIB, Watch, can_mount
from .table import Row

TRACK = "/api/track/"
MESSAGE = {"content": "hello", "sender": "end_user", "conversation_id": "cid"}
UNLIMITED = {**os.environ, "AGENTSIGHT_SERVER_REQUESTS_PER_MINUTE": "0"}


def raw(address: str, head: str, body: Iterator[bytes] | bytes = b"", timeout_s: float = 30) -> tuple[int, int]:
    """Send a request byte by byte as told; return the status (0: none) and how many bytes of body were taken."""
    parts = urlsplit(address)
    sent = 0
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout_s) as connection:
        connection.sendall(head.encode())
        with suppress(OSError):
            for piece in [body] if isinstance(body, bytes) else body:
                connection.sendall(piece)
                sent += len(piece)
        answer = b""
        with suppress(OSError):
            answer = connection.recv(4096)
    return (int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0), sent


def chunked(total_bytes: int, piece: bytes = b"x" * 65_536) -> Iterator[bytes]:
    for _ in range(total_bytes // len(piece)):
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n\r\n"


def latencies_ms(client: httpx.Client, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        assert client.get("/api/me/").status_code == 200
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


@pytest.mark.timeout(300)
def test_s07_a_body_bomb_costs_its_sender_alone(row: Row, tmp_path: Path) -> None:
    """Too large with and without a length, compressed bombs, wrong encodings, fields by the thousand, slow senders."""
    limit, connections = 4 * MIB, row.rounds(quick=60, full=500)
    with ServeProcess(tmp_path / "a.db", "--quiet", env=UNLIMITED) as server, server.client() as client:
        client.post(TRACK, json=MESSAGE)
        quiet = latencies_ms(client, 200)
        head = f"POST {TRACK} HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {server.key}\r\n"
        bomb = gzip.compress(bytes(100 * MIB), 9)
        small = gzip.compress(json.dumps(MESSAGE).encode())
        with Watch(server.process.pid) as watch:
            status, _ = raw(server.address, f"{head}Content-Length: {limit + 3 * MIB}\r\n\r\n")
            statuses = {"3 MiB over, with a length": (status, {413})}
            status, _ = raw(server.address, f"{head}Transfer-Encoding: chunked\r\n\r\n", chunked(40 * MIB))
            statuses["40 MiB in chunks"] = (status, {413, 0})
            for name, body, encoding, wanted in (
                ("gzip bomb", bomb, "gzip", 413),
                ("gzip in gzip", gzip.compress(bomb), "gzip, gzip", 415),
                ("zstd", b"\x28\xb5\x2f\xfd" + bytes(100), "zstd", 415),
                ("br", bytes(100), "br", 415),
                ("deflate", zlib.compress(bytes(1000)), "deflate", 415),
                ("no gzip", b"plain", "gzip", 400),
                ("cut off", small[:-5], "gzip", 400),
            ):
                answer = client.post(TRACK, content=body, headers={"Content-Encoding": encoding})
                statuses[name] = (answer.status_code, {wanted})
            fields = {f"f{number}": "x" for number in range(10_000)}
            answer = client.post("/api/attachments/", data=fields, files={"attachment_0": b"x"})
            statuses["10,000 form fields"] = (answer.status_code, {400})
            slow = _slow_senders(server.address, head, connections)
            loud = latencies_ms(client, 200)
            for one in slow:
                one.close()
            time.sleep(0.2)
        bad = [f"{name}: {status}" for name, (status, wanted) in statuses.items() if status not in wanted]
        row.provoke(f"{len(statuses)} kinds of bomb; {connections} slow senders at once")
        row.figure(
            "refused with 413, 415 or 400",
            asked="100 %",
            reached=bad or f"{len(statuses)}/{len(statuses)}",
            holds=not bad,
        )
        row.figure(
            "memory added", asked="<= 32 MiB", reached=f"{watch.added / MIB:.0f} MiB", holds=watch.added <= 32 * MIB
        )
        ratio = loud[197] / max(quiet[197], 1.0)
        row.figure(
            "p99 of others", asked="<= 2 x", reached=f"{ratio:.1f} x ({quiet[197]:.1f} to {loud[197]:.1f} ms)",
            holds=ratio <= 2 or loud[197] < 25 or not row.is_full,
        )  # fmt: skip
        code, problems = server.stop()
    assert (code, "Traceback" in problems) == (0, False), problems[-2000:]


def _slow_senders(address: str, head: str, count: int) -> list[socket.socket]:
    parts = urlsplit(address)
    found = []
    for _ in range(count):
        one = socket.create_connection((parts.hostname, parts.port), timeout=30)
        one.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        found.append(one)
    return found


@pytest.mark.timeout(300)
def test_s08_attachments_are_bounded_and_leave_nothing(row: Row, tmp_path: Path) -> None:
    """50 MB many times at once on both routes, lies about the length, half uploads, the same content twice."""
    many = row.rounds(quick=6, full=20)
    with ServeProcess(tmp_path / "a.db", "--quiet", env=UNLIMITED) as server, server.client() as client:
        client.post(TRACK, json=MESSAGE)
        digest = hashlib.sha256(b"x").hexdigest()
        head = f"PUT /api/files/{digest}/ HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {server.key}\r\n"
        as_json = head.replace(f"PUT /api/files/{digest}/", "POST /api/attachments/")
        with Watch(server.process.pid) as watch, ThreadPoolExecutor(20) as pool:
            declared = list(
                pool.map(lambda _: raw(server.address, f"{head}Content-Length: {50 * 10**6}\r\n\r\n")[0], range(many))
            )
            sent = list(pool.map(
                lambda number: raw(
                    server.address, f"{(head, as_json)[number % 2]}Transfer-Encoding: chunked\r\n\r\n",
                    chunked((50, 80)[number % 2] * 10**6),
                )[0],
                range(many),
            ))  # fmt: skip
            lie = raw(server.address, f"{head}Content-Length: {10**6}\r\n\r\n", chunked(200 * MIB))[0]
            half = [
                raw(server.address, f"{head}Content-Length: {20 * MIB}\r\n\r\n", b"x" * (10 * MIB), timeout_s=0.2)[0]
                for _ in range(row.rounds(quick=3, full=20))
            ]
        form = {"attachment_0": ("same.txt", b"the same content", "text/plain")}
        for _ in range(2):
            assert client.post("/api/attachments/", data={"conversation_id": "c"}, files=form).status_code == 201
        time.sleep(0.5)
        kept = [path for path in (tmp_path / "attachments").rglob("*") if path.is_file()]
        stopped, problems = server.stop()
    row.provoke(
        f"{many} x 50 MB at once with and without a length, 1 MB declared and 200 MB sent, cut uploads, a file twice"
    )
    refused = sum(status in {413, 0} for status in declared + sent) + (lie in {400, 413, 0})
    row.figure(
        "refused at the limit",
        asked="100 %",
        reached=f"{refused}/{2 * many + 1}",
        holds=refused == 2 * many + 1 and set(declared) == {413},
    )
    row.figure("memory added", asked="<= 64 MiB", reached=f"{watch.added / MIB:.0f} MiB", holds=watch.added <= 64 * MIB)
    row.figure("files kept of one content sent twice", asked="1", reached=len(kept), holds=len(kept) == 1)
    row.figure("files left by cut uploads", asked="0", reached=len(kept) - 1, holds=len(kept) == 1)
    assert set(half) <= {0, 400}
    assert (stopped, "Traceback" in problems) == (0, False), problems[-2000:]


def test_s08_an_agent_keeps_no_more_than_its_quota(row: Row, tmp_path: Path) -> None:
    """With a quota of 10 MB for each agent, what is beyond is refused; texts and other agents are not."""
    with Served(tmp_path, requests_per_minute=0, agent_attachment_bytes=10 * 10**6) as served:
        client, other = served.client(), served.client(agent="other")
        contents = [bytes([number]) * 10**6 for number in range(15)]
        paths = [f"/api/files/{hashlib.sha256(content).hexdigest()}/" for content in contents]
        sent = [
            client.request("PUT", path, content=body).status_code for path, body in zip(paths, contents, strict=True)
        ]
        theirs = other.request("PUT", paths[0], content=contents[0]).status_code
        said = client.post(TRACK, MESSAGE).status_code
        kept = sum(path.stat().st_size for path in (tmp_path / "attachments").rglob("*") if path.is_file())
    row.provoke("15 MB of attachments against a quota of 10 MB for each agent")
    row.figure("taken, then refused", asked="10, 5", reached=f"{sent.count(200)}, {sent.count(413)}",
               holds=sent == [200] * 10 + [413] * 5)  # fmt: skip
    row.figure("bytes kept", asked="11 MB", reached=f"{kept / 10**6:.0f} MB", holds=kept == 11 * 10**6)
    row.figure("text, other agents", asked="taken", reached=f"{said}, {theirs}", holds=(said, theirs) == (201, 200))


@pytest.mark.timeout(120)
def test_s08_a_full_disk_refuses_files_and_still_takes_text(row: Row, tmp_path: Path) -> None:
    """On a disk of 200 MiB with less than 5 % free an attachment is 507, and what is said is stored."""
    if not can_mount():
        row.not_provoked("this user cannot mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = f"mount -t tmpfs -o size=200m tmpfs {folder} && head -c 191m /dev/zero > {folder}/filler"
    serve = f"{sys.executable} -m agentsight_auto serve --port 0 --db {folder}/a.db --json --quiet"
    script = f"{disk} && exec {serve}"
    process = subprocess.Popen(
        ["unshare", "-Urm", "sh", "-c", script], cwd=ROOT, env=UNLIMITED,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Api-Key {told['api_key']}"}
        with httpx.Client(base_url=told["address"], headers=headers, timeout=30, trust_env=False) as client:
            form = {"attachment_0": ("a.bin", b"x" * 1_000_000, "application/octet-stream")}
            content = b"y" * 1_000_000
            file = client.post("/api/attachments/", data={"conversation_id": "c"}, files=form).status_code
            put = client.put(f"/api/files/{hashlib.sha256(content).hexdigest()}/", content=content).status_code
            texts = [client.post(TRACK, json={**MESSAGE, "content": f"text {n}"}).status_code for n in range(20)]
    finally:
        process.kill()
        process.communicate(timeout=20)
    row.without_accounts("the full disk goes with the server")
    row.provoke("a disk of 200 MiB, 96 % full")
    row.figure("an attachment", asked="507", reached=f"{file}, {put}", holds=(file, put) == (507, 507))
    row.figure("texts that are stored", asked="20/20", reached=f"{texts.count(201)}/20", holds=texts.count(201) == 20)


def test_s09_a_file_name_is_only_ever_text(row: Row, tmp_path: Path) -> None:
    """No name leads out of the folder, into a header or into another type; it is shown without what could deceive."""
    outside = bad_headers = tried = 0
    with Served(tmp_path / "data") as served:
        client = served.client()
        names = [
            *HOSTILE_NAMES,
            "C:\\x",
            "x/" * 500,
            "\u2066a\u2069.exe",
            "%2e%2e%2fx",
            "-rf",
            "a\tb",
            "NUL.txt",
            "\x7f",
        ]
        for name in names:
            body = {"attachments": [{"filename": name, "data": "aGVsbG8="}], "conversation_id": "cid"}
            answer = client.request("POST", "/api/attachments/", content=json.dumps(body).encode())
            assert answer.status_code == 201, name
        conversation_pk = client.get("/api/conversations/").json()["results"][0]["id"]
        for message in client.get(f"/api/conversations/{conversation_pk}/").json()["messages"]:
            for attachment in message["attachments"]:
                tried += 1
                served_file = client.get(attachment["file_url"])
                disposition = served_file.headers["content-disposition"]
                is_safe = disposition.startswith("attachment; filename") and served_file.content == b"hello"
                bad_headers += not is_safe or bool(set(disposition) & set("\r\n\0/\\\u202e"))
        folder = served.settings.attachments_path
        files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        expected = {hashlib.sha256(b"hello").hexdigest()}
        outside = len({path.name for path in files if folder in path.parents} ^ expected)
        outside += sum(path.parent == tmp_path for path in tmp_path.iterdir() if path.is_file())
    row.provoke(f"{len(names)} names: paths, NUL, CRLF, bidi, devices, 300 characters, empty, lone surrogates")
    row.figure("files outside the folder or under a name of the sender", asked="0", reached=outside, holds=outside == 0)
    row.figure(
        "headers that are not RFC 6266",
        asked="0",
        reached=f"{bad_headers} of {tried}",
        holds=bad_headers == 0 and tried == len(names),
    )


TRIGGERS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\0",
    '=HYPERLINK("http://x")',
    " =1",
    "\n=1",
    "\uff1d1",
    "=cmd|' /C calc'!A0",
    "-2+3",
)


@pytest.mark.timeout(580)
def test_s12_no_cell_of_an_export_is_a_formula(row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After parsing, no cell of the CSV starts with a trigger; JSON out and in again is the same to the byte."""
    home = tmp_path / "home"
    runtime = Runtime(home=home)
    quotes = ['"', "''", 'a"b,c', "line\nline", "a;b", "\u2028"]
    with used_as_default(runtime):
        for number, text in enumerate((*TRIGGERS, *quotes)):
            with conversation(
                f"{text.strip() or 'c'} {number}", customer_id=text, device=text, source=text, language=text
            ) as chat:
                chat.track_human_message(f"{text}x", metadata={text: text})
                chat.track_agent_message("x" + text)
                chat.track_action(f"{text}a", tools_used=text, response=text, error_msg=f"{text}b")
                chat.track_button("e", f"{text}c", f"{text}d")
    assert runtime.flush(10).pending == 0
    runtime.shutdown(5)
    assert main(["export", "--home", str(home), "--format", "csv", "--output", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8-sig") as stream:
        table = list(csv.reader(stream))
    cells = [cell for line in table[1:] for cell in line]
    started = sum(cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\0", "\uff1d")) for cell in cells)
    row.provoke(
        f"{len(TRIGGERS) + len(quotes)} triggers and quotes in every field, {len(cells)} cells; there is no XLSX export"
    )
    row.figure("cells that start with a trigger", asked="0", reached=started, holds=started == 0)
    exports = []
    for number, folder in enumerate((home, tmp_path / "again")):
        target = tmp_path / f"{number}.jsonl"
        assert main(["export", "--home", str(folder), "--output", str(target)]) == 0
        exports.append(target.read_bytes())
        if number == 0:
            assert main(["import", str(target), "--home", str(tmp_path / "again")]) == 0
    row.figure(
        "JSON, out and in and out again",
        asked="the same bytes",
        reached=exports[0] == exports[1],
        holds=exports[0] == exports[1],
    )
    if row.is_full:
        added = _memory_of_a_large_export(tmp_path)
        row.figure(
            "memory for 1,000,000 messages",
            asked="<= 32 MiB",
            reached=f"{added / MIB:.0f} MiB",
            holds=added <= 32 * MIB,
        )


EXPORTING = """
import re, sys, threading
from agentsight_auto.cli.main import main
most_kib, is_over = 0, threading.Event()
def watch():
    global most_kib
    while not is_over.wait(0.01):
        with open("/proc/self/status") as status: own = re.search(r"RssAnon:\\s+(\\d+)", status.read())
        most_kib = max(most_kib, int(own[1]))
watching = threading.Thread(target=watch)
watching.start()
main(sys.argv[1:])
is_over.set()
watching.join()
print(most_kib, file=sys.stderr)
"""


def _memory_of_a_large_export(folder: Path) -> int:
    """Return how much more memory of its own the export of 1,000,000 messages takes than that of ten.

    Pages of the store's file that are mapped are the system's, which takes them back when it likes.
    """
    peaks = []
    for name, count in (("small", 1), ("large", 100_000)):
        lines = [
            json.dumps({"id": f"c{n}", "messages": [{"role": "user", "content": f"text {m} " * 5} for m in range(10)]})
            for n in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
        home = folder / name
        assert main(["import", str(folder / f"{name}.jsonl"), "--home", str(home)]) == 0
        arguments = ["export", "--home", str(home), "--output", str(folder / f"{name}.out")]
        done = subprocess.run([sys.executable, "-c", EXPORTING, *arguments], capture_output=True, text=True, check=True)
        peaks.append(int(done.stderr.split()[-1]) * 1024)
    return peaks[1] - peaks[0]


ACTING = {
    "x.svg": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    "x.html": ("text/html", b"<script>alert(1)</script>"),
    "x.xhtml": ("application/xhtml+xml", b"<html xmlns='http://www.w3.org/1999/xhtml'/>"),
    "x.pdf": ("application/pdf", b"%PDF-1.7 /OpenAction"),
    "x.gif": ("image/gif", b"GIF89a/*<script>alert(1)</script>*/=1;"),
    "x.js": ("text/javascript", b"alert(1)"),
    "x.txt": ("text/html\r\nX-Evil: 1", b"x"),
    "x.png": ("text/html;charset=utf-7", b"+ADw-script+AD4-"),
    "x.swf": ("application/x-shockwave-flash", b"FWS"),
}


def test_s13_what_is_served_cannot_act(row: Row, tmp_path: Path) -> None:
    """Of any type it is saved, not sniffed, in a sandbox; ten thousand ranges are answered; no path leads out."""
    unsafe, slowest_ms = [], 0.0
    with Served(tmp_path, requests_per_minute=0) as served:
        client, stranger = served.client(), served.stranger()
        for name, (kind, content) in ACTING.items():
            file = {"filename": name, "mime_type": kind, "data": base64.b64encode(content + b" " * 20_000).decode()}
            assert client.post("/api/attachments/", {"attachments": [file], "conversation_id": "c"}).status_code == 201
        pk = client.get("/api/conversations/").json()["results"][0]["id"]
        links = [
            (attachment["filename"], attachment["file_url"])
            for message in client.get(f"/api/conversations/{pk}/").json()["messages"]
            for attachment in message["attachments"]
        ]
        for name, link in links:
            for options in ({}, {"headers": {"Range": "bytes=0-5"}}, {"headers": {"Accept": "text/html"}}):
                headers = stranger.request("GET", link, **options).headers
                is_safe = (
                    headers["content-disposition"].startswith("attachment")
                    and headers["x-content-type-options"] == "nosniff"
                    and headers["content-security-policy"] == "sandbox; default-src 'none'"
                    and "x-evil" not in headers
                )
                unsafe += [] if is_safe else [name]
            for ranges in (
                ",".join(f"{n}-{n}" for n in range(10_000)),
                ",".join(["0-"] * 10_000),
                "-1," * 9_999 + "-1",
            ):
                began = time.perf_counter()
                assert stranger.request("GET", link, headers={"Range": f"bytes={ranges}"}).status_code < 500
                slowest_ms = max(slowest_ms, (time.perf_counter() - began) * 1000)
        paths = ("../a.db", "..%2fa.db", "%2e%2e/a.db", "....//a.db", "/etc/passwd", "a" * 5000, "%00", "..\\a.db", "*")
        out = [path for path in paths if stranger.get(f"/api/files/{path}/").status_code not in {404, 400}]
    row.provoke(f"{len(ACTING)} types that act, each asked 3 ways; 3 kinds of 10,000 ranges; {len(paths)} paths")
    row.figure("served without attachment, nosniff and sandbox", asked="0", reached=len(unsafe), holds=not unsafe)
    limit_ms = 50 if row.is_full else 500
    row.figure("10,000 ranges", asked="<= 50 ms", reached=f"{slowest_ms:.0f} ms", holds=slowest_ms <= limit_ms)
    row.figure("paths that lead out", asked="0", reached=len(out), holds=not out)


def test_s14_the_server_calls_nobody(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of the machine's own network in every field: no connection is opened and no name is looked up."""
    called: list[str] = []
    ours = threading.local()

    def guard(name: str) -> None:
        original = getattr(socket.socket, name)

        def watched(self: socket.socket, address: Any, *rest: Any) -> Any:
            if self.family != socket.AF_UNIX and not getattr(ours, "is_test", False):
                called.append(f"{name} {address}")
            return original(self, address, *rest)

        monkeypatch.setattr(socket.socket, name, watched)

    for name in ("connect", "connect_ex"):
        guard(name)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "create_connection"):
        monkeypatch.setattr(socket, name, lambda *a, _name=name, **k: called.append(f"{_name} {a}"))
    targets = [
        "http://127.0.0.1:80/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/",
        "http://0x7f.1/",
        "file:///etc/passwd", "gopher://127.0.0.1:25/", "http://localtest.me/", "//evil.example/x",
        "\\\\evil.example\\share",
    ]  # fmt: skip
    answered = 0
    with Served(tmp_path) as served:
        client = served.client()
        for target in targets:
            fields = {
                "name": target,
                "customer_id": target,
                "device": target,
                "source": target,
                "metadata": {"url": target},
            }
            host = urlsplit(target).hostname or "127.0.0.1"
            client.open(target, customer_ip_address=host if ":" in host or host[0].isdigit() else "127.0.0.1", **fields)
            bodies: list[tuple[str, dict[str, Any]]] = [
                (TRACK, {"content": f"![x]({target})", "sender": "agent", "metadata": {"webhook": target}}),
                ("/api/action_logs/", {"action_name": target, "tools_used": {"url": target}, "response": target}),
                ("/api/buttons/", {"button_event": target, "label": target, "value": target}),
                (
                    "/api/attachments/",
                    {"attachments": [{"filename": target, "data": target, "url": target, "file_url": target}]},
                ),
                ("/api/attachments/", {"attachments": [{"filename": "a", "data": "aGk=", "file_url": target}]}),
            ]
            for path, body in bodies:
                answered += client.post(path, {**body, "conversation_id": target}).status_code < 500
            answered += client.get("/api/conversations/", search=target, url=target).status_code < 500
    row.provoke(f"{len(targets)} addresses in every field of 6 routes, under a guard on sockets and look-ups")
    row.figure("connections and look-ups", asked="0", reached=called or 0, holds=not called)
    assert answered == len(targets) * 6
