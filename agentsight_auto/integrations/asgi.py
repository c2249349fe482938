"""ASGI: FastAPI, Starlette, Litestar, Quart, Django under ASGI, and any other application of that protocol.

In: an application and its requests. Out: the same responses; each request that names a conversation is recorded in it,
until its body has ended or the client has left; a websocket until it is closed. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from .incoming.plan import ID_FROM, RequestOptions, RequestPlan, ServerErrorResponse
from .incoming.request import IncomingRequest, text_of_header
from .incoming.sources import Given

if TYPE_CHECKING:
    from typing_extensions import Unpack

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class ConversationMiddleware:
    """Record each request in the conversation it names: ``app.add_middleware(ConversationMiddleware)``.

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        body: bytes | None = None
        if scope["type"] == "http" and self._reads_body(scope):
            body, receive = await _read_and_replay(receive, self._plan.body_limit_bytes)
        frame = self._plan.open(incoming_request(scope, body))
        if frame is None:
            await self.app(scope, receive, send)
            return
        failure: BaseException | None = None

        async def watching_send(message: Message) -> None:
            nonlocal failure
            if message["type"] == "http.response.start" and message.get("status", 0) >= 500:
                failure = ServerErrorResponse(message["status"])
            await send(message)

        frame.begin()
        try:
            await self.app(scope, receive, watching_send)
        except BaseException as error:
            failure = error
            raise
        finally:
            await frame.finish_async(failure)

    def _reads_body(self, scope: Scope) -> bool:
        headers = dict(scope.get("headers", ()))
        kind, length = (headers.get(name) for name in (b"content-type", b"content-length"))
        return self._plan.body_to_read(
            str(scope.get("method", "")),
            None if kind is None else kind.decode("latin-1"),
            (length or b"").decode("latin-1"),
        )


def incoming_request(scope: Scope, body: bytes | None = None) -> IncomingRequest:
    """Return an ASGI connection as the sources see it."""
    path, root = str(scope.get("path", "")), str(scope.get("root_path", ""))
    client = scope.get("client")
    return IncomingRequest(
        scope,
        method=str(scope.get("method", "")),
        path=path.removeprefix(root) if root and path.startswith(root + "/") else path,
        headers=[(name.decode("latin-1"), text_of_header(value)) for name, value in scope.get("headers", ())],
        query_string=bytes(scope.get("query_string", b"")).decode("latin-1"),
        peer=client[0] if client else None,
        path_parameters=scope.get("path_params"),
        read_body=lambda: body,
        read_user=lambda: scope.get("user"),
    )


async def _read_and_replay(receive: Receive, limit_bytes: int) -> tuple[bytes | None, Receive]:
    """Return a body of at most `limit_bytes`, and a `receive` that gives the application the same messages again.

    The body is None if it is longer, or the client leaves before its end.
    """
    messages: list[Message] = []
    body = bytearray()
    is_whole = False
    while not is_whole and len(body) <= limit_bytes:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        is_whole = not message.get("more_body", False)
    messages.reverse()

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return (bytes(body) if is_whole and len(body) <= limit_bytes else None), replay
