"""WSGI: Flask, Django, Bottle, Pyramid and any other application of that protocol.

In: an application and its requests. Out: the same responses; each request that names a conversation is recorded in it
until its body is closed. Loses: nothing. A file that the server sends by itself ends its conversation at once.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from .incoming.plan import ID_FROM, RequestOptions, RequestPlan, ServerErrorResponse
from .incoming.request import IncomingRequest, text_of_header
from .incoming.sources import Given
from .incoming.streaming import Body, RequestConversation, SizedBody

if TYPE_CHECKING:
    from typing_extensions import Unpack

Environ: TypeAlias = dict[str, Any]
Application: TypeAlias = Callable[[Any, Any], Iterable[bytes]]

ERROR_KEY = "agentsight_auto.error"
"""Where a framework that turns exceptions into responses leaves the exception, in the environ."""


class ConversationMiddleware:
    """Record each request in the conversation it names: ``app.wsgi_app = ConversationMiddleware(app.wsgi_app)``.

    Args:
        app: the application.
        id_from: where the id comes from, the header ``X-Conversation-Id`` by default; see docs/web.md for the words.
        options: see `RequestOptions`.

    A request without an id goes through untouched.

    Raises:
        ConfigurationException: an option that cannot be used.
    """

    def __init__(self, app: Application, *, id_from: Given = ID_FROM, **options: Unpack[RequestOptions]) -> None:
        self.app = app
        self._plan = RequestPlan(id_from, **options)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        body = self._read_and_replay(environ)
        frame = self._plan.open(incoming_request(environ, body))
        if frame is None:
            return self.app(environ, start_response)
        opened = RequestConversation(frame)

        def watching_start(status: str, *rest: Any) -> Any:
            if status[:1] == "5":
                opened.error = environ.get(ERROR_KEY) or ServerErrorResponse(status)
            return start_response(status, *rest)

        try:
            with opened:
                parts = self.app(environ, watching_start)
        except BaseException as error:
            opened.end(error)
            raise
        file_wrapper = environ.get("wsgi.file_wrapper")
        sends_itself = isinstance(file_wrapper, type) and isinstance(parts, file_wrapper)
        if sends_itself or isinstance(parts, (list, tuple)):  # no code of the application runs any more
            opened.end()
            return parts
        return (SizedBody if hasattr(parts, "__len__") else Body)(parts, opened)

    def _read_and_replay(self, environ: Environ) -> bytes | None:
        """Return the body where it is to be looked into, and put a stream that gives it again in its place."""
        length = environ.get("CONTENT_LENGTH") or ""
        method = str(environ.get("REQUEST_METHOD", ""))
        if not self._plan.body_to_read(method, environ.get("CONTENT_TYPE") or None, length):
            return None
        stream = environ.get("wsgi.input")
        if stream is None or not (length.isdecimal() or environ.get("wsgi.input_terminated")):
            return None
        limit = self._plan.body_limit_bytes
        body: bytes = stream.read(int(length) if length.isdecimal() else limit + 1)
        environ["wsgi.input"] = io.BytesIO(body) if len(body) <= limit else io.BufferedReader(_Rejoined(body, stream))
        return body if len(body) <= limit else None


class _Rejoined(io.RawIOBase):
    """What was read of a stream already, followed by the rest of it."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        piece = self._head[:size] if self._head else self._rest.read(size)
        self._head = self._head[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def incoming_request(environ: Environ, body: bytes | None = None) -> IncomingRequest:
    """Return a WSGI request as the sources see it."""
    names = [(name[5:].replace("_", "-"), name) for name in environ if name.startswith("HTTP_")]
    names += [(name.replace("_", "-"), name) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
    return IncomingRequest(
        environ,
        method=str(environ.get("REQUEST_METHOD", "")),
        path=_text(environ.get("PATH_INFO", "")),
        headers=[(header, _text(environ[name])) for header, name in names],
        query_string=_text(environ.get("QUERY_STRING", "")),
        peer=environ.get("REMOTE_ADDR") or None,
        read_body=lambda: body,
        read_user=lambda: environ.get("REMOTE_USER"),
    )


def _text(value: Any) -> str:
    """Return the text of what WSGI hands over as Latin-1."""
    return text_of_header(str(value).encode("latin-1", "replace"))
