"""Django: synchronous and asynchronous views, streams, files, bodies, users, exceptions."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

django = pytest.importorskip("django", reason="pip install agentsight-auto[integrations-test]")
from django.conf import settings

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="only of this test",
        MIDDLEWARE=[
            "tests.integrations.test_web_django.Login",
            "agentsight_auto.integrations.django.ConversationMiddleware",
        ],
    )
    django.setup()
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path

from agentsight_auto import current_conversation, track_action
from agentsight_auto.events import ConversationEnded, ConversationStarted
from agentsight_auto.integrations.django import ConversationMiddleware
from agentsight_auto.testing import Recording
from tests.integrations.web_support import FILLED, HEADERS, ask_and_leave, served_by_uvicorn, until


@track_action
def look_up(text: str) -> str:
    return text.upper()


def say(text: str) -> str | None:
    scope = current_conversation()
    if scope is None:
        return None
    scope.track_human_message(text)
    return scope.conversation_id


class User:
    is_authenticated = True
    pk = 42


class Login:
    """Stands where Django's authentication does."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        request.user = User()
        return self.get_response(request)


def sync_view(request: Any, **_: Any) -> Any:
    return JsonResponse({"conversation": say("hi"), "body": request.body.decode(), "action": look_up("x")})


async def async_view(request: Any) -> Any:
    return JsonResponse({"conversation": say("hi"), "body": request.body.decode(), "action": look_up("x")})


def read_view(request: Any) -> Any:
    return JsonResponse({"conversation": say("hi"), "body": request.read().decode(), "form": request.POST.get("From")})


def stream_view(request: Any) -> Any:
    def body() -> Iterator[str]:
        for word in ("one", "two"):
            yield look_up(word)

    return StreamingHttpResponse(body())


async def async_stream_view(request: Any) -> Any:
    async def body() -> AsyncIterator[str]:
        for word in ("one", "two"):
            yield look_up(word)

    return StreamingHttpResponse(body())


async def endless_view(request: Any) -> Any:
    import asyncio

    async def body() -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0.01)
            yield look_up("tick")

    return StreamingHttpResponse(body())


def file_view(request: Any) -> Any:
    return FileResponse(io.BytesIO(b"file"), filename="a.txt")


def fail_view(request: Any) -> Any:
    raise KeyError("order")


async def async_fail_view(request: Any) -> Any:
    raise KeyError("order")


def busy_view(request: Any) -> Any:
    return HttpResponse("busy", status=503)


urlpatterns = [
    path("sync", sync_view),
    path("async", async_view),
    path("read", read_view),
    path("stream", stream_view),
    path("async-stream", async_stream_view),
    path("endless", endless_view),
    path("file", file_view),
    path("fail", fail_view),
    path("async-fail", async_fail_view),
    path("busy", busy_view),
    path("chats/<chat_id>/messages", sync_view),
]
META = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}


def headers_of(client: Any) -> dict[str, Any]:
    """Return the headers in the form in which each client of every version takes them."""
    return dict(HEADERS) if isinstance(client, AsyncClient) else META


async def ask(is_async: bool, method: str, where: str, headers: dict[str, Any] | None = None, **options: Any) -> Any:
    """Ask through Django's synchronous or asynchronous handler, wherever this runs."""
    if is_async:
        client = AsyncClient(raise_request_exception=False)
        return await getattr(client, method)(where, **(dict(HEADERS) if headers is None else headers), **options)
    from asgiref.sync import sync_to_async

    client = Client(raise_request_exception=False)
    given = META if headers is None else headers
    return await sync_to_async(lambda: getattr(client, method)(where, **given, **options))()


def outcome(recorded: Recording) -> str | None:
    (ended,) = recorded.of(ConversationEnded)
    return ended.error


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("view", ["sync", "async"])
async def test_a_request_is_recorded_in_the_conversation_it_names(
    view: str, is_async: bool, recorded: Recording
) -> None:
    """Both kinds of views under both kinds of handlers."""
    response = await ask(is_async, "get", f"/{view}")
    assert response.json() == {"conversation": "chat-1", "body": "", "action": "X"}
    (started,) = recorded.of(ConversationStarted)
    assert {name: getattr(started, name) for name in FILLED} == FILLED
    assert recorded.messages("chat-1") == [("end_user", "hi")]
    assert recorded.action_names("chat-1") == ["look_up"]
    assert isinstance(recorded.events[-1], ConversationEnded)
    assert current_conversation() is None
    assert "Vary" not in response.headers


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_request_without_an_id_is_untouched(is_async: bool, recorded: Recording) -> None:
    """Nothing is current."""
    assert (await ask(is_async, "get", "/sync", {})).json()["conversation"] is None


PLACES: list[tuple[Any, str, dict[str, Any], str]] = [
    ("json:chat.id", "/sync", {"data": '{"chat": {"id": "j1"}}', "content_type": "application/json"}, "j1"),
    ("json:chat.id", "/read", {"data": '{"chat": {"id": "j1"}}', "content_type": "application/json"}, "j1"),
    ("form:From", "/read", {"data": "From=%2B4179", "content_type": "application/x-www-form-urlencoded"}, "+4179"),
    ("path:/chats/{id}", "/chats/p1/messages", {"data": "", "content_type": "text/plain"}, "p1"),
    (lambda request: f"u-{request.raw.user.pk}", "/sync", {"data": "", "content_type": "text/plain"}, "u-42"),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("id_from", "where", "options", "expected"), PLACES)
async def test_the_id_comes_from_where_the_settings_say(
    id_from: Any, where: str, options: Any, expected: str, is_async: bool, recorded: Recording
) -> None:
    """And the view reads the body as it was sent, whichever way it reads."""
    with override_settings(AGENTSIGHT={"id_from": id_from, "customer_from": "user", "source": "shop"}):
        answer = (await ask(is_async, "post", where, {}, **options)).json()
    assert (answer["conversation"], answer["body"]) == (expected, options["data"])
    (started,) = recorded.of(ConversationStarted)
    assert (started.customer_id, started.source) == ("42", "shop")
    if where == "/read" and "form" in str(id_from):
        assert answer["form"] == expected


@pytest.mark.parametrize(("view", "is_async"), [("stream", False), ("async-stream", True)])
async def test_a_streaming_response_keeps_the_conversation_open(view: str, is_async: bool, recorded: Recording) -> None:
    """What its iterator tracks is inside, and the end comes last."""
    response = await ask(is_async, "get", f"/{view}")
    parts = [part async for part in response] if is_async else list(response)
    assert b"".join(parts) == b"ONETWO"
    assert recorded.action_names("chat-1") == ["look_up"] * 2
    assert isinstance(recorded.events[-1], ConversationEnded)
    assert recorded.conversation_ids == ["chat-1"]
    response.close()
    assert len(recorded.of(ConversationEnded)) == 1


def test_a_client_that_leaves_ends_the_conversation(recorded: Recording) -> None:
    """An endless stream under ASGI over a real connection."""
    from django.core.handlers.asgi import ASGIHandler

    if django.VERSION < (5, 0):
        pytest.skip("Django 4.2 does not notice that a client has left before it writes to it")
    with served_by_uvicorn(ASGIHandler()) as port:
        ask_and_leave(port, "/endless", b"TICK", X_Conversation_Id="chat-1")
        until(lambda: recorded.of(ConversationEnded, "chat-1"), "the conversation ends")


async def test_a_file_keeps_its_fast_path(recorded: Recording) -> None:
    """The server can still send it by itself; the conversation has ended."""
    request = RequestFactory().get("/file", **META)
    response = ConversationMiddleware(file_view)(request)
    assert response.file_to_stream is not None
    assert len(recorded.of(ConversationEnded)) == 1
    response.close()


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("view", "status", "expected"),
    [
        ("fail", 500, "KeyError: 'order'"),
        ("async-fail", 500, "KeyError: 'order'"),
        ("busy", 503, "ServerErrorResponse: 503"),
        ("nowhere", 404, None),
    ],
)
async def test_an_exception_of_a_view_is_the_outcome(
    view: str, status: int, expected: str | None, is_async: bool, recorded: Recording, caplog: Any
) -> None:
    """Although Django makes a response of it, which the client gets as ever."""
    response = await ask(is_async, "get", f"/{view}")
    assert response.status_code == status
    assert outcome(recorded) == expected


def test_a_body_of_another_kind_is_left_alone(recorded: Recording) -> None:
    """An upload is not read before the view has said how."""
    with override_settings(AGENTSIGHT={"id_from": "json:id"}):
        answer = Client().post("/read", {"From": "x"}).json()
    assert answer["conversation"] is None
    assert "form-data" in answer["body"]
    assert json.loads(json.dumps(answer["body"]))
