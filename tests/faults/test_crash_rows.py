"""C1 to C4: the process dies, or ends, in every way; in all four ways of acknowledging."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faultserver import Fault, fault_server

from . import rig
from .table import Row

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")


def kill(child: subprocess.Popen[str], pause_s: float, acknowledged: list[str]) -> None:
    acknowledged.extend(rig.kill_after(child, pause_s))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", rig.WAYS)
def test_c01_kill_9_after_capture(row: Row, tmp_path: Path, way: str) -> None:
    """Killed at a random moment, two processes of four threads lose nothing acknowledged; the store stays whole."""
    rounds = row.rounds(quick=1, full=30)
    program = """
        for number in range(3):
            threading.Thread(target=record, args=(sys.argv[1], f"{sys.argv[2]}-{number}"), daemon=True).start()
        record(sys.argv[1], f"{sys.argv[2]}-main")
    """
    acknowledged: list[str] = []
    whole = 0
    for number in range(rounds):
        children = [rig.start(tmp_path, program, way, f"{number}-{which}", way=way) for which in "ab"]
        pause_s = random.uniform(0, 0.5)
        killers = [threading.Thread(target=kill, args=(child, pause_s, acknowledged)) for child in children]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join(60)
        rig.deliver_what_waits(tmp_path)
        whole += rig.is_intact(tmp_path)
    row.provoke(f"kill -9 of two processes of 4 threads, {rounds} rounds, {way}")
    rig.judge(row, acknowledged, rig.stored_texts(tmp_path))
    row.figure("integrity_check ok", asked=f"{rounds}/{rounds}", reached=f"{whole}/{rounds}", holds=whole == rounds)
    waiting = rig.doctor(tmp_path)["outbox"]["events"]
    row.figure("waiting afterwards, says doctor", asked="0", reached=waiting, holds=waiting == 0)


@pytest.mark.timeout(300)
def test_c02_kill_9_in_the_middle_of_an_upload(row: Row, tmp_path: Path) -> None:
    """Killed between the server's storing and its answer, everything arrives, and is stored once."""
    rounds = row.rounds(quick=2, full=20)
    acknowledged: list[str] = []
    with fault_server() as server:
        for number in range(rounds):
            server.behave(lambda asked: Fault("trickle") if asked.path == "/api/events/" else None)
            before = len(server.events)
            child = rig.start(tmp_path, f"record('block left', 'r{number}')", server=server)
            assert server.wait_for(lambda before=before: len(server.events) > before, 20)
            acknowledged += rig.kill_after(child, random.uniform(0, 0.2))
            server.behave(None)
            rig.deliver_what_waits(tmp_path, server=server)
        row.provoke(f"kill -9 between the server's storing and the end of its answer, {rounds} rounds")
        rig.judge(row, acknowledged, rig.served_texts(server))
        repeats = server.repeats()
    row.figure("repeats on the wire", asked="any", reached=repeats, holds=True)


SIGNALS = """
    import signal
    got = []
    HANDLER
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    record(sys.argv[1], "text", 300)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(0.01)
    os.write(2, b"handled" * len(got))
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", rig.WAYS)
def test_c03_signals(row: Row, tmp_path: Path, way: str) -> None:
    """SIGTERM and SIGINT, with and without a handler of the host: nothing is lost, the handler is the host's."""
    handled = 0
    acknowledged: list[str] = []
    cases = [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGINT, True)]
    for number, has_handler in cases if row.is_full or way == "block left" else cases[:1]:
        handler = f"signal.signal({int(number)}, lambda *_: got.append(1))" if has_handler else "pass"
        home = tmp_path / f"{int(number)}{has_handler}"
        ended = rig.run(home, SIGNALS.replace("HANDLER", handler), way, str(int(number)), way=way)
        handled += ended.err.count("handled")
        if number == signal.SIGTERM and not has_handler:
            assert ended.returncode == -int(number), ended.err
        rig.deliver_what_waits(home)
        found = rig.stored_texts(home)
        assert max(found.values()) == 1
        acknowledged += [text for text in ended.acknowledged if text not in found]
        assert len(ended.acknowledged) == 300
    handlers = 2 if row.is_full or way == "block left" else 0
    row.provoke(f"SIGTERM and SIGINT, with and without a handler of the host, after 300 calls, {way}")
    row.figure("lost", asked="0", reached=len(acknowledged), holds=not acknowledged)
    row.figure("handler called", asked="once each", reached=f"{handled} of {handlers}", holds=handled == handlers)


ENDS = {
    "no flush": "pass",
    "sys.exit in a thread": "t = threading.Thread(target=sys.exit); t.start(); t.join()",
    "os._exit": "os._exit(0)",
    "uncaught exception": "raise ValueError('of the host')",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", rig.WAYS)
def test_c04_ends_without_flush(row: Row, tmp_path: Path, way: str) -> None:
    """A clean exit, sys.exit in a thread, os._exit and an uncaught exception lose nothing, quickly and silently."""
    count = row.rounds(quick=200, full=10_000)
    if way == "older than the interval":
        count = min(count, 2_000)
    slowest_s = bare_s = 0.0
    lost = 0
    with fault_server() as server:
        ends = ENDS if row.is_full or way == "block left" else dict(list(ENDS.items())[2:3])
        for end, statement in ends.items():
            told = 'os.write(1, f"ended_at={time.monotonic()}\\n".encode())'
            bare = rig.run(tmp_path, f"import httpx\n{told}\n{statement}", server=server)
            bare_s = max(bare_s, _since(bare))
            program = f'record(sys.argv[1], "{end.replace(" ", "_")}", {count})\n{told}\n{statement}'
            ended = rig.run(tmp_path, program, way, server=server, way=way)
            slowest_s = max(slowest_s, _since(ended))
            assert "agentsight" not in ended.err.replace("agentsight_auto import", ""), ended.err
            rig.deliver_what_waits(tmp_path, server=server)
            lost += len(set(ended.acknowledged) - rig.served_texts(server).keys())
            assert len(ended.acknowledged) == count
        doubled = sum(times - 1 for times in rig.served_texts(server).values())
    row.provoke(f"{len(ends)} ends after {count} calls over HTTP, {way}")
    row.figure("lost", asked="0", reached=f"{lost} of {len(ends) * count}", holds=lost == 0)
    row.figure("stored twice", asked="0", reached=doubled, holds=doubled == 0)
    row.figure(
        "exit with the server well (of a program that records nothing)",
        asked="≤ 0.5 s",
        reached=f"{slowest_s:.2f} s ({bare_s:.2f} s)",
        holds=slowest_s <= (0.5 + bare_s if row.is_full else 15.0),
    )


def _since(ended: rig.Ended) -> float:
    """Return how many seconds ago the program came to its last statement, which its end has followed."""
    return time.monotonic() - float(ended.acknowledged.pop().partition("=")[2])


def test_c01_power_loss(row: Row) -> None:
    """What `durability="disk"` promises beyond the death of the process."""
    row.not_provoked("the loss of power itself")
