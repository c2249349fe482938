"""requests: outgoing requests carry the conversation to the hosts of `baggage_hosts`.

In: prepared requests as an adapter gets them, after redirects are resolved. Out: to an allowed host, a copy with a
member more in its ``baggage`` header; the response names the program's own request. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .._guard import guarded
from . import baggage
from .patches import Patches


def install(patches: Patches) -> None:
    """Wrap the adapter, so that each hop of a redirect is asked for by its own host."""
    patches.wrap("requests.adapters", "HTTPAdapter.send", _send)


def _send(wrapped: Callable[..., Any], adapter: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del adapter
    carrying = _with_conversation(args[0]) if args else None
    if carrying is None:
        return wrapped(*args, **kwargs)
    response = wrapped(carrying, *args[1:], **kwargs)
    response.request = args[0]
    return response


@guarded
def _with_conversation(request: Any) -> Any:
    value = baggage.header_for(urlsplit(request.url).hostname, request.headers.get("baggage"))
    if value is None:
        return None
    carrying = request.copy()
    carrying.headers["baggage"] = value
    return carrying
