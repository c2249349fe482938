"""Connections that keep a deadline over a whole exchange, which httpx's own timeouts per read do not.

In: httpx requests, and the deadline of this thread. Out: httpx responses.
Loses: nothing; what takes longer ends in `httpx.TimeoutException`, whether name, headers or body were slow.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

_WRITE_BYTES = 64 * 1024
_KEPT_CONNECTIONS = 4
_KEPT_S = 30.0

_this_thread = threading.local()


@contextlib.contextmanager
def deadline_at(moment: float) -> Iterator[None]:
    """Let what this thread sends and receives fail after this monotonic time."""
    _this_thread.deadline = moment
    try:
        yield
    finally:
        _this_thread.deadline = None


def _remaining_s(timeout: float | None, late: type[Exception]) -> float | None:
    deadline: float | None = getattr(_this_thread, "deadline", None)
    if deadline is None:
        return timeout
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise late("the deadline of the request has passed")
    return remaining_s if timeout is None else min(timeout, remaining_s)


class _Stream(httpcore.NetworkStream):
    """A connection whose every read and write ends with the deadline."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            self._stream.write(piece, _remaining_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        remaining_s = _remaining_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, remaining_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """Open connections as httpcore does, within the deadline."""

    def __init__(self) -> None:
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        remaining_s = _remaining_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._network.connect_tcp(host, port, remaining_s, local_address, socket_options))


class DeadlineTransport(httpx.BaseTransport):
    """Carry requests over kept HTTP/1.1 connections to one endpoint; the proxy of the environment is used."""

    def __init__(self, endpoint: str) -> None:
        context = httpx.create_ssl_context() if endpoint.startswith("https:") else None
        limits: dict[str, Any] = {
            "ssl_context": context,
            "max_keepalive_connections": _KEPT_CONNECTIONS,
            "keepalive_expiry": _KEPT_S,
            "network_backend": _Network(),
        }
        proxy = proxy_of(endpoint)
        self._pool: httpcore.ConnectionPool = (
            httpcore.ConnectionPool(**limits) if proxy is None else httpcore.HTTPProxy(proxy, **limits)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its response, whose body is still to be read."""
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors_of_httpx():
            answered = self._pool.handle_request(asked)
        return httpx.Response(answered.status, headers=answered.headers, stream=_Body(answered))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answered: httpcore.Response) -> None:
        self._answered = answered

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._answered.iter_stream()

    def close(self) -> None:
        with _errors_of_httpx():
            self._answered.close()


@contextlib.contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except httpcore.ConnectTimeout as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from error
    except httpcore.ConnectError as error:
        raise httpx.ConnectError(str(error)) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, httpcore.UnsupportedProtocol) as error:
        raise httpx.RemoteProtocolError(str(error)) from error


def proxy_of(endpoint: str) -> str | None:
    """Return the HTTP proxy that the environment names for this address, if it does."""
    parts = urlsplit(endpoint)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or not proxy.startswith(("http://", "https://")) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return proxy
