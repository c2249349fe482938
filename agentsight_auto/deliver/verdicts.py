"""Read what an HTTP server made of something delivered: taken, refused for good, or not now.

In: a request and its reply. Out: the JSON of a success. Loses: nothing: what is not a success raises, and says whether
another try can help.
"""

from __future__ import annotations

from typing import Any

from agentsight_auto._http.client import HttpClient
from agentsight_auto._http.messages import NoAnswer, Reply, Request, Unreadable
from agentsight_auto.deliver.destination import DeliveryError, patience_s

SUCCESSES = frozenset({200, 201})
_REFUSALS = frozenset({400, 409, 413, 414, 415, 422, 431})
"""What a server answers because of what was sent: the same again would meet the same answer."""

KEY_PAUSE_S = 60.0
"""A key that is not accepted is not tried again sooner: only a person can help."""

MISSING = frozenset({404, 405, 410})


class Refused(Exception):
    """The server will never take this; `status` says why, 413 that it is too large."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"status {status}: {detail or 'no reason given'}")
        self.status = status


class RouteMissing(Exception):
    """The server has no such route, or not what the request refers to; `reply` tells."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.detail())
        self.reply = reply


def ask(client: HttpClient, request: Request) -> Any:
    """Send a request and return the JSON of its success.

    Raises:
        Refused: what was sent cannot be taken.
        RouteMissing: 404 and its like.
        DeliveryError: anything else; it may help to try again.
    """
    reply = send(client, request)
    if reply.status in SUCCESSES:
        try:
            return reply.json()
        except Unreadable as error:
            raise DeliveryError(f"{request.method} {client.endpoint}{request.path}: {error}") from error
    raise failure(client, request, reply)


def send(client: HttpClient, request: Request) -> Reply:
    """Send a request and return whatever is answered.

    Raises:
        DeliveryError: no whole answer came.
    """
    try:
        return client.send(request, patience_s=patience_s())
    except NoAnswer as error:
        raise DeliveryError(str(error)) from error


def failure(client: HttpClient, request: Request, reply: Reply) -> Exception:
    """Return the exception that stands for an answer that is no success."""
    where = f"{request.method} {client.endpoint}{request.path}"
    if reply.status in {401, 403}:
        what = "The API key is not accepted" if reply.status == 401 else "The API key may not write"
        return DeliveryError(
            f"{what} by {client.endpoint} ({reply.status}: {reply.detail() or 'no reason given'}). Events are kept; "
            "correct AGENTSIGHT_API_KEY, with a key of the role write.",
            retry_after_s=KEY_PAUSE_S,
        )
    if 300 <= reply.status < 400:
        target = reply.headers.get("location", "nowhere")
        return DeliveryError(f"{where} redirects to {target:.200}: set AGENTSIGHT_API_ENDPOINT to where the API is")
    if reply.status in MISSING:
        return RouteMissing(reply)
    if reply.status in _REFUSALS:
        return Refused(reply.status, reply.detail())
    told_s = reply.retry_after_s()
    return DeliveryError(f"{where} answered {reply.status}: {reply.detail():.200}", retry_after_s=told_s)
