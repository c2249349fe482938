"""The ASGI application: all routes over one store.

In: `ServerSettings`. Out: a Starlette application; its lifespan opens and closes what the requests share.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator
from itertools import groupby

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentsight_auto.server.access_log import Observation
from agentsight_auto.server.dashboard import site
from agentsight_auto.server.errors import no_such_page
from agentsight_auto.server.routing import Endpoint, Operation
from agentsight_auto.server.service import Service
from agentsight_auto.server.settings import ServerSettings

ROUTE_MODULES = (
    "agentsight_auto.server.routes.action_logs",
    "agentsight_auto.server.routes.actions",
    "agentsight_auto.server.routes.attachments",
    "agentsight_auto.server.routes.buttons",
    "agentsight_auto.server.routes.conversation_edits",
    "agentsight_auto.server.routes.conversation_feedbacks",
    "agentsight_auto.server.routes.conversations",
    "agentsight_auto.server.routes.erasures",
    "agentsight_auto.server.routes.events",
    "agentsight_auto.server.routes.feedbacks",
    "agentsight_auto.server.routes.files",
    "agentsight_auto.server.routes.health",
    "agentsight_auto.server.routes.ingest",
    "agentsight_auto.server.routes.insights",
    "agentsight_auto.server.routes.me",
    "agentsight_auto.server.routes.messages",
    "agentsight_auto.server.routes.metadata",
    "agentsight_auto.server.routes.schema",
    "agentsight_auto.server.routes.spans",
    "agentsight_auto.server.routes.token_usage",
    "agentsight_auto.server.routes.track",
)
"""Modules with `ROUTES`, a sequence of operations."""

_WRITE_USES_EVERY_S = 1.0
_TIDY_EVERY_S = 5.0
_EXAMINE_EVERY_S = 1.0


def create_app(settings: ServerSettings, *, local_agent: str | None = None) -> Starlette:
    """Return the application; its dashboard shows a `local_agent` to this machine without a sign-in.

    Raises:
        StoreException: the database cannot be opened.
    """
    service = Service(settings, operations(), local_agent)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_write_uses, service)
            tasks.start_soon(_tidy, service)
            tasks.start_soon(_examine, service)
            yield
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(service.close)

    app = Starlette(
        routes=[*routes_of(service), *site.routes_of(service)], lifespan=lifespan, exception_handlers={404: _not_found}
    )
    app.router.redirect_slashes = False
    app.add_middleware(Observation, observe=service.metrics.observe, now_us=service.clock.now_us)
    app.state.service = service
    return app


def operations() -> list[Operation]:
    """Return all operations of all route modules."""
    modules = (importlib.import_module(name) for name in ROUTE_MODULES)
    return [operation for module in modules for operation in module.ROUTES]


def routes_of(service: Service) -> list[BaseRoute]:
    """Return one route per path; fixed paths come before those with an id in the same place."""
    ordered = sorted(service.operations, key=lambda operation: (operation.path.replace("{", "~"), operation.path))
    by_path = groupby(ordered, key=lambda operation: operation.path)
    return [Route(path, Endpoint(service, list(group))) for path, group in by_path]


async def _not_found(request: Request, error: Exception) -> Response:
    del request, error
    return no_such_page()


async def _examine(service: Service) -> None:
    """Examine once a second what changed, so that whoever asks for numbers finds them made."""
    while True:
        await anyio.sleep(_EXAMINE_EVERY_S)
        with contextlib.suppress(Exception):
            await anyio.to_thread.run_sync(service.examine)


async def _write_uses(service: Service) -> None:
    """Write once a second when keys were last used."""
    while True:
        await anyio.sleep(_WRITE_USES_EVERY_S)
        with contextlib.suppress(Exception):
            await anyio.to_thread.run_sync(service.keys.write_uses)


async def _tidy(service: Service) -> None:
    """Go on with erasures that were interrupted, and erase what has expired."""
    while True:
        with contextlib.suppress(Exception):
            await anyio.to_thread.run_sync(service.tidy)
        await anyio.sleep(_TIDY_EVERY_S)
