"""The asynchronous twin of `client`, for requests without files: the same answers on an event loop.

In: `Request`. Out: `Reply`. Loses: nothing; without a whole answer in time there is `NoAnswer`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

import httpx

from agentsight_auto._http.client import DEADLINE_S, HTTP_ERRORS, LARGEST_REPLY_BYTES, as_httpx, no_answer
from agentsight_auto._http.messages import Reply, Request, same_headers
from agentsight_auto._http.transport import proxy_of
from agentsight_auto._version import __version__


class _OwnTransport(httpx.AsyncHTTPTransport):
    """A transport that is told from those of the program."""


class AsyncHttpClient:
    """One API: its address and key. Connections belong to the event loop that is running, and to this process."""

    def __init__(self, endpoint: str, api_key: str, *, deadline_s: float = DEADLINE_S) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._headers = same_headers(api_key, __version__)
        self._deadline_s = deadline_s
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._inherited: list[object] = []

    async def send(self, request: Request) -> Reply:
        """Send one request and read its whole answer, of whatever status.

        Raises:
            NoAnswer: none came in time, or not a whole one.
        """
        try:
            return await asyncio.wait_for(self._exchange(request), request.deadline_s or self._deadline_s)
        except asyncio.TimeoutError as error:  # not yet TimeoutError itself on Python 3.10
            raise no_answer(request, self.endpoint, TimeoutError()) from error
        except HTTP_ERRORS as error:
            raise no_answer(request, self.endpoint, error) from error

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next request opens others."""
        transport, self._transport = self._transport, None
        if transport is not None and self._pid == os.getpid() and self._loop is asyncio.get_running_loop():
            await transport.aclose()

    async def _exchange(self, request: Request) -> Reply:
        with contextlib.ExitStack() as stack:
            asked = as_httpx(request, self.endpoint, self._headers, self._deadline_s, stack)
        response = await self._opened().handle_async_request(asked)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_REPLY_BYTES:
                    raise httpx.RemoteProtocolError(f"the answer is larger than {LARGEST_REPLY_BYTES} bytes")
            return Reply(response.status_code, response.headers, bytes(body))
        finally:
            await response.aclose()

    def _opened(self) -> httpx.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():
            self._inherited.append(self._transport)
            self._pid, self._transport = os.getpid(), None
        if self._transport is None or self._loop is not loop:
            self._transport = _OwnTransport(proxy=proxy_of(self.endpoint))
            self._loop = loop
        return self._transport
