"""Run the server: listen, open the store, serve until a signal comes.

In: settings. Out: a process that answers. Loses: requests that are still unanswered `shutdown_timeout_s` after SIGTERM.
"""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys

import uvicorn
from starlette.applications import Starlette

from agentsight_auto.server.access_log import logger as access_logger
from agentsight_auto.server.app import create_app
from agentsight_auto.server.errors import logger as error_logger
from agentsight_auto.server.service import Service
from agentsight_auto.server.settings import ServerSettings
from agentsight_auto.store.keys import create_first_key

_BACKLOG = 2048
_KEEP_ALIVE_S = 30
_MOST_CONNECTIONS = 1000


def listen(settings: ServerSettings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises:
        OSError: the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    # Connections inherit it. asyncio sets it only on sockets that it has opened; without it each answer on a kept
    # connection waits 40 ms for the other side's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(settings: ServerSettings, listener: socket.socket) -> str:
    """Return the address to give to clients."""
    if settings.public_address is not None:
        return settings.public_address
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - what was asked for
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_app(settings: ServerSettings, *, local_agent: str | None = None) -> Starlette:
    """Return the application over an opened store; see `create_app`.

    Raises:
        StoreException: the database cannot be opened.
    """
    return create_app(settings, local_agent=local_agent)


def first_key(app: Starlette, *, agent: str) -> str | None:
    """Return a new write key if the store has none yet."""
    service: Service = app.state.service
    return create_first_key(service.database, agent=agent, at_us=service.clock.now_us())


class Server(uvicorn.Server):
    """The server; `is_interrupted` tells that it was Ctrl-C that ended it."""

    is_interrupted = False


def make_server(app: Starlette, settings: ServerSettings, *, log_requests: bool) -> Server:
    """Return the server, which SIGTERM and Ctrl-C end from now on, also before it has begun."""
    _log_to_stderr(log_requests=log_requests)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
        limit_concurrency=_MOST_CONNECTIONS,
        lifespan="on",
    )
    server = Server(config)

    def end(number: int, _: object) -> None:
        server.should_exit = True
        server.is_interrupted |= number == signal.SIGINT

    # uvicorn takes its place while it runs, and raises the signal again afterwards. An exception, as Python answers
    # Ctrl-C with, would be lost where it is raised in a finalizer.
    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
    return server


def serve(server: Server, listener: socket.socket) -> None:
    """Answer until a signal comes.

    What is loaded by then lives as long as the process does: Python's collector is told not to look through it again,
    which takes longer than a request.

    Raises:
        KeyboardInterrupt: it was Ctrl-C; everything has been ended.
    """
    server.config.load()
    gc.collect()
    gc.freeze()
    server.run(sockets=[listener])
    if server.is_interrupted:
        raise KeyboardInterrupt


def _log_to_stderr(*, log_requests: bool) -> None:
    """Write one line of JSON per request, and what goes wrong, to stderr."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(message)s"))
    access_logger.addHandler(lines)
    access_logger.propagate = False
    access_logger.setLevel(logging.INFO if log_requests else logging.WARNING)
    problems = logging.StreamHandler(sys.stderr)
    problems.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in (error_logger.name, "uvicorn.error"):
        logging.getLogger(name).addHandler(problems)
        logging.getLogger(name).propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
