"""FastAPI: the dependency form, for routes of their own and ids from the path as FastAPI matched it.

In: a request. Out: the scope of its conversation, or None. Loses: nothing. The middleware is that of `asgi`.

Annotations are not postponed here: older versions of FastAPI do not find the globals of a callable object.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection, Request

from ..capture.scope import ConversationScope
from .asgi import incoming_request
from .incoming.plan import ID_FROM, RequestOptions, RequestPlan
from .incoming.sources import Given

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ConversationDependency:
    """A dependency: ``chat = Depends(ConversationDependency(id_from="path:chat_id"))``.

    The handler gets the conversation's scope, or None where the request names none. The conversation is current in the
    handler, in what it calls, and in a streamed body.

    Args:
        id_from: where the id comes from, the header ``X-Conversation-Id`` by default; see docs/web.md for the words.
        options: see `RequestOptions`.

    Raises:
        ConfigurationException: an option that cannot be used.
    """

    def __init__(self, *, id_from: Given = ID_FROM, **options: "Unpack[RequestOptions]") -> None:
        self._plan = RequestPlan(id_from, has_path_parameters=True, **options)

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[ConversationScope | None]:
        """Open the conversation around the handler."""
        frame = self._plan.open(incoming_request(connection.scope, await self._body(connection)))
        if frame is None:
            yield None
            return
        frame.begin()
        try:
            yield frame.conversation
        except BaseException as error:
            await frame.finish_async(error)
            raise
        await frame.finish_async(None)

    async def _body(self, connection: HTTPConnection) -> bytes | None:
        """Return the body, which FastAPI keeps, where it is to be looked into."""
        if not isinstance(connection, Request):
            return None
        headers = connection.headers
        if not self._plan.body_to_read(connection.method, headers.get("content-type"), headers.get("content-length")):
            return None
        try:
            return await connection.body()
        except RuntimeError:  # a form that FastAPI has parsed for the handler already
            return None
