"""Celery with a real worker over a broker in files: the conversation travels, a prefork pool delivers everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import agentsight_api, conversation, instrument, uninstrument
from agentsight_auto._runtime import Runtime
from agentsight_auto.testing import Recording
from tests.integrations.web_support import until

celery = pytest.importorskip("celery", reason="pip install agentsight-auto[integrations-test]")

TASKS = 60
CONVERSATIONS = 20
APP = """
import os, pathlib
import agentsight_auto
agentsight_auto.instrument("celery")
from celery import Celery
from agentsight_auto import current_conversation, track_action

here = pathlib.Path(__file__).parent
app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(here / "queue"), "data_folder_out": str(here / "queue"),
        "control_folder": str(here / "control"), "polling_interval": 0.01,
    },
    task_ignore_result=True, worker_hijack_root_logger=False, task_create_missing_queue_type="classic",
)

def done(name):
    (here / "done" / name).touch()

@track_action
def tool(number):
    return number

@app.task
def work(number):
    scope = current_conversation()
    scope.track_agent_message(f"worked {number} in {os.getpid()}")
    tool(number)
    done(f"work-{number}")
    return number

@app.task
def after(number):
    current_conversation().track_agent_message(f"after {number}")
    done(f"after-{number}")

@app.task(bind=True, max_retries=2)
def stubborn(self):
    current_conversation().track_agent_message(f"try {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    done("stubborn")

@app.task
def failing():
    done("failing")
    raise ValueError("of the task")

@app.task
def alone():
    scope = current_conversation()
    done("alone-" + ("none" if scope is None else scope.conversation_id))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(APP)
    for name in ("queue", "control", "done"):
        (tmp_path / name).mkdir()
    return tmp_path


def run_worker(folder: Path, *options: str) -> subprocess.Popen[str]:
    calm = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "CRITICAL"]
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", *calm, *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def send(folder: Path, code: str) -> None:
    """Send tasks from a program of its own."""
    source = "from tasks import *\nfrom agentsight_auto import conversation\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def end(worker: subprocess.Popen[str]) -> None:
    worker.send_signal(signal.SIGTERM)
    errors = worker.communicate(timeout=60)[1]
    assert "agentsight" not in errors


def is_done(folder: Path, *names: str) -> bool:
    return all((folder / "done" / name).exists() for name in names)


def stored() -> dict[str, list[str]]:
    return {
        found["conversation_id"]: [message["content"] for message in found["messages"]]
        for found in agentsight_api.iter_conversations()
    }


@pytest.mark.parametrize(
    "options", [("-P", "prefork", "-c", "2", "--max-tasks-per-child", "7"), ("-P", "threads", "-c", "4")]
)
def test_what_was_sent_is_stored(options: tuple[str, ...], folder: Path, runtime: Runtime) -> None:
    """Every task records in the conversation that sent it, each event once, also from pool processes that end."""
    send(
        folder,
        f"""
        for number in range({TASKS}):
            with conversation(f"c-{{number % {CONVERSATIONS}}}") as chat:
                chat.track_human_message(f"ask {{number}}")
                work.delay(number)
        """,
    )
    worker = run_worker(folder, *options)
    try:
        until(lambda: is_done(folder, *(f"work-{n}" for n in range(TASKS))), "all tasks are done", within_s=60)
    finally:
        end(worker)
    texts: Counter[str] = Counter()
    processes = set()
    for conversation_id, contents in stored().items():
        for content in contents:
            if content.startswith("worked"):
                _, number, _, pid = content.split()
                assert conversation_id == f"c-{int(number) % CONVERSATIONS}"
                processes.add(pid)
                content = f"worked {number}"
            texts[content] += 1
    expected = {f"{word} {number}": 1 for word in ("ask", "worked") for number in range(TASKS)}
    assert texts == Counter({**expected, "Action tool performed": TASKS})
    assert len(processes) >= (TASKS // 7 if "prefork" in options else 1)


def test_chains_retries_failures_and_no_consent(folder: Path, runtime: Runtime) -> None:
    """What a task sends belongs to its conversation; a failure is its outcome; without consent nothing is recorded."""
    send(
        folder,
        """
        from celery import chain
        with conversation("chained"):
            chain(work.s(1), after.s()).delay()
        with conversation("retried"):
            stubborn.delay()
        with conversation("failed"):
            failing.delay()
        with conversation("silent", record=False):
            work.delay(2)
        alone.delay()
        """,
    )
    worker = run_worker(folder, "-P", "prefork", "-c", "1")
    try:
        names = ("work-1", "after-1", "stubborn", "failing", "work-2", "alone-none")
        until(lambda: is_done(folder, *names), "all tasks are done", within_s=60)
    finally:
        end(worker)
    found = stored()
    assert [text.partition(" in ")[0] for text in found["chained"]] == ["worked 1", "Action tool performed", "after 1"]
    assert found["retried"] == ["try 0", "try 1", "try 2"]
    assert set(found) == {"chained", "retried", "failed"}


def test_a_killed_pool_process_loses_nothing_that_left_its_block(folder: Path, runtime: Runtime) -> None:
    """Kill -9 of the worker and its pool after the tasks are done: the next reader finds everything."""
    send(folder, "with conversation('c'):\n    [work.delay(number) for number in range(10)]")
    worker = run_worker(folder, "-P", "prefork", "-c", "2")
    try:
        until(lambda: is_done(folder, *(f"work-{n}" for n in range(10))), "all tasks are done", within_s=60)
        time.sleep(0.5)  # the last task's block is left after it has said that it is done
    finally:
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        for pid in (*children, worker.pid):
            os.kill(int(pid), signal.SIGKILL)
        worker.communicate(timeout=10)
    until(lambda: len(stored().get("c", [])) == 20, "everything is stored", within_s=20)


def app_of(**conf: Any) -> Any:
    app = celery.Celery("here", broker="memory://", set_as_current=False)
    app.conf.update(task_ignore_result=True, **conf)
    return app


def test_an_eager_task_is_in_its_callers_conversation(recorded: Recording) -> None:
    """No message travels; the caller's block is current."""
    app = app_of(task_always_eager=True)
    seen: list[Any] = []

    @app.task
    def work() -> None:
        from agentsight_auto import current_conversation

        scope = current_conversation()
        seen.append(scope and scope.conversation_id)

    instrument("celery")
    try:
        with conversation("c"):
            work.delay()
        work.delay()
    finally:
        uninstrument("celery")
    assert seen == ["c", None]


def test_uninstrument_takes_the_receivers_away(recorded: Recording) -> None:
    """The signals have the receivers that they had, and messages carry no header of ours."""
    from celery import signals

    watched = [signals.before_task_publish, signals.task_prerun, signals.task_postrun, signals.worker_process_shutdown]
    before = [list(one.receivers or ()) for one in watched]
    instrument("celery")
    headers: dict[str, Any] = {}
    with conversation("c"):
        signals.before_task_publish.send(sender="x", headers=headers, body=())
    assert headers["agentsight_conversation"] == {"id": "c", "action_id": None, "record": True}
    uninstrument("celery")
    assert [list(one.receivers or ()) for one in watched] == before


@pytest.mark.parametrize("carried", [None, 7, "text", {}, {"id": 7}, {"id": None}, {"id": " "}])
def test_a_strange_header_does_no_harm(carried: Any, recorded: Recording) -> None:
    """A message of another sender: the task runs."""
    app = app_of()
    ran: list[bool] = []

    @app.task
    def work() -> None:
        ran.append(True)

    instrument("celery")
    try:
        from celery.app.trace import build_tracer

        tracer = build_tracer(work.name, work, app=app)
        tracer("id-1", (), {}, {"id": "id-1", "task": work.name, "agentsight_conversation": carried, "is_eager": False})
    finally:
        uninstrument("celery")
    assert ran == [True]
