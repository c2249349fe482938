"""httpx: outgoing requests carry the conversation to the hosts of `baggage_hosts`.

In: requests as a transport gets them, after redirects are resolved. Out: to an allowed host, the same request with a
member more in its ``baggage`` header; the program's own request object stays as it was. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._guard import guarded
from . import baggage
from .patches import Patches


def install(patches: Patches) -> None:
    """Wrap the transports, so that each hop of a redirect is asked for by its own host."""
    patches.wrap("httpx", "HTTPTransport.handle_request", _handle)
    patches.wrap("httpx", "AsyncHTTPTransport.handle_async_request", _handle)


def _handle(wrapped: Callable[..., Any], transport: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args and not type(transport).__module__.startswith("agentsight_auto."):
        args = (_with_conversation(args[0]) or args[0], *args[1:])
    return wrapped(*args, **kwargs)


@guarded
def _with_conversation(request: Any) -> Any:
    value = baggage.header_for(request.url.host, request.headers.get("baggage"))
    if value is None:
        return None
    headers = request.headers.copy()
    headers["baggage"] = value
    return type(request)(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )
