"""ASGI: FastAPI, Starlette and Litestar, streams, server-sent events, websockets, the FastAPI dependency."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("starlette", reason="pip install agentsight-auto[server]")
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from agentsight_auto import _guard, current_conversation, track_action
from agentsight_auto.events import ConversationEnded, ConversationStarted
from agentsight_auto.exceptions import ConfigurationException
from agentsight_auto.integrations.asgi import ConversationMiddleware
from agentsight_auto.testing import Recording
from tests.integrations.web_support import FILLED, HEADERS, ask_and_leave, served_by_uvicorn, until


@track_action
def look_up(text: str) -> str:
    return text.upper()


def say(text: str) -> str | None:
    """Record a message in whatever is current, and return that conversation's id."""
    scope = current_conversation()
    if scope is None:
        return None
    scope.track_human_message(text)
    return scope.conversation_id


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def ask(app: Any, path: str = "/", method: str = "GET", **options: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.request(method, path, **options)


def fields(recorded: Recording, conversation_id: str = "chat-1") -> dict[str, Any]:
    (started,) = recorded.of(ConversationStarted, conversation_id)
    return {name: getattr(started, name) for name in FILLED}


def outcome(recorded: Recording, conversation_id: str = "chat-1") -> str | None:
    (ended,) = recorded.of(ConversationEnded, conversation_id)
    return ended.error


async def answer(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"conversation": say("hi"), "body": body.decode("latin-1"), "action": look_up("x")})


def starlette_app(handler: Callable[..., Any] = answer, **options: Any) -> Starlette:
    app = Starlette(routes=[Route("/{rest:path}", handler, methods=["GET", "POST"])])
    app.add_middleware(ConversationMiddleware, **options)
    return app


def fastapi_app(**options: Any) -> Any:
    fastapi = pytest.importorskip("fastapi", reason="pip install agentsight-auto[integrations-test]")
    app = fastapi.FastAPI()
    app.add_middleware(ConversationMiddleware, **options)

    @app.get("/")
    def read() -> dict[str, Any]:  # a sync endpoint: runs in a thread
        return {"conversation": say("hi"), "body": "", "action": look_up("x")}

    return app


def litestar_app(**options: Any) -> Any:
    litestar = pytest.importorskip("litestar", reason="pip install agentsight-auto[integrations-test]")
    from litestar.middleware import DefineMiddleware

    @litestar.get("/")
    async def read() -> dict[str, Any]:
        return {"conversation": say("hi"), "body": "", "action": look_up("x")}

    return litestar.Litestar([read], middleware=[DefineMiddleware(ConversationMiddleware, **options)])


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app])
async def test_a_request_is_recorded_in_the_conversation_it_names(make: Any, recorded: Recording) -> None:
    """Id, customer, address, device, language and source are filled in; messages and actions lie inside."""
    response = await ask(make(), headers=HEADERS)
    assert response.json() == {"conversation": "chat-1", "body": "", "action": "X"}
    assert fields(recorded) == FILLED
    assert recorded.messages("chat-1") == [("end_user", "hi")]
    assert recorded.action_names("chat-1") == ["look_up"]
    assert isinstance(recorded.events[-1], ConversationEnded)
    assert current_conversation() is None


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app])
async def test_a_request_without_an_id_is_untouched(make: Any, recorded: Recording) -> None:
    """Nothing is current and nothing recorded, unless the application tracks by itself."""
    response = await ask(make(), headers={"X-Conversation-Id": "  "})
    assert response.json()["conversation"] is None
    assert "chat-1" not in recorded.conversation_ids


async def test_without_an_id_the_application_gets_the_very_same_objects() -> None:
    """Scope, receive and send are passed on as they came; so are lifespan events."""
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.append(given)

    middleware = ConversationMiddleware(app)
    for scope in ({"type": "http", "headers": []}, {"type": "lifespan"}, {"type": "websocket"}):
        given = (scope, object(), object())
        await middleware(*given)
        assert all(one is other for one, other in zip(seen.pop(), given, strict=True))


WHATSAPP = {"entry": [{"changes": [{"value": {"messages": [{"from": "41791234567"}]}}]}]}
PLACES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "header": ("header:X-Chat", {"headers": {"x-chat": "a b"}}, "a b"),
    "header in UTF-8": ("header:X-Chat", {"headers": {"x-chat": "café".encode()}}, "café"),
    "cookie": ("cookie:chat", {"headers": {"cookie": 'x=1; chat="c 7"; y'}}, "c 7"),
    "query": ("query:chat", {"path": "/?other=1&chat=q%207"}, "q 7"),
    "path": ("path:/chats/{id}", {"path": "/chats/p%C3%A9/messages"}, "pé"),
    "path with a star": ("path:/*/chats/{id}", {"path": "/v1/chats/p7"}, "p7"),
    "json": ("json:chat.id", {"method": "POST", "json": {"chat": {"id": "j7"}}}, "j7"),
    "json number": ("json:id", {"method": "POST", "json": {"id": 17}}, "17"),
    "json in lists": (
        "json:entry.0.changes.0.value.messages.0.from",
        {"method": "POST", "json": WHATSAPP},
        "41791234567",
    ),
    "form": ("form:From", {"method": "POST", "data": {"From": "whatsapp:+4179"}}, "whatsapp:+4179"),
    "callable": (lambda request: (request.header("x-a") or "") + "!", {"headers": {"x-a": "f"}}, "f!"),
    "the first that has one": (("header:X-None", "query:chat"), {"path": "/?chat=second"}, "second"),
    "baggage": ("baggage", {"headers": {"baggage": "a=1,agentsight.conversation_id=b%207;p=1"}}, "b 7"),
}


@pytest.mark.parametrize("place", PLACES)
async def test_the_id_comes_from_where_the_option_says(place: str, recorded: Recording) -> None:
    """Each word of `id_from`, and the body that the application reads is what was sent."""
    id_from, request, expected = PLACES[place]
    response = await ask(starlette_app(id_from=id_from), **request)
    assert response.json()["conversation"] == expected
    assert recorded.conversation_ids == [expected]
    async with client_of(starlette_app()) as client:
        request = dict(request)
        sent = client.build_request(request.pop("method", "GET"), request.pop("path", "/"), **request)
    assert response.json()["body"].encode("latin-1") == sent.content


NO_IDS = {
    "blank": {"X-Conversation-Id": " "},
    "control characters": {"X-Conversation-Id": b"a\x1b[31mb"},
    "a tab": {"X-Conversation-Id": b"a\tb"},
    "only baggage, which is off": {"baggage": "agentsight.conversation_id=b7"},
}


@pytest.mark.parametrize("name", NO_IDS)
async def test_what_is_no_id_opens_no_conversation(name: str, recorded: Recording) -> None:
    """Such a request is answered as one without an id."""
    response = await ask(starlette_app(), headers=NO_IDS[name])
    assert (response.status_code, response.json()["conversation"]) == (200, None)


@pytest.mark.parametrize("value", [None, True, 1.5, [], {}, "", "\0", "a\nb", 2**200])
async def test_json_values_that_are_no_ids(value: Any, recorded: Recording) -> None:
    """Only texts and whole numbers are ids."""
    response = await ask(starlette_app(id_from="json:id"), method="POST", json={"id": value})
    assert response.json()["conversation"] is None
    assert json.loads(response.json()["body"]) == {"id": value}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b'{"id": {"a": 1}}'])
async def test_a_body_that_is_no_such_document_is_passed_on(body: bytes, recorded: Recording) -> None:
    """It is read and given to the application as it was; there is no id."""
    headers = {"content-type": "application/json"}
    response = await ask(starlette_app(id_from="json:id"), method="POST", content=body, headers=headers)
    assert response.json()["conversation"] is None
    assert response.json()["body"].encode("latin-1") == body


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(("limit", "expected"), [(64, "j7"), (10, None)])
async def test_the_messages_of_a_body_are_replayed_one_by_one(
    limit: int, expected: str | None, recorded: Recording
) -> None:
    """A body in pieces without a length reaches the application in the same pieces; over the limit it names no id."""
    parts = [b'{"id":', b' "j7"', b', "x": 1}']
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            seen.append(message["body"])
            more = message.get("more_body", False)
        seen.append(say("hi"))
        await PlainTextResponse("ok")(scope, receive, send)

    middleware = ConversationMiddleware(app, id_from="json:id", body_limit_bytes=limit)
    with served_by_uvicorn(middleware) as port:
        async with httpx.AsyncClient() as client:
            await client.post(f"http://127.0.0.1:{port}/", content=pieces(*parts))
    assert b"".join(seen[:-1]) == b"".join(parts)
    assert seen[-1] == expected


async def test_a_client_that_leaves_within_its_body_is_told_to_the_application(recorded: Recording) -> None:
    """The application gets the piece that came, and the disconnect."""
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await receive(), await receive()])

    given = iter(messages)

    async def receive() -> Any:
        return next(given)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}
    await ConversationMiddleware(app, id_from="json:id")(scope, receive, None)
    assert seen == messages


@track_action
async def words(text: str) -> AsyncIterator[str]:
    for word in text.split():
        await asyncio.sleep(0)
        yield word


async def test_a_stream_keeps_the_conversation_open_until_its_end(recorded: Recording) -> None:
    """What the body's generators track lies in the conversation, before its end; so does a background task."""

    async def body() -> AsyncIterator[str]:
        async for word in words("one two three"):
            look_up(word)
            yield word
        say("done")

    async def handler(request: Request) -> StreamingResponse:
        return StreamingResponse(body(), background=BackgroundTask(look_up, "later"))

    response = await ask(starlette_app(handler), headers=HEADERS)
    assert response.text == "onetwothree"
    assert recorded.action_names("chat-1") == ["words"] + ["look_up"] * 4
    assert recorded.messages("chat-1") == [("end_user", "done")]
    assert isinstance(recorded.events[-1], ConversationEnded)
    assert recorded.conversation_ids == ["chat-1"]


async def test_a_sync_iterator_streams_within_the_conversation(recorded: Recording) -> None:
    """Starlette draws it in threads."""

    def body() -> Iterator[str]:
        for word in ("one", "two"):
            yield look_up(word)

    async def handler(request: Request) -> StreamingResponse:
        return StreamingResponse(body())

    assert (await ask(starlette_app(handler), headers=HEADERS)).text == "ONETWO"
    assert recorded.action_names("chat-1") == ["look_up"] * 2


@pytest.mark.parametrize("kind", ["stream", "events"])
def test_a_client_that_leaves_ends_the_conversation(kind: str, recorded: Recording) -> None:
    """A stream without end over a real connection: the block is left when the client has gone."""
    sse: Any = None
    if kind == "events":  # skipped here: in the handler it would be an error of the server
        sse = pytest.importorskip("sse_starlette.sse", reason="pip install agentsight-auto[integrations-test]")
    closed: list[str] = []

    async def body() -> AsyncIterator[str]:
        try:
            while True:
                look_up("tick")
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            closed.append("closed")

    async def handler(request: Request) -> Any:
        return StreamingResponse(body()) if sse is None else sse.EventSourceResponse(body())

    with served_by_uvicorn(starlette_app(handler)) as port:
        ask_and_leave(port, "/", b"tick", X_Conversation_Id="chat-1")
        until(lambda: recorded.of(ConversationEnded, "chat-1"), "the conversation ends")
        until(lambda: closed, "the generator is closed")
    assert set(recorded.action_names("chat-1")) == {"look_up"}


async def test_a_websocket_is_one_conversation_until_it_is_closed(recorded: Recording) -> None:
    """Over a real connection, with the id from the query."""
    websockets = pytest.importorskip("websockets", reason="pip install agentsight-auto[integrations-test]")
    pytest.importorskip("wsproto", reason="pip install agentsight-auto[integrations-test]")

    async def chat(socket: Any) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            say(text)
            await socket.send_text(look_up(text))

    app = Starlette(routes=[WebSocketRoute("/", chat)])
    app.add_middleware(ConversationMiddleware, id_from="query:chat")
    with served_by_uvicorn(app) as port:
        async with websockets.connect(f"ws://127.0.0.1:{port}/?chat=ws-1") as connection:
            for text in ("hello", "bye"):
                await connection.send(text)
                assert await connection.recv() == text.upper()
            assert recorded.of(ConversationEnded) == []
        await asyncio.to_thread(until, lambda: recorded.of(ConversationEnded, "ws-1"), "the conversation ends")
    assert recorded.messages("ws-1") == [("end_user", "hello"), ("end_user", "bye")]


async def test_an_exception_is_the_outcome_and_goes_on(recorded: Recording) -> None:
    """The very exception reaches whoever called the application."""
    error = ValueError("no such order")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-conversation-id", b"chat-1")]}
    with pytest.raises(ValueError, match="no such order") as raised:
        await ConversationMiddleware(app)(scope, None, None)
    assert raised.value is error
    assert outcome(recorded) == "ValueError: no such order"
    assert current_conversation() is None


@pytest.mark.parametrize(("status", "expected"), [(503, "ServerErrorResponse: 503"), (404, None), (200, None)])
async def test_a_server_error_is_the_outcome(status: int, expected: str | None, recorded: Recording) -> None:
    """A response that says the server failed, not one that says the client did."""

    async def handler(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x", status)

    response = await ask(starlette_app(handler), headers=HEADERS)
    assert response.status_code == status
    assert outcome(recorded) == expected


async def test_fifty_requests_at_once_keep_to_their_conversations(recorded: Recording) -> None:
    """Interleaved requests do not see each other's conversation."""

    async def handler(request: Request) -> PlainTextResponse:
        number = request.headers["x-number"]
        for turn in range(3):
            say(f"{number} {turn}")
            await asyncio.sleep(0.001)
        return PlainTextResponse(str(say(f"{number} 3")))

    app = starlette_app(handler)
    async with client_of(app) as client:
        asked = [
            client.get("/", headers={"X-Conversation-Id": f"c-{number}", "X-Number": str(number)})
            for number in range(50)
        ]
        replies = await asyncio.gather(*asked)
    assert [reply.text for reply in replies] == [f"c-{number}" for number in range(50)]
    for number in range(50):
        assert recorded.messages(f"c-{number}") == [("end_user", f"{number} {turn}") for turn in range(4)]


async def test_details_add_and_win(recorded: Recording) -> None:
    """A callable names the conversation, adds metadata, overrides the source; without consent nothing is recorded."""
    app = starlette_app(
        details=lambda request: {
            "name": "Shop",
            "metadata": {"tenant": request.header("x-tenant")},
            "source": "widget",
            "record": request.cookie("consent") != "no",
        }
    )
    await ask(app, headers={**HEADERS, "X-Tenant": "t1"})
    (started,) = recorded.of(ConversationStarted)
    assert (started.name, started.metadata, started.source) == ("Shop", {"tenant": "t1"}, "widget")
    response = await ask(app, headers={"X-Conversation-Id": "secret", "Cookie": "consent=no"})
    assert response.json()["conversation"] == "secret"
    assert recorded.conversation_ids == ["chat-1"]


@pytest.mark.parametrize("option", ["id_from", "customer_from", "details"])
async def test_a_callable_that_raises_costs_only_what_it_was_to_tell(
    option: str, recorded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is answered; the failure is counted."""
    monkeypatch.setattr(_guard, "raise_errors", False)

    def fail(request: Any) -> Any:
        raise RuntimeError("of the user's")

    response = await ask(starlette_app(**{option: fail}), headers=HEADERS)
    assert response.status_code == 200
    assert response.json()["conversation"] == (None if option == "id_from" else "chat-1")


@pytest.mark.parametrize(
    "options",
    [
        {"id_from": "headers:X"},
        {"id_from": "header:"},
        {"id_from": "path:chat_id"},
        {"id_from": "path:/chats"},
        {"id_from": "path:/{a}/{b}"},
        {"id_from": None},
        {"id_from": 7},
        {"customer_from": "nobody"},
        {"trusted_proxies": "10.0.0.1"},
        {"trusted_proxies": ["10.0.0.0/99"]},
    ],
)
def test_an_option_that_cannot_be_used_raises_at_the_start(options: Any) -> None:
    """A mistake shows when the application is built, not with the first request."""
    with pytest.raises(ConfigurationException):
        ConversationMiddleware(answer, **options)


# -- the dependency ----------------------------------------------------------------------------------------------------


def dependency_app(**options: Any) -> Any:
    fastapi = pytest.importorskip("fastapi", reason="pip install agentsight-auto[integrations-test]")
    from agentsight_auto.integrations.fastapi import ConversationDependency

    app = fastapi.FastAPI()
    depends = fastapi.Depends(ConversationDependency(**options))

    @app.post("/sync/{chat_id}")
    def sync(chat_id: str, body: dict[str, Any], chat: Any = depends) -> Any:
        return {"conversation": say(str(body)), "has_scope": chat is not None}

    @app.post("/async/{chat_id}")
    async def asynchronous(chat_id: str, body: dict[str, Any], chat: Any = depends) -> Any:
        return {"conversation": say(str(body)), "has_scope": chat is not None}

    @app.get("/stream/{chat_id}")
    async def stream(chat_id: str, chat: Any = depends) -> Any:
        async def body() -> AsyncIterator[str]:
            for word in ("a", "b"):
                chat.track_agent_message(word)
                yield word

        return StreamingResponse(body())

    @app.get("/fail/{chat_id}")
    async def fail(chat_id: str, chat: Any = depends) -> Any:
        raise ValueError("of the handler")

    return app


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("id_from", ["path:chat_id", "json:chat", "header:X-Conversation-Id"])
async def test_the_dependency_opens_the_conversation_around_the_handler(
    kind: str, id_from: str, recorded: Recording
) -> None:
    """The handler gets the scope, and the conversation is current in it, in whatever thread it runs."""
    headers = {**HEADERS, "X-Conversation-Id": "d-1"}
    response = await ask(dependency_app(id_from=id_from), f"/{kind}/d-1", "POST", json={"chat": "d-1"}, headers=headers)
    assert response.json() == {"conversation": "d-1", "has_scope": True}
    assert fields(recorded, "d-1") == FILLED
    assert recorded.messages("d-1") == [("end_user", "{'chat': 'd-1'}")]
    assert outcome(recorded, "d-1") is None


async def test_the_dependency_gives_none_where_there_is_no_id(recorded: Recording) -> None:
    """The handler runs as ever."""
    response = await ask(dependency_app(), "/sync/d-1", "POST", json={})
    assert response.json() == {"conversation": None, "has_scope": False}


async def test_a_streamed_body_belongs_to_the_dependencys_conversation(recorded: Recording) -> None:
    """Also what is said after the handler has returned."""
    response = await ask(dependency_app(id_from="path:chat_id"), "/stream/d-1")
    assert response.text == "ab"
    assert recorded.messages("d-1") == [("agent", "a"), ("agent", "b")]


async def test_a_failing_handler_is_the_outcome_of_the_dependencys_conversation(recorded: Recording) -> None:
    """FastAPI hands the exception to the dependency, which hands it on."""
    with pytest.raises(ValueError, match="of the handler"):
        await ask(dependency_app(id_from="path:chat_id"), "/fail/d-1")
    assert outcome(recorded, "d-1") == "ValueError: of the handler"
