"""One line of JSON per request, and its metrics: never a query string, a key or a word of a body.

In: requests and responses as they pass. Out: lines of the logger ``agentsight_auto.server.access``, counters.
Loses: nothing that it was meant to say.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentsight_auto._clock import iso_from_us

logger = logging.getLogger("agentsight_auto.server.access")

UNKNOWN_ROUTE = "unknown"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Seen(msgspec.Struct):
    """What is known of one request in the end: the route's template, not the path, and the key's agent."""

    method: str
    route: str = UNKNOWN_ROUTE
    agent: str | None = None
    status: int = 0
    seconds: float = 0.0
    request_bytes: int = 0


class Observation:
    """The outermost layer: measures each request and tells the log and `observe` of it.

    It also answers paths that begin with two slashes like those with one: the oldest clients put the endpoint, with
    its slash at the end, before the path.
    """

    def __init__(self, app: ASGIApp, observe: Callable[[Seen], None], now_us: Callable[[], int]) -> None:
        self._app = app
        self._observe = observe
        self._now_us = now_us

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        seen = Seen(method)
        path = scope["path"]
        scope = {**scope, "path": "/" + path.lstrip("/"), "state": {**scope.get("state", {}), "seen": seen}}
        begun = time.perf_counter()

        async def counting_receive() -> Message:
            message = await receive()
            seen.request_bytes += len(message.get("body", b""))
            return message

        async def watching_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        try:
            await self._app(scope, counting_receive, watching_send)
        finally:
            seen.seconds = time.perf_counter() - begun
            self._observe(seen)
            self._write(seen)

    def _write(self, seen: Seen) -> None:
        if logger.isEnabledFor(logging.INFO):
            line = {
                "at": iso_from_us(self._now_us()),
                "method": seen.method,
                "route": seen.route,
                "status": seen.status,
                "ms": round(seen.seconds * 1000, 3),
                "request_bytes": seen.request_bytes,
                "agent": seen.agent,
            }
            logger.info("%s", msgspec.json.encode(line).decode())
