"""From a request to a page: who asks, whether it may be answered, and then the page's function on a worker thread.

In: an ASGI request for one path. Out: HTML, also for what goes wrong, in words.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import cookies as http_cookies

import anyio
import anyio.to_thread
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentsight_auto.exceptions import AgentSightException, ConversationApiException, NotFoundException, StoreException
from agentsight_auto.server.bodies import limited
from agentsight_auto.server.dashboard import gate, people
from agentsight_auto.server.dashboard.languages import FALLBACK, Texts, choose_language, read_zone
from agentsight_auto.server.dashboard.rendering import page, redirect
from agentsight_auto.server.dashboard.visits import THEMES, Unreadable, Visit, url
from agentsight_auto.server.errors import ApiError
from agentsight_auto.server.service import Service

logger = logging.getLogger("agentsight_auto.server")

_FORM_BYTES = 1024 * 1024
_MOST_FIELDS = 1100
_REPORT_TYPES = frozenset({"application/csp-report", "application/reports+json"})


@dataclass(frozen=True)
class Page:
    """One method of one path; `role` is what a visitor must be able to do, None needs no sign-in."""

    method: str
    path: str
    handler: Callable[[Visit], Response]
    role: str | None = "read"


class PageEndpoint:
    """The ASGI application of one path."""

    def __init__(self, service: Service, pages: Sequence[Page]) -> None:
        self._service = service
        self._pages = {found.method: found for found in pages}
        self._path = pages[0].path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        seen = scope.get("state", {}).get("seen")
        visit = self._visit(request)
        try:
            response = await self._answer(request, visit)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader gets a page in words
            response = _problem(visit, error)
        if seen is not None:
            seen.route = self._path
            seen.agent = None if visit.known_agent is None else visit.known_agent.name
        await response(scope, receive, send)

    def _visit(self, request: Request) -> Visit:
        given, settings = request.cookies, self._service.settings
        theme = given.get("agentsight_theme", "auto")
        public = settings.public_address or str(request.base_url).rstrip("/")
        language = choose_language(given.get("agentsight_language"), request.headers.get("accept-language", ""))
        return Visit(
            service=self._service,
            path=request.url.path,
            path_values=request.path_params,
            query=request.query_params,
            texts=Texts(language, read_zone(given.get("agentsight_zone"))),
            nonce=secrets.token_urlsafe(16),
            is_local=self._service.local_agent is not None,
            is_secure=public.startswith("https:"),
            address=public,
            client_host=request.client.host if request.client else "",
            theme=theme if theme in THEMES else "auto",
            zone_is_known="agentsight_zone" in given,
            cookies=given,
        )

    async def _answer(self, request: Request, visit: Visit) -> Response:
        public = self._service.settings.public_address
        refused = gate.refusal(request.method, request.headers, is_local=visit.is_local, public_address=public)
        if refused is not None:
            return page(visit, "problem.html", status=403, problem=refused)
        found = self._pages.get("GET" if request.method == "HEAD" else request.method)
        if found is None:
            return page(visit, "problem.html", status=405, problem="bad_method")
        visit.known_agent = await anyio.to_thread.run_sync(people.recognise, visit)
        if found.role is not None and visit.known_agent is None:
            target = visit.path + (f"?{visit.query}" if visit.query else "") if found.method == "GET" else ""
            return redirect(url("/sign-in/", {"next": target}))
        if found.role == "write" and not visit.may_edit:
            return page(visit, "problem.html", status=403, problem="read_only")
        if found.method == "POST":
            visit.form = await self._form(request)
        limiter = self._service.writers if found.role == "write" else None
        return await anyio.to_thread.run_sync(found.handler, visit, limiter=limiter)

    async def _form(self, request: Request) -> FormData:
        bounded = Request(request.scope, limited(request, _FORM_BYTES))
        with anyio.fail_after(self._service.settings.read_timeout_s):
            if request.headers.get("content-type", "").partition(";")[0] in _REPORT_TYPES:
                return FormData([("report", (await bounded.body()).decode("utf-8", "replace"))])
            return await bounded.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=_FORM_BYTES)


def _problem(visit: Visit, error: Exception) -> Response:
    """Say in words what went wrong; only what nobody foresaw is logged, without values."""
    if isinstance(error, NotFoundException):
        return page(visit, "problem.html", status=404, problem="not_found")
    if isinstance(error, ConversationApiException):
        status = error.status_code or 400
        return page(visit, "problem.html", status=status, problem="bad_request", detail=_detail(visit, error))
    if isinstance(error, StoreException):
        logger.error("agentsight-auto dashboard: %s", error)
        return page(visit, "problem.html", status=503, problem="store")
    if isinstance(error, AgentSightException | ApiError | HTTPException | TimeoutError):
        status = error.status if isinstance(error, ApiError) else 400
        return page(visit, "problem.html", status=status, problem="bad_request", detail=_detail(visit, error))
    logger.error("agentsight-auto dashboard: unforeseen %s", type(error).__name__, exc_info=error)
    return page(visit, "problem.html", status=500, problem="unforeseen")


def _detail(visit: Visit, error: Exception) -> str | None:
    """Return what is wrong in the reader's language: the words of other layers are English, names are understood."""
    if isinstance(error, Unreadable) or (isinstance(error, AgentSightException) and visit.texts.language == FALLBACK):
        return str(error)
    told = getattr(error, "response_data", None)
    return visit.texts.t("bad_values", names=", ".join(told)) if isinstance(told, dict) and told else None


def set_cookie(response: Response, name: str, value: str, visit: Visit, *, max_age_s: int | None, hidden: bool) -> None:
    """Set a cookie of this server; an empty value removes it. `hidden` ones are out of reach of scripts."""
    morsel: http_cookies.SimpleCookie = http_cookies.SimpleCookie()
    morsel[name] = value
    morsel[name]["path"] = "/"
    morsel[name]["samesite"] = "Lax"
    if hidden:
        morsel[name]["httponly"] = True
    if visit.is_secure:
        morsel[name]["secure"] = True
    if not value:
        morsel[name]["max-age"] = 0
    elif max_age_s is not None:
        morsel[name]["max-age"] = max_age_s
    response.headers.append("set-cookie", morsel.output(header="").strip())
