"""Turn what a remote API answered into results, or into the documented exceptions.

In: a reply. Out: its JSON object. Loses: nothing; whatever is no usable success raises.
"""

from __future__ import annotations

from typing import Any

from agentsight_auto._http.messages import Reply, Request, Unreadable
from agentsight_auto.exceptions import (
    ConversationApiException,
    ConversationNetworkException,
    ForbiddenException,
    InvalidQueryException,
    NotFoundException,
    UnauthorizedException,
)

SUCCESSES = frozenset({200, 201, 202, 204})
_CHECK_ENDPOINT = "Is AGENTSIGHT_API_ENDPOINT the address of an AgentSight API?"
_BY_STATUS: dict[int, tuple[type[ConversationApiException], str]] = {
    400: (InvalidQueryException, ""),
    401: (UnauthorizedException, " Check AGENTSIGHT_API_KEY."),
    403: (ForbiddenException, " The key's role does not allow this; use a key of the role write."),
    404: (NotFoundException, ""),
}


def read_object(request: Request, endpoint: str, reply: Reply) -> dict[str, Any]:
    """Return the JSON object of a success; an empty body is an empty object.

    Raises:
        ConversationApiException: a status that is no success, as the documented exception that stands for it.
        ConversationNetworkException: the answer cannot be used: a redirect, HTML, broken JSON.
    """
    where = f"{request.method} {endpoint}{request.path}"
    if reply.status not in SUCCESSES:
        raise _problem(where, reply)
    if not reply.body and reply.status in {202, 204}:
        return {}
    try:
        answered = reply.json()
    except Unreadable as error:
        raise ConversationNetworkException(f"{where}: {error}. {_CHECK_ENDPOINT}") from error
    if not isinstance(answered, dict):
        raise ConversationNetworkException(f"{where}: the answer is no JSON object. {_CHECK_ENDPOINT}")
    return answered


def _problem(where: str, reply: Reply) -> Exception:
    if reply.status < 400:
        target = reply.headers.get("location", "elsewhere")
        return ConversationNetworkException(
            f"{where} answered {reply.status} and leads to {target:.200}. {_CHECK_ENDPOINT}"
        )
    detail = reply.detail() if reply.is_json else ""
    what = detail or f"The server answered {reply.status} without saying why."
    kind, advice = _BY_STATUS.get(reply.status, (ConversationApiException, _advice(reply)))
    if not reply.is_json and reply.status in {404, 405}:
        advice = f" {_CHECK_ENDPOINT}"
    return kind(f"{what}{advice} ({where}: {reply.status})", reply.status, reply.json_or_text())


def _advice(reply: Reply) -> str:
    if reply.status == 429:
        told_s = reply.retry_after_s()
        return " Try again later." if told_s is None else f" Try again in {told_s:g} s."
    return " Try again later; nothing was changed that the server has not answered." if reply.status >= 500 else ""
