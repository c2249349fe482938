"""A server for tests: the real application over a real store, asked in this process or over a real socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette

from agentsight_auto.server.app import create_app
from agentsight_auto.server.service import Service
from agentsight_auto.server.settings import ServerSettings
from agentsight_auto.store.keys import create_key

ROOT = Path(__file__).parent.parent.parent
BASE = "http://testserver"


class Client:
    """One key's view of the application, synchronous."""

    def __init__(self, served: Served, key: str | None) -> None:
        self._served = served
        self.key = key

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = [("Authorization", f"Api-Key {self.key}")] if self.key else []
        headers += list(dict(options.pop("headers", {})).items())
        return self._served.send(method, path, headers=headers, **options)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.request("GET", path, params=params or None)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", path, json=body, **options)

    def patch(self, path: str, body: Any) -> httpx.Response:
        return self.request("PATCH", path, json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)

    def open(self, conversation_id: str, **fields: Any) -> int:
        """Make a conversation and return its integer id."""
        answer = self.post("/api/conversations/", {"conversation_id": conversation_id, **fields})
        assert answer.status_code in {200, 201}, answer.text
        return int(answer.json()["id"])

    def say(self, conversation_id: str, content: str = "hello", **fields: Any) -> int:
        """Record a message and return its integer id."""
        told = {"content": content, "sender": "end_user", "conversation_id": conversation_id, **fields}
        answer = self.post("/api/track/", told)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def listed(self, **filters: Any) -> list[str]:
        """Return the text ids that a list shows, in its order."""
        answer = self.get("/api/conversations/", page_size=100, **filters)
        assert answer.status_code == 200, answer.text
        assert answer.json()["count"] == len(answer.json()["results"])
        return [row["conversation_id"] for row in answer.json()["results"]]


class Served:
    """The application with its lifespan, in an event loop of its own."""

    def __init__(self, folder: Path, *, local_agent: str | None = None, **settings: Any) -> None:
        self.settings = ServerSettings(db=str(folder / "agentsight.db"), **settings)
        self.app: Starlette = create_app(self.settings, local_agent=local_agent)
        self.service: Service = self.app.state.service
        self._stack = ExitStack()

    def __enter__(self) -> Served:  # noqa: PYI034 - Self is not in Python 3.10
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._stack.enter_context(self._portal.wrap_async_context_manager(self.app.router.lifespan_context(self.app)))
        transport = httpx.ASGITransport(self.app)
        jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # it keeps none: who asks has cookies, or has not
        self._client = httpx.AsyncClient(transport=transport, base_url=BASE, cookies=jar)
        return self

    def __exit__(self, *_: object) -> None:
        self._portal.call(self._client.aclose)
        self._stack.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.request(method, path, **options))

    def key(self, agent: str = "shop", role: str = "write", *, expires_at_us: int | None = None) -> str:
        at_us = 1_700_000_000_000_000
        return create_key(self.service.database, agent=agent, role=role, at_us=at_us, expires_at_us=expires_at_us)

    def client(self, agent: str = "shop", role: str = "write") -> Client:
        return Client(self, self.key(agent, role))

    def stranger(self) -> Client:
        return Client(self, None)


class ServeProcess(AbstractContextManager["ServeProcess"]):
    """``agentsight-auto serve`` in a process of its own, on a port that was free."""

    def __init__(self, db: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "agentsight_auto", "serve", "--port", "0", "--db", str(db), "--json"]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, problems = self.process.communicate(timeout=20)
            raise AssertionError(f"the server did not start: {problems}")
        self.told: dict[str, Any] = json.loads(line)
        self.address: str = self.told["address"]
        self.key: str | None = self.told["api_key"]

    def client(self, key: str | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.address, headers={"Authorization": f"Api-Key {key or self.key}"}, timeout=30, trust_env=False
        )

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal the process; return its exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, problems = self.process.communicate(timeout=20)
        return self.process.returncode, problems

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=20)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def until(condition: Any, within_s: float = 20.0) -> Any:
    """Return what `condition` gives once it is true."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found
