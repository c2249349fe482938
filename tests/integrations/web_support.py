"""Real servers for the tests of request handlers, and what a request is made of."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148"
HEADERS = {
    "X-Conversation-Id": "chat-1",
    "X-Customer-Id": "mia",
    "User-Agent": PHONE,
    "Accept-Language": "en;q=0.4, de-CH, *;q=0.1",
}
FILLED = {
    "customer_id": "mia",
    "customer_ip_address": "127.0.0.1",
    "device": "mobile",
    "language": "de-CH",
    "source": "web",
}
"""What a request with `HEADERS` from this machine fills in."""


def until(condition: Callable[[], Any], what: str, *, within_s: float = 30.0) -> Any:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s: {what}")


@contextlib.contextmanager
def served_by_uvicorn(app: Any) -> Iterator[int]:
    """Serve an ASGI application on a free port of this machine."""
    import uvicorn

    protocol: Any = "wsproto" if importlib.util.find_spec("wsproto") else "none"
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", ws=protocol)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "uvicorn starts")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def served_by_werkzeug(app: Any) -> Iterator[int]:
    """Serve a WSGI application on a free port of this machine, a thread for each connection."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            pass

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def ask_and_leave(port: int, path: str, after: bytes, **headers: str) -> None:
    """Send a GET request, read until `after` has come, and cut the connection."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n{lines}\r\n".encode())
        received = b""
        while after not in received:
            piece = connection.recv(4096)
            assert piece, received
            received += piece
