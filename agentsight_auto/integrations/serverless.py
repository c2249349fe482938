"""Serverless functions: one decorator, which delivers before the platform freezes the process.

In: a handler ``(event, context)``. Out: the same results; each call is recorded in the conversation its event names,
and what is recorded is delivered before it returns, for a bounded time. Loses: nothing by itself; what cannot be
delivered in time waits for the next call, in a folder that lasts as long as the platform keeps the process.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .. import _runtime
from .._guard import guarded
from ..capture.entry import runs_in_asyncio
from ..capture.shapes import kind_of
from .incoming.plan import ID_FROM, RequestOptions, RequestPlan, ServerErrorResponse
from .incoming.request import IncomingRequest
from .incoming.sources import Given

if TYPE_CHECKING:
    from typing_extensions import Unpack

F = TypeVar("F", bound=Callable[..., Any])


def serverless_handler(
    *, id_from: Given = ID_FROM, flush_s: float = 2.0, **options: Unpack[RequestOptions]
) -> Callable[[F], F]:
    """Decorate a handler ``(event, context)`` of AWS Lambda and its like, a function or a coroutine function.

    HTTP events (API Gateway, function URLs, load balancers) are read as requests: ``header:``, ``cookie:``, ``query:``,
    ``path:``, ``json:`` of the body. Of any other event ``json:`` reads the event itself: ``json:detail.chat_id``.

    Args:
        id_from: where the id comes from; see docs/web.md for the words.
        flush_s: seconds that the end of a call waits for delivery, at most.
        options: see `RequestOptions`.

    Raises:
        ConfigurationException: an option that cannot be used.
    """
    plan = RequestPlan(id_from, has_path_parameters=True, **options)

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def handler(event: Any, *context: Any, **kwargs: Any) -> Any:
            call = _Call(plan, event)
            try:
                with call:
                    call.result = function(event, *context, **kwargs)
                return call.result
            finally:
                _deliver(flush_s)

        @functools.wraps(function)
        async def async_handler(event: Any, *context: Any, **kwargs: Any) -> Any:
            call = _Call(plan, event)
            try:
                with call:
                    call.result = await function(event, *context, **kwargs)
                return call.result
            finally:
                if runs_in_asyncio():
                    await asyncio.to_thread(_deliver, flush_s)
                else:
                    _deliver(flush_s)

        return async_handler if kind_of(function) == "coroutine" else handler  # type: ignore[return-value]

    return decorate


class _Call:
    """One call of a handler, in the conversation that its event names, if it names one."""

    def __init__(self, plan: RequestPlan, event: Any) -> None:
        request = _incoming(event)
        self._frame = None if request is None else plan.open(request)
        self.result: Any = None

    def __enter__(self) -> None:
        if self._frame is not None:
            self._frame.begin()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._frame is not None:
            self._frame.finish(None, error if error is not None else _failure(self.result))


@guarded
def _deliver(flush_s: float) -> None:
    runtime = _runtime.default()
    if not runtime.settings.disabled:
        runtime.flush(flush_s)


def _failure(result: Any) -> BaseException | None:
    status = result.get("statusCode") if isinstance(result, dict) else None
    return ServerErrorResponse(status) if isinstance(status, int) and status >= 500 else None


@guarded
def _incoming(event: Any) -> IncomingRequest:
    """Return an event as the sources see it.

    Source: the payload formats 1.0 and 2.0 of API Gateway, which function URLs and load balancers share.
    """
    document: Mapping[str, Any] = event if isinstance(event, Mapping) else {}
    headers = _texts(document.get("headers"))
    context = document.get("requestContext")
    http = context.get("http", context) if isinstance(context, Mapping) else {}
    http = http if isinstance(http, Mapping) else {}
    is_http = bool(headers) or "httpMethod" in document or "rawPath" in document
    identity = http.get("identity") if isinstance(http.get("identity"), Mapping) else http
    cookies = document.get("cookies")
    if isinstance(cookies, list):
        headers.append(("cookie", "; ".join(str(cookie) for cookie in cookies)))
    return IncomingRequest(
        event,
        method=str(document.get("httpMethod") or http.get("method") or ""),
        path=str(document.get("rawPath") or document.get("path") or ""),
        headers=headers,
        query_string=str(document.get("rawQueryString") or "") or _query(document.get("queryStringParameters")),
        peer=str((identity or {}).get("sourceIp") or "") or None,
        path_parameters=document.get("pathParameters"),
        read_body=lambda: _body(document) if is_http else _encoded(event),
    )


def _texts(headers: Any) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in headers.items()] if isinstance(headers, Mapping) else []


def _query(parameters: Any) -> str:
    from urllib.parse import urlencode  # noqa: PLC0415 - format 1.0 only

    return urlencode({str(name): str(value) for name, value in (parameters or {}).items()})


def _body(document: Mapping[str, Any]) -> bytes | None:
    body = document.get("body")
    if not isinstance(body, str):
        return None
    if document.get("isBase64Encoded"):
        try:
            return base64.b64decode(body)
        except (binascii.Error, ValueError):
            return None
    return body.encode(errors="replace")


@guarded
def _encoded(event: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
