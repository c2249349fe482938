"""A raw-socket server that speaks the client's side of the AgentSight API, and misbehaves on demand.

It stores what it takes in: distinct events by id with their repeats, files by digest, items of the documented per-item
routes in order. `behave` makes it fail, from before it has read a request to in the middle of its answer.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "ags_" + "0123456789abcdef" * 2 + "_abcdef"
MODERN = ("gzip-ingest", "events-batch")


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def is_gzip(self) -> bool:
        return self.headers.get("content-encoding") == "gzip"

    @property
    def content(self) -> bytes:
        """The body without its compression."""
        return gzip.decompress(self.body) if self.is_gzip else self.body

    def json(self) -> Any:
        return json.loads(self.content)

    def form(self) -> dict[str, tuple[str | None, str, bytes]]:
        """The parts of a multipart form: name to file name, media type and content."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + self.body)
        return {
            str(part.get_param("name", header="content-disposition")): (
                part.get_filename(),
                part.get_content_type(),
                part.get_payload(decode=True),
            )
            for part in message.iter_parts()
        }


@dataclass
class Fault:
    """How to misbehave.

    `kind`: ``status`` (answer with `status`, nothing is stored), ``hang`` (read, never answer), ``reset`` (before
    anything is stored), ``reset_after``, ``half`` (half of the answer, after it was stored), ``bad_json``, ``html``,
    ``empty`` (200 without a body, after it was stored), ``trickle`` (the answer byte by byte, headers too).
    """

    kind: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"detail":"as the test asked"}'
    content_type: str = "application/json"


class FaultServer:
    """Listen on a free port of 127.0.0.1; with `capabilities` None there is neither /api/me/ nor a batch route."""

    def __init__(self, capabilities: tuple[str, ...] | None = MODERN, tls: ssl.SSLContext | None = None) -> None:
        self.capabilities = capabilities
        self._tls = tls
        self.asked: list[Asked] = []
        self.arrivals: list[str] = []
        self.events: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.conversations: dict[str, int] = {}
        self.refuses: Callable[[dict[str, Any]], str | None] = lambda event: None
        self.silent_about: Callable[[dict[str, Any]], bool] = lambda event: False
        self.changed = threading.Condition()
        self._fault: Callable[[Asked], Fault | None] = lambda asked: None
        self._connections: set[socket.socket] = set()
        self._numbers = iter(range(1, 1_000_000))
        self._released = threading.Event()
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()

    # -- life --------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Take connections, again on the same port after `refuse`."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Stop listening and drop every connection."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._released.set()
        self.refuse()

    def behave(self, fault: Fault | Callable[[Asked], Fault | None] | None, times: int | None = None) -> None:
        """Misbehave from now on, always or where the callable says so, at most so many times; None: behave well."""
        left = [times if times is not None else 1_000_000_000]

        def limited(asked: Asked) -> Fault | None:
            found = fault(asked) if callable(fault) else fault
            if found is None or left[0] <= 0:
                return None
            left[0] -= 1
            return found

        self._fault = limited

    # -- looking -----------------------------------------------------------------------------------------------------

    def paths(self) -> list[str]:
        """Method and path of every request, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def repeats(self) -> int:
        """How many events arrived more than once, counting each time."""
        return sum(times - 1 for times in Counter(self.arrivals).values())

    def sent(self, path: str) -> list[dict[str, Any]]:
        """What was stored through one of the per-item routes."""
        return [item for where, item in self.items if where == path]

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 15.0) -> bool:
        """Wait until the condition holds, looked at after each request."""
        with self.changed:
            return bool(self.changed.wait_for(condition, timeout_s))

    # -- serving -----------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection, next(self._numbers)), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with suppress(OSError, ValueError), connection:
                talking = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                with talking, talking.makefile("rb") as reader:
                    while (asked := _read(reader, number)) is not None and self._answer(talking, asked):
                        pass
        finally:
            self._connections.discard(connection)

    def _answer(self, connection: socket.socket, asked: Asked) -> bool:
        """Answer one request; False ends the connection."""
        with self.changed:
            self.asked.append(asked)
            self.changed.notify_all()
        fault = self._fault(asked)
        kind = fault.kind if fault is not None else "ok"
        if kind == "hang":
            self._released.wait(60)
            return False
        if kind == "reset":
            _reset(connection)
            return False
        if fault is not None and kind == "status":
            connection.sendall(_reply(fault.status, fault.body, fault.content_type, fault.headers))
            return True
        if kind == "html":
            connection.sendall(_reply(200, b"<html><body>Welcome to the hotel</body></html>", "text/html"))
            return True
        with self.changed:
            status, body = self._handle(asked)
            self.changed.notify_all()
        return self._say(connection, kind, _reply(status, json.dumps(body).encode()))

    def _say(self, connection: socket.socket, kind: str, reply: bytes) -> bool:
        if kind == "reset_after":
            _reset(connection)
            return False
        if kind == "half":
            connection.sendall(reply[: len(reply) - 5])
            return False
        if kind == "bad_json":
            connection.sendall(_reply(200, b'{"results":[{"id":'))
        elif kind == "empty":
            connection.sendall(_reply(200, b""))
        elif kind == "trickle":
            for byte in reply:
                connection.sendall(bytes([byte]))
                if self._released.wait(0.05):
                    return False
        else:
            connection.sendall(reply)
        return True

    def _handle(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("authorization") != f"Api-Key {KEY}":
            return 401, {"detail": "Invalid API key."}
        if asked.path == "/api/me/" and self.capabilities is not None:
            return 200, {"agent_id": 1, "role": "write", "capabilities": list(self.capabilities)}
        if asked.path == "/api/events/" and self.capabilities is not None and "events-batch" in self.capabilities:
            return 200, {"results": [found for event in asked.json()["events"] for found in self._take_event(event)]}
        if asked.method == "PUT" and asked.path.startswith("/api/files/"):
            self.files[asked.path.split("/")[3]] = asked.content
            return 200, {}
        if asked.method == "GET" and asked.path == "/api/conversations/lookup/":
            text_id = asked.query["conversation_id"][0]
            known = self.conversations.get(text_id)
            return (
                (404, {"detail": "Not found."}) if known is None else (200, {"id": known, "conversation_id": text_id})
            )
        return self._take_item(asked)

    def _take_event(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self.silent_about(event):
            return
        reason = self.refuses(event)
        if reason is not None:
            yield {"id": event["id"], "status": "rejected", "reason": reason, "new_field": 1}
            return
        self.arrivals.append(event["id"])
        status = "duplicate" if event["id"] in self.events else "stored"
        self.events.setdefault(event["id"], event)
        yield {"id": event["id"], "status": status}

    def _take_item(self, asked: Asked) -> tuple[int, Any]:
        routes = {"conversations", "track", "action_logs", "buttons", "attachments", "conversation-feedbacks"}
        name = asked.path.removeprefix("/api/").strip("/")
        if asked.method != "POST" or name not in routes:
            return 404, {"detail": "Not found."}
        if asked.headers.get("content-type", "").startswith("multipart/"):
            item: dict[str, Any] = dict(asked.form())
        else:
            item = asked.json()
            reason = self.refuses(item)
            if reason is not None:
                return 400, {"metadata": [reason]}
        self.items.append((name, item))
        if name == "conversations":
            pk = self.conversations.setdefault(item["conversation_id"], len(self.conversations) + 1)
            return 201, {"id": pk, "conversation_id": item["conversation_id"]}
        return 201, {"id": 1000 + len(self.items), "stored": name}


def _read(reader: Any, number: int) -> Asked | None:
    """Read one request; None at the end of the connection."""
    first = reader.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(reader.readline().strip() or b"0", 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        body = reader.read(int(headers.get("content-length", "0")))
    target = urlsplit(first[1])
    return Asked(first[0], target.path, parse_qs(target.query), headers, body, number)


def _reply(
    status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> bytes:
    lines = [f"HTTP/1.1 {status} As-Asked", f"Content-Length: {len(body)}", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def fault_server(
    capabilities: tuple[str, ...] | None = MODERN, tls: ssl.SSLContext | None = None
) -> Iterator[FaultServer]:
    """Run a fault server for the length of a block."""
    server = FaultServer(capabilities, tls)
    try:
        yield server
    finally:
        server.close()
