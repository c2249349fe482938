"""Child programs that record through the public API, and what others find of them afterwards.

A child acknowledges a text by printing it once recording has returned and the event counts as safe; every text is one
event, so texts stand for event ids in what is found from outside.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.deliver.report import FlushReport
from tests.deliver.support import assert_balanced
from tests.faultserver import KEY, FaultServer

from .accounts import CHILD_BOOKS
from .table import Row

ROOT = Path(__file__).parent.parent.parent

WAYS = ("block left", "outside a block", "older than the interval", "interval 0")
"""The four ways in which an event is acknowledged."""

_DOCTOR = "from agentsight_auto.cli.main import main; raise SystemExit(main())"

RECORD_TEXTS = (
    CHILD_BOOKS
    + '''
import collections, itertools, os, signal, sys, threading, time
from agentsight_auto import conversation, conversation_tracker

def acknowledge(*texts):
    os.write(1, "".join(f"{text}\\n" for text in texts).encode())

def record(way, name, count=10**9, acknowledge=acknowledge):
    """Record `count` texts in one of the four ways, each acknowledged once it is safe."""
    texts = (f"{name}-{number}" for number in range(count))
    if way == "block left":
        while group := list(itertools.islice(texts, 3)):
            with conversation(f"chat {group[0]}") as chat:
                for text in group: chat.track_human_message(text)
            acknowledge(*group)
    elif way == "outside a block":
        conversation_tracker.get_or_create_conversation(f"chat {name}")
        for text in texts:
            conversation_tracker.track_human_message(text)
            acknowledge(text)
    else:
        young = collections.deque()
        chat = conversation(f"chat {name}").__enter__()
        for text in texts:
            chat.track_human_message(text)
            if way == "interval 0":
                acknowledge(text)
                continue
            young.append((time.monotonic(), text))
            while young and time.monotonic() - young[0][0] > 0.4: acknowledge(young.popleft()[1])
            time.sleep(0.0005)
        while young:
            time.sleep(max(young[0][0] + 0.4 - time.monotonic(), 0))
            acknowledge(young.popleft()[1])
'''
)


def environment(home: Path, *, server: FaultServer | None = None, way: str = "", **more: str) -> dict[str, str]:
    """Return the environment of a child that records into `home`, or over HTTP to a server."""
    found = {**os.environ, "AGENTSIGHT_HOME": str(home), "PYTHONPATH": str(ROOT), **more}
    if way == "interval 0":
        found["AGENTSIGHT_JOURNAL_INTERVAL_MS"] = "0"
    if server is not None:
        found |= {"AGENTSIGHT_API_KEY": KEY, "AGENTSIGHT_API_ENDPOINT": server.url}
    return found


def start(
    home: Path,
    program: str,
    *arguments: str,
    server: FaultServer | None = None,
    way: str = "",
    is_fed: bool = False,
    python: str = sys.executable,
    **more: str,
) -> subprocess.Popen[str]:
    """Start a child with `record` and `acknowledge` at hand; warnings are errors in it."""
    return subprocess.Popen(
        [python, "-X", "dev", "-W", "error", "-c", RECORD_TEXTS + textwrap.dedent(program), *arguments],
        cwd=ROOT,
        env=environment(home, server=server, way=way, **more),
        stdin=subprocess.PIPE if is_fed else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, program: str, *arguments: str, timeout_s: float = 60, **options: Any) -> Ended:
    """Run a child to its end."""
    with start(home, program, *arguments, **options) as child:
        try:
            out, err = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return Ended(child.returncode, out, err)


class Ended:
    """How a child ended, and what it acknowledged: its lines that hold one word."""

    def __init__(self, returncode: int, out: str, err: str) -> None:
        self.returncode = returncode
        self.out = out
        self.err = err
        self.acknowledged = complete_lines(out)


def complete_lines(out: str) -> list[str]:
    """Return what was acknowledged; a last line without its end was not."""
    return [line for line in out.split("\n")[:-1] if line]


def kill_after(child: subprocess.Popen[str], first_then_s: float) -> list[str]:
    """Kill -9 a child so many seconds after its first acknowledgement; return all of them."""
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(first_then_s)
    child.kill()
    rest = child.stdout.read()
    assert child.stderr is not None
    child.stderr.close()
    child.stdout.close()
    child.wait(10)
    return complete_lines(first + rest)


def deliver_what_waits(home: Path, *, server: FaultServer | None = None, timeout_s: float = 60) -> FlushReport:
    """Do what the next process does: adopt and deliver; whatever it does must balance."""
    options = {"api_key": KEY, "endpoint": server.url} if server is not None else {}
    runtime = Runtime(home=home, **options)
    try:
        deadline = time.monotonic() + timeout_s
        report = runtime.flush(min(timeout_s, 20))
        while runtime.pipeline.waiting().events and time.monotonic() < deadline:
            report = runtime.flush(5)
        assert_balanced(report)
        assert runtime.pipeline.waiting().events == report.pending
    finally:
        runtime.shutdown(2)
    return report


@contextmanager
def recording_to(home: Path, *, server: FaultServer | None = None, **settings: Any) -> Iterator[Runtime]:
    """Record in this process, into `home` or to a server; whatever happened must balance at the end."""
    options = {"api_key": KEY, "endpoint": server.url} if server is not None else {}
    runtime = Runtime(home=home, **options, **settings)
    try:
        with used_as_default(runtime):
            yield runtime
    finally:
        report = runtime.shutdown(2)
    assert_balanced(report)


@contextmanager
def opened(home: Path) -> Iterator[sqlite3.Connection]:
    """Open the embedded store beside the library, to look at it."""
    with closing(sqlite3.connect(home / "agentsight.db")) as connection:
        yield connection


def stored_texts(home: Path) -> Counter[str]:
    """Count the messages in the embedded store by text; nothing where there is no store yet."""
    if not (home / "agentsight.db").exists():
        return Counter()
    with opened(home) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchall():
            return Counter()
        return Counter(text for (text,) in connection.execute("SELECT content FROM messages WHERE kind = 'message'"))


def served_texts(server: FaultServer) -> Counter[str]:
    """Count the messages that a fault server has stored by text."""
    return Counter(event["content"] for event in server.events.values() if event["kind"] == "message")


def is_intact(home: Path) -> bool:
    """Ask SQLite whether the store's file is whole."""
    with opened(home) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


def doctor(home: Path) -> dict[str, Any]:
    """Return what `agentsight-auto doctor` says of a home; it must answer, whatever lies there."""
    done = subprocess.run(
        [sys.executable, "-c", _DOCTOR, "doctor", "--json", "--home", str(home)],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode in {0, 1}
    return found


def judge(row: Row, acknowledged: Iterable[str], found: Counter[str]) -> None:
    """Note how many acknowledged texts were lost and how many of all were stored twice."""
    wanted = set(acknowledged)
    lost = wanted - found.keys()
    doubled = sum(times - 1 for times in found.values())
    row.figure("lost", asked="0", reached=f"{len(lost)} of {len(wanted)}", holds=not lost and bool(wanted))
    row.figure("stored twice", asked="0", reached=doubled, holds=doubled == 0)
