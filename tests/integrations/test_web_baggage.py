"""Across services: httpx and requests carry the conversation to allowed hosts only, and a middleware takes it up."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentsight_auto import conversation, flush, instrument, uninstrument
from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.integrations.asgi import ConversationMiddleware
from agentsight_auto.testing import Recording
from tests.integrations.web_support import served_by_uvicorn

requests = pytest.importorskip("requests", reason="pip install agentsight-auto[integrations-test]")
MEMBER = "agentsight.conversation_id=chat%201"


class Echo(BaseHTTPRequestHandler):
    """Answers with the baggage it got; ``/to/HOST`` redirects there."""

    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.server.seen.append((self.headers["Host"].partition(":")[0], self.headers.get("baggage")))  # type: ignore[attr-defined]
        if self.path.startswith("/to/"):
            self.send_response(307)
            self.send_header("Location", f"http://{self.path[4:]}:{self.server.server_port}/")  # type: ignore[attr-defined]
            body = b""
        else:
            self.send_response(200)
            body = json.dumps(self.headers.get("baggage")).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def echo() -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, server.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def carrying(recorded: Recording) -> Iterator[Recording]:
    """Both clients are taught, and localhost (not 127.0.0.1) is on the list."""
    recorded._runtime.configure(baggage_hosts=["localhost"])
    instrument("httpx", "requests")
    yield recorded
    uninstrument("httpx", "requests")


def by_httpx(url: str, **options: Any) -> Any:
    with httpx.Client(follow_redirects=True) as client:
        return client.get(url, **options)


def by_httpx_async(url: str, **options: Any) -> Any:
    import asyncio

    async def ask() -> Any:
        async with httpx.AsyncClient(follow_redirects=True) as client:
            return await client.get(url, **options)

    return asyncio.run(ask())


def by_requests(url: str, **options: Any) -> Any:
    with requests.Session() as session:
        return session.get(url, **options)


CLIENTS = [by_httpx, by_httpx_async, by_requests]


@pytest.mark.parametrize("ask", CLIENTS)
def test_an_allowed_host_gets_the_conversation_and_no_other(ask: Any, carrying: Recording) -> None:
    """Other members stay; the program's own request is unchanged; outside a conversation nothing is added."""
    with echo() as (port, seen):
        with conversation("chat 1"):
            response = ask(f"http://localhost:{port}/", headers={"baggage": "tenant=t1"})
            assert response.json() == f"tenant=t1,{MEMBER}"
            assert response.request.headers["baggage"] == "tenant=t1"
            assert ask(f"http://127.0.0.1:{port}/").json() is None
        assert ask(f"http://localhost:{port}/").json() is None
    assert [host for host, _ in seen] == ["localhost", "127.0.0.1", "localhost"]


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_redirect_does_not_take_the_conversation_elsewhere(ask: Any, carrying: Recording) -> None:
    """Each hop is asked for by its own host, in both directions."""
    with echo() as (port, seen), conversation("chat 1"):
        assert ask(f"http://localhost:{port}/to/127.0.0.1").json() is None
        assert ask(f"http://127.0.0.1:{port}/to/localhost").json() == MEMBER
    assert seen == [("localhost", MEMBER), ("127.0.0.1", None), ("127.0.0.1", None), ("localhost", MEMBER)]


@pytest.mark.parametrize("ask", CLIENTS)
def test_off_by_default_and_after_uninstrument(ask: Any, recorded: Recording) -> None:
    """Without a list nothing is carried; undone, the very functions are back."""
    places = [
        (httpx.HTTPTransport, "handle_request"),
        (httpx.AsyncHTTPTransport, "handle_async_request"),
        (requests.adapters.HTTPAdapter, "send"),
    ]
    before = [vars(owner)[name] for owner, name in places]
    instrument("httpx", "requests")
    with echo() as (port, _), conversation("chat 1"):
        assert ask(f"http://localhost:{port}/").json() is None
        uninstrument("requests", "httpx")
        recorded._runtime.configure(baggage_hosts=["localhost"])
        assert ask(f"http://localhost:{port}/").json() is None
    assert [vars(owner)[name] for owner, name in places] == before


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_failing_request_fails_as_ever(ask: Any, carrying: Recording) -> None:
    """The client's own exception."""
    with conversation("chat 1"), pytest.raises((httpx.ConnectError, requests.ConnectionError)):
        ask("http://localhost:1/")


def test_a_body_that_streams_is_sent_once_and_whole(carrying: Recording) -> None:
    """The copy that carries the header has the same stream."""
    with echo() as (port, seen), conversation("chat 1"), httpx.Client() as client:
        response = client.post(
            f"http://localhost:{port}/", content=(piece for piece in [b"a", b"b"]), headers={"Content-Length": "2"}
        )
        assert response.json() == MEMBER
        assert requests.post(f"http://localhost:{port}/", data={"a": "b"}).json() == MEMBER
    assert len(seen) == 2


@pytest.mark.parametrize("accepts", [True, False])
def test_a_service_that_accepts_it_continues_the_conversation(accepts: bool, carrying: Recording) -> None:
    """Two services, one conversation; a service that was not told to accept it does not."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from agentsight_auto import current_conversation

    async def stock(request: Any) -> JSONResponse:
        scope = current_conversation()
        return JSONResponse(scope and scope.conversation_id)

    app = Starlette(routes=[Route("/", stock)])
    app.add_middleware(
        ConversationMiddleware, **({"id_from": ["header:X-Conversation-Id", "baggage"]} if accepts else {})
    )
    with served_by_uvicorn(app) as port, conversation("chat 1"):
        assert by_httpx(f"http://localhost:{port}/").json() == ("chat 1" if accepts else None)


def test_our_own_delivery_never_carries_it(tmp_path: Path) -> None:
    """Recording to, and reading from, a server whose host is on the list: no request of ours has baggage."""
    from agentsight_auto import agentsight_api
    from agentsight_auto.exceptions import ConversationTrackingException

    with echo() as (port, seen):
        runtime = Runtime(
            home=tmp_path / "home",
            endpoint=f"http://localhost:{port}",
            api_key="ags_" + "a" * 32 + "_" + "b" * 6,
            baggage_hosts=["localhost"],
        )
        instrument("httpx", "requests", "threads")
        try:
            with used_as_default(runtime):
                with conversation("chat 1") as chat:
                    chat.track_human_message("hi")
                    flush(3)
                    with contextlib.suppress(ConversationTrackingException):
                        agentsight_api.fetch_conversation("chat 1")
                runtime.shutdown(1)
        finally:
            uninstrument("httpx", "requests", "threads")
    assert seen
    assert {value for _, value in seen} == {None}
