"""How a framework's requests become conversations: the options of every middleware, read once.

In: options, then requests. Out: the frame of a request's conversation, or None where it names none.
Loses: nothing; a failing callable of the user leaves open what it was to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from ..._guard import guarded, shown
from ...capture.conversation import conversation
from ...capture.entry import ConversationFrame
from ...exceptions import ConfigurationException
from .facts import TrustedProxies, device_of, language_of
from .request import IncomingRequest, body_kind
from .sources import Given, Source

ID_FROM = "header:X-Conversation-Id"
CUSTOMER_FROM = "header:X-Customer-Id"
BODY_LIMIT_BYTES = 1024 * 1024

_DETAILS = frozenset({"customer_id", "customer_ip_address", "device", "source", "language", "name", "environment"}) | {
    "metadata",
    "record",
}


class RequestOptions(TypedDict, total=False):
    """What every middleware takes besides `id_from`.

    customer_from: who the customer is, in the words of `id_from`; ``header:X-Customer-Id`` by default.
    source: the channel; ``web`` by default.
    trusted_proxies: addresses and networks of proxies whose `forwarded_header` is believed, and ``unix`` for a unix
        socket; none by default.
    forwarded_header: where they put the client's address: ``X-Forwarded-For`` by default, or ``Forwarded``, or another.
    details: a callable that gets the `IncomingRequest` and returns further fields of `conversation()`, which win over
        what the headers say: ``name``, ``metadata``, ``environment``, ``record=False`` ...
    body_limit_bytes: how large a body may be whose JSON or form is looked into; 1 MiB by default.
    """

    customer_from: Given
    source: str | None
    trusted_proxies: Iterable[str]
    forwarded_header: str
    details: Callable[[IncomingRequest], Mapping[str, Any] | None] | None
    body_limit_bytes: int


class RequestPlan:
    """Opens the conversation of each request.

    Raises:
        ConfigurationException: an option that cannot be used.
    """

    def __init__(
        self,
        id_from: Given,
        *,
        has_path_parameters: bool = False,
        wait_s: float | None = None,
        customer_from: Given = CUSTOMER_FROM,
        source: str | None = "web",
        trusted_proxies: Iterable[str] = (),
        forwarded_header: str = "X-Forwarded-For",
        details: Callable[[IncomingRequest], Mapping[str, Any] | None] | None = None,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        if not id_from:
            raise ConfigurationException(f"id_from says where the conversation id comes from: {ID_FROM!r}, say.")
        self._id = Source(id_from, has_path_parameters=has_path_parameters)
        self._customer = Source(customer_from, has_path_parameters=has_path_parameters)
        self._proxies = TrustedProxies(trusted_proxies, forwarded_header)
        self._source = source
        self._details = details
        self._wait_s = wait_s
        self.body_limit_bytes = body_limit_bytes
        self._reads_body = self._id.reads_body or self._customer.reads_body

    def body_to_read(self, method: str, content_type: str | None, length: str | None) -> bool:
        """Return whether the body of such a request is to be looked into, which costs memory up to the limit."""
        if not self._reads_body or method in {"GET", "HEAD", "OPTIONS"} or body_kind(content_type) is None:
            return False
        return not (length or "").isdecimal() or int((length or "0")[:20]) <= self.body_limit_bytes

    @guarded
    def open(self, request: IncomingRequest) -> ConversationFrame | None:
        """Return the frame of this request's conversation, not yet begun; None if it names none."""
        conversation_id = self._id.read(request)
        if conversation_id is None:
            return None
        known: dict[str, Any] = {
            "customer_id": self._customer.read(request),
            "customer_ip_address": self._proxies.client_address(request),
            "device": device_of(request),
            "language": language_of(request),
            "source": self._source,
        }
        known |= self._read_details(request) or {}
        return conversation(conversation_id, wait_s=self._wait_s, **known).open_frame(conversation_id)

    @guarded
    def _read_details(self, request: IncomingRequest) -> dict[str, Any]:
        details = dict((self._details(request) if self._details else None) or {})
        unknown = details.keys() - _DETAILS
        if unknown:
            raise ConfigurationException(f"details returned {shown(sorted(unknown))}: use {sorted(_DETAILS)}.")
        return details


class ServerErrorResponse(Exception):
    """The outcome of a request that was answered with a status of 500 or more; never raised."""
