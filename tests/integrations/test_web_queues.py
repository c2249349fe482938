"""RQ and Dramatiq with real workers over a real Redis: the conversation travels, workers deliver everything."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import agentsight_api, conversation
from agentsight_auto._runtime import Runtime
from agentsight_auto.testing import Recording
from tests.integrations.web_support import until

pytestmark = [
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed: apt-get install"),
    pytest.mark.filterwarnings("ignore"),
]
TASKS = 40
CONVERSATIONS = 10
COMMON = """
import pathlib
import agentsight_auto
agentsight_auto.instrument("{name}")
import redis
from agentsight_auto import conversation, current_conversation, track_action

here = pathlib.Path(__file__).parent
URL = "unix://{socket}"

def done(name):
    (here / "done" / name).touch()

@track_action
def tool(number):
    return number
"""
RQ = """
import rq
from rq import Queue, Retry, SimpleWorker, Worker

queue = Queue(connection=redis.Redis.from_url(URL))

def work(number):
    scope = current_conversation()
    scope.track_agent_message(f"worked {number}")
    tool(number)
    done(f"work-{number}")

async def later(number):
    current_conversation().track_agent_message(f"later {number}")
    done(f"later-{number}")

def nested():
    queue.enqueue(work, 7)
    current_conversation().track_agent_message("nested")

def stubborn():
    tries = len(list((here / "done").glob("try-*")))
    current_conversation().track_agent_message(f"try {tries}")
    done(f"try-{tries}")
    if tries < 2:
        raise ValueError("not yet")

def alone():
    scope = current_conversation()
    done("alone-" + ("none" if scope is None else scope.conversation_id))
"""
RQ_WORKER = """
import logging, sys
from tasks import Worker, SimpleWorker, queue
logging.disable(logging.CRITICAL)
{kind}([queue], connection=queue.connection).work(with_scheduler=False)
"""
DRAMATIQ = """
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO

broker = RedisBroker(url=URL)
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)

@dramatiq.actor
def work(number):
    scope = current_conversation()
    scope.track_agent_message(f"worked {number}")
    tool(number)
    done(f"work-{number}")

@dramatiq.actor
async def later(number):
    current_conversation().track_agent_message(f"later {number}")
    done(f"later-{number}")

@dramatiq.actor
def nested():
    work.send(7)
    current_conversation().track_agent_message("nested")

@dramatiq.actor(max_retries=2, min_backoff=1, max_backoff=1)
def stubborn():
    tries = len(list((here / "done").glob("try-*")))
    current_conversation().track_agent_message(f"try {tries}")
    done(f"try-{tries}")
    if tries < 2:
        raise ValueError("not yet")

@dramatiq.actor
def alone():
    scope = current_conversation()
    done("alone-" + ("none" if scope is None else scope.conversation_id))
"""


@pytest.fixture
def redis_socket() -> Iterator[str]:
    """A Redis of this test alone, on a unix socket; the path of one is short."""
    folder = Path(tempfile.mkdtemp(prefix="as-"))
    options = ["--port", "0", "--unixsocket", str(folder / "s"), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until((folder / "s").exists, "redis listens")
        yield str(folder / "s")
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder)


@pytest.fixture(params=["rq", "rq in one process", "dramatiq"])
def folder(request: Any, tmp_path: Path, redis_socket: str) -> Path:
    """A folder with the tasks and the worker of one library."""
    name = request.param.split()[0]
    pytest.importorskip(name, reason="pip install agentsight-auto[integrations-test]")
    (tmp_path / "done").mkdir()
    tasks = COMMON.format(name=name, socket=redis_socket) + {"rq": RQ, "dramatiq": DRAMATIQ}[name]
    (tmp_path / "tasks.py").write_text(tasks)
    (tmp_path / "worker.py").write_text(RQ_WORKER.format(kind="Worker" if request.param == "rq" else "SimpleWorker"))
    (tmp_path / name).touch()
    return tmp_path


def library(folder: Path) -> str:
    return "rq" if (folder / "rq").exists() else "dramatiq"


@contextlib.contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a worker: with two processes, where the library has a pool."""
    pool = ["-m", "dramatiq", "tasks", "--processes", "2", "--threads", "4"]
    command = [sys.executable, *(["worker.py"] if library(folder) == "rq" else pool)]
    worker = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield worker
        worker.send_signal(signal.SIGTERM)
        errors = worker.communicate(timeout=60)[1]
        assert "agentsight-auto:" not in errors  # so begins what we warn of
    finally:
        worker.kill()
        worker.communicate(timeout=10)


def send(folder: Path, code: str) -> None:
    """Send tasks from a program of its own."""
    source = "from tasks import *\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def is_done(folder: Path, *names: str) -> bool:
    return all((folder / "done" / name).exists() for name in names)


def stored() -> dict[str, list[str]]:
    return {
        found["conversation_id"]: [message["content"] for message in found["messages"]]
        for found in agentsight_api.iter_conversations()
    }


def test_what_was_sent_is_stored(folder: Path, runtime: Runtime) -> None:
    """Every task records in the conversation that sent it, each event once, from every process of the worker."""
    call = "queue.enqueue(work, number)" if library(folder) == "rq" else "work.send(number)"
    send(
        folder,
        f"""
        for number in range({TASKS}):
            with conversation(f"c-{{number % {CONVERSATIONS}}}") as chat:
                chat.track_human_message(f"ask {{number}}")
                {call}
        """,
    )
    with working(folder):
        until(lambda: is_done(folder, *(f"work-{n}" for n in range(TASKS))), "all tasks are done", within_s=60)
    until(lambda: sum(map(len, stored().values())) == 3 * TASKS, "everything is stored", within_s=20)
    texts: Counter[str] = Counter()
    for conversation_id, contents in stored().items():
        for content in contents:
            if content.startswith("worked"):
                assert conversation_id == f"c-{int(content.split()[1]) % CONVERSATIONS}"
            texts[content] += 1
    expected = {f"{word} {number}": 1 for word in ("ask", "worked") for number in range(TASKS)}
    assert texts == Counter({**expected, "Action tool performed": TASKS})


def test_tasks_of_tasks_retries_coroutines_and_no_consent(folder: Path, runtime: Runtime) -> None:
    """What a task sends belongs to its conversation, a retry to that of the first try; without consent to none."""
    is_rq = library(folder) == "rq"
    send(
        folder,
        f"""
        with conversation("nested"):
            {"queue.enqueue(nested)" if is_rq else "nested.send()"}
        with conversation("retried"):
            {"queue.enqueue(stubborn, retry=Retry(max=2))" if is_rq else "stubborn.send()"}
        with conversation("coroutine"):
            {"queue.enqueue(later, 1)" if is_rq else "later.send(1)"}
        with conversation("silent", record=False):
            {"queue.enqueue(work, 2)" if is_rq else "work.send(2)"}
        {"queue.enqueue(alone)" if is_rq else "alone.send()"}
        """,
    )
    with working(folder):
        names = ("work-7", "try-2", "later-1", "work-2", "alone-none")
        until(lambda: is_done(folder, *names), "all tasks are done", within_s=60)
    until(lambda: len(stored().get("retried", [])) == 3, "everything is stored", within_s=20)
    found = stored()
    assert sorted(found["nested"]) == ["Action tool performed", "nested", "worked 7"]
    assert found["retried"] == ["try 0", "try 1", "try 2"]
    assert found["coroutine"] == ["later 1"]
    assert set(found) == {"nested", "retried", "coroutine"}


def test_uninstrument_restores_the_classes(recorded: Recording) -> None:
    """What makes, performs and tells of tasks is the libraries' own; nothing of ours travels."""
    dramatiq, jobs = pytest.importorskip("dramatiq"), pytest.importorskip("rq.job")
    workers = pytest.importorskip("rq.worker")
    from dramatiq.brokers.stub import StubBroker

    owners = [(jobs.Job, "create"), (jobs.Job, "perform"), (dramatiq.Broker, "emit_before")]
    owners += [(dramatiq.Broker, "emit_after")]
    before = [vars(owner)[name] for owner, name in owners]
    agentsight_auto.instrument("rq", "dramatiq")
    assert all(vars(owner)[name] is not was for (owner, name), was in zip(owners, before, strict=True))
    agentsight_auto.uninstrument("dramatiq", "rq")
    assert [vars(owner)[name] for owner, name in owners] == before
    assert type(workers.Worker.perform_job).__name__ == "function"
    broker = StubBroker()
    broker.declare_queue("default")

    @dramatiq.actor(broker=broker)
    def work() -> None:
        """Do nothing."""

    with conversation("c"):
        assert work.send().options == {}


@pytest.mark.parametrize("carried", [None, 7, "text", {}, {"id": 7}, {"id": " "}])
def test_strange_data_in_a_message_does_no_harm(carried: Any, recorded: Recording) -> None:
    """A message of another sender: the task runs."""
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.stub import StubBroker

    agentsight_auto.instrument("dramatiq")
    broker = StubBroker()
    ran: list[bool] = []

    @dramatiq.actor(broker=broker)
    def work() -> None:
        ran.append(True)

    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    try:
        work.send_with_options(agentsight_conversation=carried)
        broker.join("default", timeout=10_000)
        worker.join()
    finally:
        worker.stop()
    assert ran == [True]
