"""Events, destinations and child programs for the tests of the stage `deliver`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from agentsight_auto._clock import Clock
from agentsight_auto._ids import IdSource
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.memory import MemoryDestination
from agentsight_auto.deliver.pipeline import FlushReport
from agentsight_auto.events import Answer, AnyEvent, Message, decode_event, encode_event

clock = Clock()
ids = IdSource()


_latest_us = 0


def make_line(content: str = "hello", conversation_id: str = "chat-1") -> bytes:
    """Return the line of a new message event, of a moment of its own: by that a server without event ids tells them."""
    global _latest_us
    at_us = _latest_us = max(clock.now_us(), _latest_us + 1)
    return encode_event(Message(ids.next(at_us), conversation_id, at_us, "agent", content))


def make_lines(count: int, content: str = "hello") -> list[bytes]:
    """Return the lines of new message events."""
    return [make_line(content) for _ in range(count)]


def id_of(line: bytes) -> str:
    """Return the id of the event on this line."""
    return decode_event(line).id


def ids_of(lines: Iterable[bytes]) -> list[str]:
    """Return the ids of the events on these lines."""
    return [id_of(line) for line in lines]


def eventually(condition: Callable[[], object], timeout_s: float = 15.0) -> bool:
    """Wait until the condition holds; False if it does not within the time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        pause.wait(0.005)
    return bool(condition())


def assert_balanced(report: FlushReport) -> None:
    """Check that every captured event is accounted for."""
    settled = report.delivered + report.pending + sum(report.rejected.values()) + sum(report.lost.values())
    assert report.captured == settled
    assert report.pending >= 0


class FickleDestination(MemoryDestination):
    """A memory destination that can fail, hang, stay silent about events and reject them."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.rejects: Callable[[AnyEvent], str | None] = lambda event: None
        self.stumbles_over: Callable[[AnyEvent], bool] = lambda event: False
        self.silent_about: Callable[[AnyEvent], bool] = lambda event: False
        self.attempts_at: list[float] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.closed = 0
        self.arrivals: list[str] = []

    @property
    def ids(self) -> list[str]:
        """Return the ids of what arrived, in order, repeats included."""
        return list(self.arrivals)

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Take the batch, or do what the test asked for."""
        self.attempts_at.append(time.monotonic())
        self.is_open.wait(30)
        if self.error is not None:
            raise self.error
        for event in batch:
            if self.stumbles_over(event):
                raise OverflowError("too large for a column")
        answers = []
        for event in batch:
            reason = self.rejects(event)
            if reason is not None:
                answers.append(Answer(event.id, "rejected", reason))
            elif not self.silent_about(event):
                self.arrivals.append(event.id)
                answers += super().deliver([event])
        return answers

    def close(self) -> None:
        """Count the closings."""
        self.closed += 1


class FileDestination:
    """Write the ids that arrive to a file that several processes share."""

    def __init__(self, path: Path, *, is_failing: bool = False) -> None:
        self.path = path
        self.is_failing = is_failing

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Append the ids in one write."""
        if self.is_failing:
            raise DeliveryError("down")
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, "".join(f"{event.id}\n" for event in batch).encode())
        os.close(fd)
        return [Answer(event.id, "stored") for event in batch]

    def close(self) -> None:
        """Nothing is open."""


def read_ids(path: Path) -> list[str]:
    """Return the ids that a `FileDestination` wrote, or a child acknowledged."""
    return path.read_text().split() if path.exists() else []


CHILD_START = """
import logging, os, sys, threading, time
from pathlib import Path
from agentsight_auto._clock import Clock
from agentsight_auto.deliver.pipeline import Pipeline, PipelineOptions
from tests.deliver.support import FickleDestination, FileDestination, eventually, id_of, make_line, make_lines

folder = Path(sys.argv[1])
logging.disable()
delivered = folder / "delivered"

def pipeline(*, is_failing=False, open_destination=None, **options):
    return Pipeline(
        PipelineOptions(outbox=folder / "outbox", **options),
        open_destination or (lambda: FileDestination(delivered, is_failing=is_failing)),
        Clock(),
    )

def acknowledge(*lines):
    os.write(1, "".join(id_of(line) + "\\n" for line in lines).encode())
"""


def start_child(folder: Path, program: str, **options: object) -> subprocess.Popen[bytes]:
    """Start a child Python program; `folder`, `pipeline(...)` and `acknowledge(*lines)` are there for it."""
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", CHILD_START + program, str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def run_child(folder: Path, program: str, timeout_s: float = 20.0) -> subprocess.CompletedProcess[bytes]:
    """Run a child Python program to its end."""
    with start_child(folder, program) as child:
        try:
            out, err = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)
