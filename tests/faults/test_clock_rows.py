"""C26: clocks that step, and interpreters that end, on every Python the machine has."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from agentsight_auto import conversation, events, track_action
from agentsight_auto.testing import ManualClock, recording
from tests.faultserver import Fault, fault_server

from . import rig
from .environments import environment_with, python_of
from .table import Row


@pytest.mark.parametrize("step_s", [-3600, 3600, 86_400], ids=["-1 h", "+1 h", "+1 day"])
def test_c26_the_wall_clock_steps(row: Row, tmp_path: Path, step_s: int) -> None:
    """A step of the wall clock turns no duration negative, no order around and no wait longer."""
    time_machine = pytest.importorskip("time_machine")
    clock = ManualClock()

    @track_action
    def tool() -> None:
        clock.advance(0.01)
        clock.step_wall(step_s)
        clock.advance(0.01)

    with recording(clock=clock) as recorder, conversation("chat") as chat:
        for number in range(20):
            chat.track_human_message(f"{number}")
            tool()
            clock.reanchor()
        durations = [action.duration_ms for action in recorder.of(events.Action)]
        order = [message.content for message in recorder.of(events.Message)]
    with fault_server() as server, rig.recording_to(tmp_path, server=server) as runtime:
        server.behave(Fault("status", 503))
        with conversation("chat") as chat:
            chat.track_human_message("before")
        runtime.flush(0.5)
        with time_machine.travel(time.time() + step_s, tick=True):
            began = time.monotonic()
            pending = runtime.flush(1).pending
            took_s = time.monotonic() - began
            server.behave(None)
            with conversation("chat") as chat:
                chat.track_human_message("after")
            assert server.wait_for(lambda: len(rig.served_texts(server)) == 2, 20)
            rig.judge(row, ["before", "after"], rig.served_texts(server))
            dropped = rig.doctor(tmp_path)["outbox"]["lost"]["by_reason"]
    row.provoke(f"wall clock {step_s:+} s during actions, back-off and flush")
    row.figure("negative durations", asked="0", reached=sum(d < 0 for d in durations), holds=min(durations) >= 0)
    ordered = order == [str(number) for number in range(20)]
    row.figure("order kept", asked="yes", reached="yes" if ordered else order, holds=ordered)
    row.figure("flush(1)", asked="≤ 1.2 s", reached=f"{took_s:.2f} s", holds=took_s <= 1.2 or not row.is_full)
    row.figure("dropped for age", asked="0", reached=dropped or 0, holds=not dropped)
    assert pending == 3


FINALIZATION = """
    import atexit
    def first():
        from agentsight_auto import conversation
        with conversation("at exit") as chat: chat.track_human_message("registered before the library")
    atexit.register(first)
    WAY = sys.argv[1]

    class Late:
        def __del__(self):
            with conversation("del") as chat: chat.track_human_message("from __del__ at the end")
    sys.modules["late holder"] = Late()

    class InCycle:
        def __init__(self): self.me = self
        def __del__(self):
            with conversation("cycle") as chat: chat.track_human_message("from a cycle at the end")
    cycle = InCycle()

    def daemon():
        number = 0
        while True:
            with conversation("daemon") as chat:
                chat.track_human_message(f"daemon-{number}")
            number += 1
            time.sleep(0.001)
    threading.Thread(target=daemon, daemon=True).start()
    record(WAY, "text", 100)
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("version", ["this", "3.10", "3.12", "3.13"])
def test_c26_the_interpreter_ends(row: Row, tmp_path: Path, version: str) -> None:
    """What is recorded while the interpreter ends is delivered or waits; nothing is printed, nothing hangs."""
    if version == "this":
        python = sys.executable
    else:
        row.full_only("it needs environments of its own")
        found = python_of(version)
        if found is None:
            row.not_provoked(f"Python {version} is absent")
        python = environment_with("starlette", python=str(found))
    lost: set[str] = set()
    printed = ""
    slowest_s = 0.0
    rounds = row.rounds(quick=1, full=5)
    for way in rig.WAYS if row.is_full else rig.WAYS[:2]:
        for number in range(rounds):
            home = tmp_path / f"{way} {number}"
            program = textwrap.dedent(FINALIZATION)
            began = time.monotonic()
            ended = rig.run(home, program, way, way=way, python=python)
            slowest_s = max(slowest_s, time.monotonic() - began)
            printed += ended.err
            assert ended.returncode == 0, ended.err
            rig.deliver_what_waits(home)
            texts = rig.stored_texts(home)
            lost |= set(ended.acknowledged) - texts.keys()
            lost |= {"registered before the library"} - texts.keys()
            assert max(texts.values()) == 1
    row.provoke(
        f"atexit before the library, __del__, a cycle and a daemon thread at the end, -X dev -W error: Python {version}"
    )
    row.figure("lost", asked="0", reached=sorted(lost)[:3] or 0, holds=not lost)
    row.figure("tracebacks printed", asked="0", reached=printed.strip()[-300:] or 0, holds=not printed.strip())


def test_c26_pythons_that_are_not_here(row: Row) -> None:
    """3.14 and its free-threaded build."""
    missing = [version for version in ("3.14", "3.14t") if python_of(version) is None]
    if missing:
        row.not_provoked(f"Python {' and '.join(missing)}: not on this machine")
    assert subprocess.run([str(python_of("3.14")), "-c", ""], check=False).returncode == 0
