"""The documented error bodies, one JSON shape per kind.

In: `ApiError` from a route, or an exception of the stages below. Out: a response.
Loses: the text of unforeseen errors, which goes to the log without values; the client learns that it was ours.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import HTMLResponse, Response

from agentsight_auto.exceptions import (
    AgentSightException,
    ConversationApiException,
    InvalidAttachmentException,
    NotFoundException,
    StoreException,
)

logger = logging.getLogger("agentsight_auto.server")

NO_CREDENTIALS = "Authentication credentials were not provided."
BAD_KEY = "Invalid API key."
FORBIDDEN = "You do not have permission to perform this action."
NOT_FOUND = "Not found."
NON_FIELD_ERRORS = "non_field_errors"

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_SUCH_PAGE = """<!doctype html>
<html lang="en"><head><title>Not Found</title></head>
<body><h1>Not Found</h1><p>The requested resource was not found on this server.</p></body></html>
"""


class ApiError(Exception):
    """An answer other than success: status, JSON body, headers."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def detail_error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return ``{"detail": ...}``."""
    return ApiError(status, {"detail": detail}, headers)


def field_error(field: str, *messages: str) -> ApiError:
    """Return status 400 with ``{"field": ["...", ...]}``."""
    return ApiError(400, {field: list(messages)})


def required(field: str) -> ApiError:
    """Return status 400 for a field that is missing."""
    return field_error(field, "This field is required.")


def view_error(status: int, error: str, details: Any = None) -> ApiError:
    """Return ``{"error": ..., "details": ...}``, the shape of the attachment and button routes."""
    return ApiError(status, {"error": error} if details is None else {"error": error, "details": details})


def not_found(detail: str = NOT_FOUND) -> ApiError:
    """Return status 404, the same for what is absent and for what is another agent's."""
    return detail_error(404, detail)


def too_large(detail: str) -> ApiError:
    """Return status 413; the connection is closed, because what else was sent is not read."""
    return detail_error(413, detail, {"Connection": "close"})


def unauthorized(detail: str) -> ApiError:
    """Return status 401."""
    return detail_error(401, detail, {"WWW-Authenticate": "Api-Key"})


def throttled(wait_s: int) -> ApiError:
    """Return status 429 with ``Retry-After``."""
    text = f"Request was throttled. Expected available in {wait_s} seconds."
    return detail_error(429, text, {"Retry-After": str(wait_s)})


def method_not_allowed(method: str, allowed: list[str]) -> ApiError:
    """Return status 405 with ``Allow``."""
    return detail_error(405, f'Method "{method}" not allowed.', {"Allow": ", ".join(allowed)})


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; data of conversations is for the one who asked, not for caches."""
    safe = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(msgspec.json.encode(document), status, safe, "application/json")


def no_such_page() -> Response:
    """Return the HTML page for a path that is no route, also for one without its final slash."""
    return HTMLResponse(_NO_SUCH_PAGE, 404, {"X-Content-Type-Options": "nosniff"})


def error_response(error: Exception) -> Response:
    """Return the response for any exception of a route."""
    known = error if isinstance(error, ApiError) else _translated(error)
    if known is None:
        logger.error("agentsight-auto server: unforeseen %s", type(error).__name__, exc_info=error)
        known = detail_error(500, "The server failed on this request; its log says where.")
    return json_response(known.body, known.status, known.headers)


def _translated(error: Exception) -> ApiError | None:
    if isinstance(error, NotFoundException):
        return not_found()
    if isinstance(error, ConversationApiException):
        body = error.response_data if isinstance(error.response_data, dict) else {"detail": str(error)}
        return ApiError(error.status_code or 400, body)
    if isinstance(error, InvalidAttachmentException):
        return view_error(400, str(error))
    if isinstance(error, StoreException):
        logger.error("agentsight-auto server: %s", error)
        return detail_error(503, "The store cannot be used at the moment.", {"Retry-After": "1"})
    if isinstance(error, AgentSightException):
        return detail_error(400, str(error))
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        logger.error("agentsight-auto server: the disk is full: %s", error)
        return detail_error(507, "The server has no space left for this.")
    return None
