"""Ask one API and get the whole answer within a deadline, over kept connections, from any thread.

In: `Request`. Out: `Reply`. Loses: nothing; without a whole answer in time there is `NoAnswer`.

A forked child makes connections of its own: those of its parent are neither used nor closed there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

import httpx

from agentsight_auto._http.messages import NoAnswer, Reply, Request, same_headers
from agentsight_auto._http.transport import DeadlineTransport, deadline_at
from agentsight_auto._version import __version__

DEADLINE_S = 10.0
"""Seconds that one exchange may take, from the first byte sent to the last one received."""

HTTP_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError)

LARGEST_REPLY_BYTES = 256 * 1024 * 1024


class HttpClient:
    """One API: its address and key. Opens nothing before the first request.

    `is_closed_at_exit`: the end of the process closes the connections. Not for a client of delivery, whose last request
    may be under way then: it is closed by the worker that uses it.
    """

    def __init__(
        self, endpoint: str, api_key: str, *, deadline_s: float = DEADLINE_S, is_closed_at_exit: bool = False
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._headers = same_headers(api_key, __version__)
        self._deadline_s = deadline_s
        self._is_closed_at_exit = is_closed_at_exit
        self._lock = threading.Lock()
        self._transport: DeadlineTransport | None = None
        self._pid = os.getpid()
        self._inherited: list[object] = []
        self._finalizer: weakref.finalize[..., HttpClient] | None = None

    def send(self, request: Request, *, patience_s: float | None = None) -> Reply:
        """Send one request and read its whole answer, of whatever status; `patience_s` shortens the deadline.

        Raises:
            NoAnswer: none came in time, or not a whole one.
        """
        allowed_s = request.deadline_s or self._deadline_s
        deadline = time.monotonic() + (allowed_s if patience_s is None else min(allowed_s, patience_s))
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(deadline_at(deadline))
                asked = as_httpx(request, self.endpoint, self._headers, self._deadline_s, stack)
                response = self._opened().handle_request(asked)
                stack.callback(response.close)
                return Reply(response.status_code, response.headers, _whole_body(response, deadline))
        except HTTP_ERRORS as error:
            raise no_answer(request, self.endpoint, error) from error

    def close(self) -> None:
        """Close the connections; the next request opens others."""
        with self._lock:
            transport, self._transport = self._transport, None
            finalizer, self._finalizer = self._finalizer, None
        if finalizer is not None:
            finalizer.detach()  # at exit it may have run already, and does nothing a second time
        if transport is not None:
            transport.close()

    def _opened(self) -> DeadlineTransport:
        if self._pid != os.getpid():
            self._become_child()
        with self._lock:
            if self._transport is None:
                self._transport = DeadlineTransport(self.endpoint)
                self._finalizer = weakref.finalize(self, _close, self._transport, os.getpid())
                self._finalizer.atexit = self._is_closed_at_exit  # true unless told otherwise
            return self._transport

    def _become_child(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._inherited.append(self._transport)
        self._transport = self._finalizer = None


def _close(transport: DeadlineTransport, pid: int) -> None:
    if pid == os.getpid():
        transport.close()


def as_httpx(
    request: Request, endpoint: str, headers: Mapping[str, str], pool_s: float, stack: contextlib.ExitStack
) -> httpx.Request:
    """Return the request as httpx's transports take it; files are opened, and closed by `stack`.

    Without a client of httpx between: nothing follows redirects, keeps cookies, or logs a line per request.
    """
    body: dict[str, Any] = {} if request.body is None else {"content": request.body}
    if request.open_parts is not None:
        parts = request.open_parts()
        for _, (_, content, _) in parts:
            stack.callback(content.close)
        body = {"data": dict(request.fields or {}), "files": list(parts)}
    elif request.open_content is not None:
        body = {"content": stack.enter_context(request.open_content())}
    return httpx.Request(
        request.method,
        endpoint + request.path,
        params=list(request.params) or None,
        headers={**headers, **request.headers},
        extensions={"timeout": {"pool": pool_s}},
        **body,
    )


def no_answer(request: Request, endpoint: str, error: Exception) -> NoAnswer:
    """Say what went wrong with which request."""
    where = f"{request.method} {endpoint}{request.path}"
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return NoAnswer(f"{where}: no whole answer in time")
    is_cut = isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError))
    return NoAnswer(f"{where}: {error or type(error).__name__}", is_cut=is_cut)


def _whole_body(response: httpx.Response, deadline: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the deadline of the request has passed")
        if len(body) > LARGEST_REPLY_BYTES:
            raise httpx.RemoteProtocolError(f"the answer is larger than {LARGEST_REPLY_BYTES} bytes")
    return bytes(body)
