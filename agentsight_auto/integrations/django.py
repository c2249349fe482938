"""Django: the middleware, for synchronous and asynchronous views, under WSGI and ASGI.

In: requests. Out: the same responses; each request that names a conversation is recorded in it, a streaming response
until it ends. Loses: nothing. Options stand in the Django setting ``AGENTSIGHT``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .incoming.plan import ID_FROM, RequestPlan, ServerErrorResponse
from .incoming.request import IncomingRequest, text_of_header
from .incoming.streaming import AsyncBody, Body, RequestConversation


class ConversationMiddleware:
    """Record each request in the conversation it names.

    Add ``"agentsight_auto.integrations.django.ConversationMiddleware"`` to ``MIDDLEWARE``, below the authentication's
    where the customer is ``"user"``. ``AGENTSIGHT = {"id_from": "header:X-Conversation-Id", ...}`` in the settings
    takes `id_from` and what `RequestOptions` lists. A request without an id goes through untouched.

    Raises:
        ConfigurationException: an option that cannot be used.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction  # noqa: PLC0415 - Django brings it
        from django.conf import settings  # noqa: PLC0415 - Django has been imported by whoever calls this

        self.get_response = get_response
        self._plan = RequestPlan(**{"id_from": ID_FROM, **getattr(settings, "AGENTSIGHT", {})})
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        if self._is_async:
            return self._call_async(request)
        opened = self._open(request)
        if opened is None:
            return self.get_response(request)
        try:
            with opened:
                response = self.get_response(request)
        except BaseException as error:
            opened.end(error)
            raise
        if not _lasts(request, response, opened):
            opened.end()
        return response

    async def _call_async(self, request: Any) -> Any:
        opened = self._open(request)
        if opened is None:
            return await self.get_response(request)
        try:
            with opened:
                response = await self.get_response(request)
        except BaseException as error:
            await opened.end_async(error)
            raise
        if not _lasts(request, response, opened):
            await opened.end_async()
        return response

    def process_exception(self, request: Any, exception: BaseException) -> None:
        """Keep the exception of a view: it is the outcome of the conversation. Django answers it as ever."""
        request._agentsight_error = exception

    def _open(self, request: Any) -> RequestConversation | None:
        frame = self._plan.open(self._incoming(request))
        return None if frame is None else RequestConversation(frame)

    def _incoming(self, request: Any) -> IncomingRequest:
        meta = request.META
        return IncomingRequest(
            request,
            method=str(request.method or ""),
            path=request.path_info,
            headers=[
                (name, text_of_header(value.encode("latin-1", "replace"))) for name, value in request.headers.items()
            ],
            query_string=meta.get("QUERY_STRING") or "",
            peer=meta.get("REMOTE_ADDR") or None,
            read_body=lambda: self._body(request),
            read_user=lambda: getattr(request, "user", None),
        )

    def _body(self, request: Any) -> bytes | None:
        """Return the body where it is to be looked into; Django keeps it for the view."""
        length = request.META.get("CONTENT_LENGTH") or ""
        kind = request.META.get("CONTENT_TYPE") or None
        if not str(length).isdecimal() or not self._plan.body_to_read(str(request.method or ""), kind, str(length)):
            return None
        body: bytes = request.body
        return body


def _lasts(request: Any, response: Any, opened: RequestConversation) -> bool:
    """Return whether the conversation goes on while the response streams, which then ends it."""
    error = getattr(request, "_agentsight_error", None)
    if error is None and response.status_code >= 500:
        error = ServerErrorResponse(response.status_code)
    opened.error = error
    if not getattr(response, "streaming", False) or getattr(response, "file_to_stream", None) is not None:
        return False
    parts = response.streaming_content
    response.streaming_content = (AsyncBody if hasattr(parts, "__aiter__") else Body)(parts, opened)
    return True
