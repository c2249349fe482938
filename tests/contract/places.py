"""The three places that keep conversations, behind one set of clients, and what makes their results comparable."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import uvicorn

from agentsight_auto import AgentSightAPI, AsyncAgentSightAPI, ConversationManager, ConversationTracker, _runtime
from agentsight_auto._clock import Clock
from agentsight_auto._runtime import Runtime
from agentsight_auto.server.app import create_app
from agentsight_auto.server.run import listen
from agentsight_auto.server.settings import ServerSettings
from agentsight_auto.store.database import Database
from agentsight_auto.store.keys import create_key
from tests.server.support import ServeProcess

PLACES = ("embedded", "served in this process", "served by another process")
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


class SteadyClock(Clock):
    """A clock that moves one millisecond with each reading, the same in every place."""

    def __init__(self) -> None:
        ticks_ns = itertools.count(step=1_000_000)
        super().__init__(wall_ns=lambda: START_US * 1000, monotonic_ns=lambda: next(ticks_ns))

    def reanchor(self) -> None:
        """Nothing to follow."""


class Server:
    """Our server over a database of its own; every test gets a key of an agent of its own."""

    def __init__(self, address: str, database: Database) -> None:
        self.address = address
        self._database = database
        self._agents = itertools.count(1)

    def new_key(self, role: str = "write", agent: str | None = None) -> str:
        name = agent or f"agent-{next(self._agents)}"
        return create_key(self._database, agent=name, role=role, at_us=START_US)


class Clients(NamedTuple):
    """The documented clients over one place."""

    tracker: ConversationTracker
    api: AgentSightAPI
    manager: ConversationManager
    async_api: AsyncAgentSightAPI


@contextmanager
def serve_in_thread(folder: Path) -> Iterator[Server]:
    """Run the application in this process, on a socket of its own: an ASGI transport exists for async clients only."""
    settings = ServerSettings(db=str(folder / "agentsight.db"), port=0)
    listener = listen(settings)
    app = create_app(settings)
    running = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    database = Database.open(settings.db_path)
    try:
        yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", database)
    finally:
        running.should_exit = True
        thread.join(10)
        listener.close()
        database.close()


@contextmanager
def serve_in_process(folder: Path) -> Iterator[Server]:
    """Run ``agentsight-auto serve`` in a process of its own."""
    path = folder / "agentsight.db"
    with ServeProcess(path, "--quiet") as process:
        database = Database.open(path)
        try:
            yield Server(process.address, database)
        finally:
            database.close()


@contextmanager
def clients_over(home: Path, server: Server | None, key: str | None = None) -> Iterator[Clients]:
    """Give the ready-made clients' twins over the embedded store in `home`, or over the server."""
    remote = {} if server is None else {"endpoint": server.address, "api_key": key or server.new_key()}
    runtime = Runtime(clock=SteadyClock(), home=home, **remote)
    try:
        with _runtime.used_as_default(runtime):
            yield Clients(ConversationTracker(), AgentSightAPI(), ConversationManager(), AsyncAgentSightAPI())
    finally:
        runtime.shutdown(5)


_IDS = frozenset({"id", "conversation", "message", "message_id", "parent_id"})
_MOMENTS_OF_THE_STORE = frozenset({"created_at", "deleted_at"})


def comparable(value: Any, name: str = "") -> Any:
    """Return a result without what each place numbers, dates and addresses for itself."""
    if isinstance(value, dict):
        # feedback counts as the last event, and over HTTP the server dates it
        dated = {"ended_at": "a moment"} if value.get("ended_at") and "conversation_id" in value else {}
        return {key: comparable(item, key) for key, item in value.items()} | dated
    if isinstance(value, list):
        return [comparable(item, name) for item in value]
    if value is None:
        return None
    if name in _IDS and isinstance(value, int):
        return "an id"
    if name in _MOMENTS_OF_THE_STORE:
        return "a moment"
    if name == "file_url":
        return "a URL"
    if name in {"next", "previous"}:
        return sorted(pair for pair in parse_qsl(urlsplit(value).query) if pair[0] not in {"cursor", "full", "count"})
    return value


def missing_from(expected: Any, found: Any, path: str = "") -> list[str]:
    """Return where `found` lacks or changes something of `expected`; a server may tell more than is documented."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            problem
            for key, value in expected.items()
            for problem in (
                missing_from(value, found[key], f"{path}.{key}") if key in found else [f"{path}.{key} is not there"]
            )
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            problem
            for index, (one, other) in enumerate(zip(expected, found, strict=True))
            for problem in missing_from(one, other, f"{path}[{index}]")
        ]
    return [] if expected == found else [f"{path}: {expected!r} became {found!r}"]
