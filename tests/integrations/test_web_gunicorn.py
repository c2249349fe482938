"""Gunicorn as it is deployed: every kind of worker, with and without --preload, and a kill. Sent equals stored."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from agentsight_auto import agentsight_api
from agentsight_auto._runtime import Runtime
from tests.integrations.web_support import until

pytest.importorskip("gunicorn", reason="pip install agentsight-auto[integrations-test]")

REQUESTS = 60
CONVERSATIONS = 20
APP = """
import os
from agentsight_auto import conversation, current_conversation, flush, track_action

with conversation("at-import") as chat:  # with --preload: recorded, and the worker thread started, before the fork
    chat.track_human_message("loaded")
flush(30)  # a fork waits half a second for a transaction; a busy machine may need longer for the first one

@track_action
def tool(number):
    return number

def turn(number):
    scope = current_conversation()
    scope.track_human_message(f"question {number}")
    tool(number)
    scope.track_agent_message(f"answer {number}")

def wsgi(environ, start_response):
    number = environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    def body():
        turn(number)
        yield str(os.getpid()).encode()
    return body()

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    turn(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

from agentsight_auto.integrations.asgi import ConversationMiddleware as OverAsgi
from agentsight_auto.integrations.wsgi import ConversationMiddleware as OverWsgi
asgi, wsgi = OverAsgi(asgi), OverWsgi(wsgi)
"""
WORKERS = {
    "sync": ["-k", "sync", "app:wsgi"],
    "gthread": ["-k", "gthread", "--threads", "4", "app:wsgi"],
    "uvicorn": ["-k", "uvicorn_worker.UvicornWorker", "app:asgi"],
    "gevent": ["-k", "gevent", "app:wsgi"],
}
NEEDED = {"uvicorn": "uvicorn_worker", "gevent": "gevent"}


@contextlib.contextmanager
def gunicorn(kind: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Run gunicorn with two workers on a unix socket, in a process group of its own."""
    folder = Path(tempfile.mkdtemp(prefix="as-"))
    (folder / "app.py").write_text(APP)
    bind = ["--bind", f"unix:{folder / 's'}", "--workers", "2", "--log-level", "error", "--graceful-timeout", "10"]
    command = [sys.executable, "-m", "gunicorn", *bind, *options, *WORKERS[kind]]
    process = subprocess.Popen(command, cwd=folder, start_new_session=True, stderr=subprocess.PIPE)
    try:
        client = httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "s"), retries=0), base_url="http://here")
        until(lambda: _listens(folder / "s"), "gunicorn listens", within_s=30)
        with client:
            yield process, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)
        shutil.rmtree(folder)


def _listens(path: Path) -> bool:
    """Tell whether the socket is there and takes connections: between the two gunicorn refuses them."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(str(path)) == 0


def send(client: httpx.Client) -> Counter[str]:
    """Send all requests, eight at a time; return how many each worker process answered."""

    def one(number: int) -> str:
        headers = {"X-Conversation-Id": f"c-{number % CONVERSATIONS}", "Connection": "close"}
        response = client.get(f"/?{number}", headers=headers, timeout=30)
        assert response.status_code == 200
        return response.text

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(one, range(REQUESTS)))


def stored() -> tuple[Counter[str], set[str]]:
    """Return the contents stored of the requests' conversations by kind, and the conversations' ids."""
    kinds: Counter[str] = Counter()
    ids = set()
    for found in agentsight_api.iter_conversations():
        if found["conversation_id"] != "at-import":
            ids.add(found["conversation_id"])
            kinds.update(message["content"] for message in found["messages"])
    return kinds, ids


def loads() -> int:
    """Return how often the application was loaded: each time records one message."""
    found = list(agentsight_api.iter_conversations(conversation_id="at-import"))
    return sum(len(conversation["messages"]) for conversation in found)


def expected() -> Counter[str]:
    texts = [f"{word} {number}" for word in ("question", "answer") for number in range(REQUESTS)]
    return Counter({**dict.fromkeys(texts, 1), "Action tool performed": REQUESTS})


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "plain"])
@pytest.mark.parametrize("kind", WORKERS)
def test_what_was_sent_is_stored(kind: str, preload: bool, runtime: Runtime) -> None:
    """Each event once, in its conversation, after a graceful end of all workers."""
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind], reason="pip install agentsight-auto[integrations-test]")
    with gunicorn(kind, *(["--preload"] if preload else [])) as (process, client):
        until(lambda: loads() == (1 if preload else 2), "every worker has loaded the application", within_s=30)
        answered = send(client)
        assert sum(answered.values()) == REQUESTS
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert b"agentsight" not in process.stderr.read()
    texts, ids = stored()
    assert texts == expected()
    assert ids == {f"c-{number}" for number in range(CONVERSATIONS)}
    assert loads() == (1 if preload else 2)


def test_what_was_answered_survives_a_kill_of_all_workers(runtime: Runtime) -> None:
    """Kill -9 of the master and its workers: what left its block is found by the next reader."""
    with gunicorn("gthread", "--preload") as (process, client):
        send(client)
        time.sleep(0.5)  # the response is out before its block is left; the journal interval is 0.25 s
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    until(lambda: stored()[0] == expected(), "everything is stored")
