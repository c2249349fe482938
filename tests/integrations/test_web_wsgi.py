"""WSGI by the protocol's own validator, and Flask: streams, files, bodies, exceptions, the extension object."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from agentsight_auto import conversation, current_conversation, track_action
from agentsight_auto.events import ConversationEnded, ConversationStarted
from agentsight_auto.integrations.wsgi import ConversationMiddleware
from agentsight_auto.testing import Recording
from tests.integrations.web_support import FILLED, HEADERS, ask_and_leave, served_by_werkzeug, until


@track_action
def look_up(text: str) -> str:
    return text.upper()


def say(text: str) -> str | None:
    scope = current_conversation()
    if scope is None:
        return None
    scope.track_human_message(text)
    return scope.conversation_id


def environ_of(body: bytes = b"", **extra: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {"REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": str(len(body)), **extra}
    setup_testing_defaults(environ)
    environ["QUERY_STRING"] = ""
    environ["wsgi.input"] = io.BytesIO(body)
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in HEADERS.items()}
    return environ


def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    return lambda data: None


def outcome(recorded: Recording, conversation_id: str = "chat-1") -> str | None:
    (ended,) = recorded.of(ConversationEnded, conversation_id)
    return ended.error


class Lazy:
    """A body that says when it is closed."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.left = ["one", "two"]

    def __iter__(self) -> Lazy:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        word = self.left.pop(0)
        self.steps.append(str(say(word)))
        return word.encode()

    def close(self) -> None:
        self.steps.append(f"closed in {say('close')}")


def lazy_app(body: Lazy) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        look_up("x")
        return body

    return app


def test_both_sides_keep_to_the_protocol(recorded: Recording) -> None:
    """The standard library's validator stands before and behind the middleware and finds nothing."""
    body = Lazy()
    app = validator(ConversationMiddleware(validator(lazy_app(body))))
    parts = app(environ_of(), start)
    assert current_conversation() is None
    assert list(parts) == [b"one", b"two"]
    parts.close()
    assert body.steps == ["chat-1", "chat-1", "closed in chat-1"]
    (started,) = recorded.of(ConversationStarted)
    assert {name: getattr(started, name) for name in FILLED} == FILLED
    assert recorded.action_names("chat-1") == ["look_up"]


def test_a_body_is_current_only_while_it_runs(recorded: Recording) -> None:
    """Between the parts the server, another request in the same thread say, has what it had."""
    first, second = Lazy(), Lazy()
    one = ConversationMiddleware(lazy_app(first))(environ_of(), start)
    two = ConversationMiddleware(lazy_app(second))(environ_of() | {"HTTP_X_CONVERSATION_ID": "chat-2"}, start)
    iterators = [iter(one), iter(two)]
    with conversation("server"):
        for _ in range(2):
            for iterator in iterators:
                next(iterator)
                assert current_conversation().conversation_id == "server"
    for parts in (two, one):
        parts.close()
    assert first.steps == ["chat-1", "chat-1", "closed in chat-1"]
    assert second.steps == ["chat-2", "chat-2", "closed in chat-2"]
    assert current_conversation() is None


def test_a_body_that_is_never_closed_ends_with_its_last_reference(recorded: Recording) -> None:
    """A server that forgets to close does not leave the conversation open."""
    parts = ConversationMiddleware(lazy_app(Lazy()))(environ_of(), start)
    next(iter(parts))
    del parts
    assert outcome(recorded) is None


def test_what_the_server_can_send_by_itself_is_returned_as_it_is(recorded: Recording) -> None:
    """A list, and a file under the server's own wrapper: their length and their fast path survive."""
    for made in ([b"a", b"b"], FileWrapper(io.BytesIO(b"file"))):

        def app(environ: Any, start_response: Any, made: Any = made) -> Any:
            start_response("200 OK", [])
            return made

        environ = environ_of() | {"wsgi.file_wrapper": FileWrapper}
        assert ConversationMiddleware(app)(environ, start) is made
    assert len(recorded.of(ConversationEnded)) == 2


def test_a_sized_body_keeps_its_length(recorded: Recording) -> None:
    """Servers take the Content-Length of a single part from it."""

    class Sized(list):  # type: ignore[type-arg]
        pass

    class One:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"one"])

    parts = ConversationMiddleware(lambda environ, start_response: One())(environ_of(), start)
    assert len(parts) == 1
    assert list(parts) == [b"one"]


def test_an_exception_is_the_outcome_and_goes_on(recorded: Recording) -> None:
    """Raised by the application, and by its body."""
    error = ValueError("of the application")

    def failing(environ: Any, start_response: Any) -> Any:
        raise error

    with pytest.raises(ValueError, match="of the application") as raised:
        ConversationMiddleware(failing)(environ_of(), start)
    assert raised.value is error

    def body() -> Iterator[bytes]:
        yield b"x"
        raise error

    parts = ConversationMiddleware(lambda environ, start_response: body())(environ_of(), start)
    with pytest.raises(ValueError, match="of the application"):
        list(parts)
    assert [ended.error for ended in recorded.of(ConversationEnded)] == ["ValueError: of the application"] * 2
    assert current_conversation() is None


BODIES = {
    "whole": (b'{"chat": {"id": "j1"}}', {}, "j1"),
    "too long": (b'{"chat": {"id": "j1"}, "x": "' + b"y" * 100 + b'"}', {}, None),
    "without length, terminated": (
        b'{"chat": {"id": "j1"}}',
        {"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
        "j1",
    ),
    "too long without length": (b"z" * 5000, {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, None),
    "without length": (b'{"chat": {"id": "j1"}}', {"CONTENT_LENGTH": ""}, None),
    "shorter than it says": (b'{"chat', {"CONTENT_LENGTH": "50"}, None),
    "not JSON": (b'{"chat": {"id": "j1"}}', {"CONTENT_TYPE": "multipart/form-data"}, None),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_application_reads_the_body_as_it_was_sent(name: str, recorded: Recording) -> None:
    """In whatever way it reads."""
    body, extra, expected = BODIES[name]
    for read in (
        lambda s: s.read(),
        lambda s: b"".join(s),
        lambda s: b"".join(s.readlines()),
        lambda s: s.read(7) + s.read(),
    ):
        seen: list[Any] = []

        def app(environ: Any, start_response: Any, read: Any = read, seen: list[Any] = seen) -> Any:
            seen.extend([read(environ["wsgi.input"]), say("hi")])
            start_response("200 OK", [])
            return []

        environ = environ_of(body, REQUEST_METHOD="POST") | {"CONTENT_TYPE": "application/json", **extra}
        ConversationMiddleware(app, id_from="json:chat.id", body_limit_bytes=64)(environ, start)
        assert seen == [body, expected]


# -- Flask -------------------------------------------------------------------------------------------------------------


def flask_app(*, later: bool = False, **options: Any) -> Any:
    flask = pytest.importorskip("flask", reason="pip install agentsight-auto[integrations-test]")
    from agentsight_auto.integrations.flask import AgentSight

    app = flask.Flask("shop")
    if later:
        extension = AgentSight(**options)
        extension.init_app(app)
        extension.init_app(app)
    else:
        AgentSight(app, **options)

    @app.post("/chat")
    def chat() -> Any:
        return {"conversation": say("hi"), "json": flask.request.get_json(silent=True), "action": look_up("x")}

    @app.get("/stream")
    def stream() -> Any:
        def body() -> Iterator[str]:
            for word in ("one", "two"):
                yield look_up(word)

        return flask.Response(flask.stream_with_context(body()))

    @app.get("/endless")
    def endless() -> Any:
        def body() -> Iterator[str]:
            while True:
                yield look_up("tick")

        return flask.Response(body())

    @app.get("/fail")
    def fail() -> Any:
        raise KeyError("order")

    @app.get("/busy")
    def busy() -> Any:
        return "busy", 503

    @app.get("/async")
    async def asynchronous() -> Any:
        return {"conversation": say("hi")}

    return app


@pytest.mark.parametrize("later", [False, True])
def test_flask_records_by_its_extension(later: bool, recorded: Recording) -> None:
    """At once or through init_app, and only once."""
    app = flask_app(later=later)
    response = app.test_client().post("/chat", json={"a": 1}, headers=HEADERS)
    assert response.get_json() == {"conversation": "chat-1", "json": {"a": 1}, "action": "X"}
    assert len(recorded.of(ConversationStarted)) == 1
    assert recorded.action_names("chat-1") == ["look_up"]
    assert app.test_client().post("/chat", json={}).get_json()["conversation"] is None


def test_flask_reads_the_json_that_named_the_conversation(recorded: Recording) -> None:
    """A webhook: the id lies deep in the body, which the view gets unchanged."""
    document = {"entry": [{"changes": [{"value": {"messages": [{"from": "4179"}]}}]}]}
    app = flask_app(id_from="json:entry.0.changes.0.value.messages.0.from")
    answer = app.test_client().post("/chat", json=document).get_json()
    assert (answer["conversation"], answer["json"]) == ("4179", document)


def test_flask_streams_within_the_conversation(recorded: Recording) -> None:
    """What the generator tracks is inside, and the end comes last."""
    response = flask_app().test_client().get("/stream", headers=HEADERS)
    assert response.text == "ONETWO"
    assert recorded.action_names("chat-1") == ["look_up"] * 2
    assert isinstance(recorded.events[-1], ConversationEnded)


def test_a_client_that_leaves_ends_the_conversation_of_an_endless_stream(recorded: Recording) -> None:
    """Over a real connection: the server closes the body, and with it the block."""
    with served_by_werkzeug(flask_app()) as port:
        ask_and_leave(port, "/endless", b"TICK", X_Conversation_Id="chat-1")
        until(lambda: recorded.of(ConversationEnded, "chat-1"), "the conversation ends")


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/fail", 500, "KeyError: 'order'"),
        ("/busy", 503, "ServerErrorResponse: 503 SERVICE UNAVAILABLE"),
        ("/no", 404, None),
    ],
)
def test_an_exception_of_a_view_is_the_outcome(path: str, status: int, expected: str, recorded: Recording) -> None:
    """Although Flask makes a response of it, which the client gets as ever."""
    response = flask_app().test_client().get(path, headers=HEADERS)
    assert response.status_code == status
    response.close()
    assert outcome(recorded) == expected


def test_an_async_view_of_flask_is_inside(recorded: Recording) -> None:
    """Flask runs it on a loop in another thread."""
    pytest.importorskip("asgiref", reason="pip install agentsight-auto[integrations-test]")
    assert flask_app().test_client().get("/async", headers=HEADERS).get_json() == {"conversation": "chat-1"}
    assert json.dumps(recorded.messages("chat-1")) == '[["end_user", "hi"]]'
