"""From a request to an answer: key, role, limits, body, and then the route's function on a worker thread.

In: an ASGI request for one path. Out: a response; every error is one of the documented bodies.
A route is an `Operation`; its function gets a `Call` and may block.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.datastructures import FormData, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentsight_auto.query.served import ServedBackend
from agentsight_auto.server import errors
from agentsight_auto.server.auth import read_key, refused
from agentsight_auto.server.bodies import Received, limited, parse_json, receive_body, storable
from agentsight_auto.server.service import Service
from agentsight_auto.store.keys import Agent

T = TypeVar("T")

_PLACE = re.compile(r"(.*) - at `\$\.?([^.`\[]*).*`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`$")
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Parameter:
    """A query parameter, for the OpenAPI document: its name, what it is, and its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    `role` None needs no key. `body` is the type of the JSON body (None: no body is read), `limit` the setting that
    bounds it; with `takes_form` it may be multipart too, with `takes_bytes` it is bytes of any kind. `answers` are the
    types of the successful answers by status, for the OpenAPI document; `refusals` the further statuses to expect.
    """

    method: str
    path: str
    handler: Callable[[Call], Response]
    summary: str
    role: str | None = "read"
    body: Any = None
    limit: str = "body_bytes"
    takes_form: bool = False
    takes_bytes: bool = False
    query: Sequence[Parameter] = ()
    answers: Mapping[int, Any] = field(default_factory=lambda: {200: dict[str, Any]})
    refusals: Sequence[int] = ()
    bad_key_status: int = 401
    tag: str = ""

    @property
    def reads_body(self) -> bool:
        """Whether the request's body is of interest."""
        return self.body is not None or self.takes_form or self.takes_bytes


@dataclass
class Call:
    """One request on its way through a route's function."""

    service: Service
    operation: Operation
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    address: str
    """Scheme and host under which the client reached the server."""
    client_host: str | None = None
    known_agent: Agent | None = None
    body: bytes = b""
    upload: Received | None = None
    """What a route with `takes_bytes` was sent."""
    form: FormData | None = None

    @property
    def agent(self) -> Agent:
        """Whose key it is; only in routes with a role."""
        if self.known_agent is None:
            raise refused(errors.NO_CREDENTIALS)
        return self.known_agent

    @cached_property
    def backend(self) -> ServedBackend:
        """The store, as the key's agent sees it."""
        return self.service.backend(self.agent, self.address)

    def filters(self, *left_out: str) -> dict[str, str]:
        """Return the query parameters, the last of those given twice; text that cannot be stored is made storable."""
        return {storable(name): storable(value) for name, value in self.query.items() if name not in left_out}

    def id(self, name: str = "id") -> int:
        """Return an integer id from the path.

        Raises:
            ApiError: 404 for what is no id of 64 bits.
        """
        number = parse_id(self.path[name])
        if number is None:
            raise errors.not_found()
        return number

    @cached_property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body, with text that can be stored; an empty body is an empty object.

        Raises:
            ApiError: 400 for anything else.
        """
        document = parse_json(self.body, self.service.settings.json_depth) if self.body.strip() else {}
        if not isinstance(document, dict):
            kind = "null" if document is None else type(document).__name__
            raise errors.field_error(errors.NON_FIELD_ERRORS, f"Invalid data. Expected a dictionary, but got {kind}.")
        return document

    def read(self, kind: type[T]) -> T:
        """Return the body as this msgspec type; fields that it does not know are ignored.

        Raises:
            ApiError: 400 with the field that does not fit.
        """
        return convert(self.document, kind)


def convert(document: Any, kind: type[T]) -> T:
    """Return plain values as this msgspec type.

    Raises:
        ApiError: 400 with the field that does not fit.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        message = str(error)
    place = _PLACE.match(message)
    reason, name = (place[1], place[2]) if place else (message, "")
    missing = _MISSING.match(reason)
    if missing:
        raise errors.required(name or missing[1])
    raise errors.field_error(name or errors.NON_FIELD_ERRORS, f"{reason}.")


def parse_id(value: object) -> int | None:
    """Return a positive integer of 64 bits, from an int or its digits; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ID:
        return value
    return None


class Endpoint:
    """The ASGI application of one path."""

    def __init__(self, service: Service, operations: Sequence[Operation]) -> None:
        self._service = service
        self._operations = {operation.method: operation for operation in operations}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]
        self.path = operations[0].path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        seen = scope.get("state", {}).get("seen")
        if seen is not None:
            seen.route = self.path
        try:
            response = await self._answer(Request(scope, receive), seen)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets one of the documented bodies
            response = errors.error_response(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request, seen: Any) -> Response:
        operation = self._operations.get(request.method)
        some = operation or next(iter(self._operations.values()))
        agent = None if some.role is None else await self._agent(request, some)
        if seen is not None and agent is not None:
            seen.agent = agent.name
        if operation is None:
            raise errors.method_not_allowed(request.method, sorted(self._operations))
        if agent is not None:
            if operation.role == "write" and agent.role != "write":
                raise errors.detail_error(403, errors.FORBIDDEN)
            wait_s = self._service.throttle.wait_s(agent.key_id)
            if wait_s:
                raise errors.throttled(wait_s)
        call = Call(
            service=self._service,
            operation=operation,
            path=request.path_params,
            query=request.query_params,
            headers=request.headers,
            address=self._service.settings.public_address or str(request.base_url).rstrip("/"),
            client_host=None if request.client is None else request.client.host,
            known_agent=agent,
        )
        return await self._run(request, call)

    async def _agent(self, request: Request, operation: Operation) -> Agent:
        key = read_key(request.headers, operation.bad_key_status)
        agent = self._service.keys.known(key)
        if agent is None:
            agent = await anyio.to_thread.run_sync(self._service.keys.recognise, key)
        if agent is None:
            raise refused(errors.BAD_KEY, operation.bad_key_status)
        return agent

    async def _run(self, request: Request, call: Call) -> Response:
        operation, settings = call.operation, self._service.settings
        limit_bytes: int = getattr(settings, operation.limit)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if operation.takes_form and media_type == "multipart/form-data":
            call.form = await self._read_form(request, limit_bytes)
        elif operation.reads_body:
            call.upload = await receive_body(request, limit_bytes, settings.read_timeout_s)
        limiter = self._service.writers if operation.role == "write" else None
        waits = call.upload is not None and call.upload.is_large and not operation.takes_bytes
        try:
            async with self._service.large_bodies if waits else contextlib.nullcontext():
                return await anyio.to_thread.run_sync(_handled, call, limit_bytes, limiter=limiter)
        finally:
            if call.upload is not None:
                call.upload.close()
            if call.form is not None:
                await call.form.close()

    async def _read_form(self, request: Request, limit_bytes: int) -> FormData:
        settings = self._service.settings
        bounded = Request(request.scope, limited(request, limit_bytes))
        try:
            with anyio.fail_after(settings.read_timeout_s):
                return await bounded.form(
                    max_files=settings.attachments_per_request + 1, max_fields=50, max_part_size=settings.body_bytes
                )
        except TimeoutError as error:
            raise errors.detail_error(408, "The body did not arrive in time.", {"Connection": "close"}) from error
        except HTTPException as error:
            raise errors.view_error(400, f"Multipart form parse error - {storable(error.detail)[:200]}") from error
        except (ValueError, LookupError) as error:  # python-multipart's own errors, which older Starlettes let through
            raise errors.view_error(400, "Multipart form parse error - the form cannot be read.") from error


def _handled(call: Call, limit_bytes: int) -> Response:
    """Read the body, on the worker thread: a large or compressed one takes time."""
    if call.upload is not None and (call.upload.is_compressed or not call.operation.takes_bytes):
        call.body = call.upload.content(limit_bytes)
    return call.operation.handler(call)
