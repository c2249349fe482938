"""C5 to C10: the server hangs, refuses, answers nonsense or one byte at a time."""

from __future__ import annotations

import email.utils
import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentsight_auto import _guard, conversation
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.pacing import Backoff
from tests.deliver.support import eventually
from tests.faultserver import Asked, Fault, FaultServer, fault_server

from . import rig
from .table import Row

BATCHES = "/api/events/"


def fault(found: Fault) -> Callable[[Asked], Fault | None]:
    """Misbehave on the batch route alone."""
    return lambda asked: found if asked.path == BATCHES else None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["hang", "refused", "503", "trickle"])
def test_c05_exit_while_the_server_is_ill(row: Row, tmp_path: Path, mode: str) -> None:
    """The process leaves within two seconds, says nothing, and the next one delivers everything."""
    slowest_s, printed = 0.0, ""
    acknowledged: list[str] = []
    with fault_server() as server:
        for count in (50, 10_000) if row.is_full else (50,):
            if mode == "refused":
                server.refuse()
            else:
                server.behave(Fault("status", 503) if mode == "503" else Fault(mode))
            program = f"""
                import logging
                logging.disable()
                record("block left", "q{count}", {count})
                time.sleep(0.3)
                os.write(1, f"ended_at={{time.monotonic()}}\\n".encode())
            """
            ended = rig.run(tmp_path, program, server=server)
            slowest_s = max(slowest_s, time.monotonic() - float(ended.acknowledged.pop().partition("=")[2]))
            acknowledged += ended.acknowledged
            printed += ended.err
        if mode == "refused":
            server.listen()
        server.behave(None)
        waiting = rig.doctor(tmp_path)["outbox"]["events"]
        rig.deliver_what_waits(tmp_path, server=server)
        row.provoke(f"exit with 50{' and 10,000' if row.is_full else ''} events queued, server: {mode}")
        rig.judge(row, acknowledged, rig.served_texts(server))
    row.figure("exit", asked="≤ 2.0 s", reached=f"{slowest_s:.2f} s", holds=slowest_s <= (2.2 if row.is_full else 15))
    row.figure("printed", asked="nothing", reached=printed or "nothing", holds=not printed)
    assert waiting >= len(acknowledged), "doctor has not seen what waits"


OUTAGES = {
    "503": Fault("status", 503),
    "500": Fault("status", 500),
    "429": Fault("status", 429),
    "408": Fault("status", 408),
    "425": Fault("status", 425),
    "reset": Fault("reset"),
    "hang": Fault("hang"),
    "refused": None,
}

DURING_AN_OUTAGE = """
    import logging
    from agentsight_auto import flush
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < float(sys.argv[1]):
        with conversation(f"chat {number}") as chat:
            chat.track_human_message(f"{sys.argv[2]}-{number}")
        acknowledge(f"{sys.argv[2]}-{number}")
        number += 1
        time.sleep(0.02)
    acknowledge("recovered")
    sys.stdin.readline()
    report = flush(60)
    settled = report.delivered + report.pending + sum(report.rejected.values()) + sum(report.lost.values())
    os.write(1, f"balance={report.captured - settled}\\n".encode())
"""


@pytest.mark.timeout(500)
def test_c06_outage_then_recovery(row: Row, tmp_path: Path) -> None:
    """An outage of any kind at 50 events a second loses nothing, and the backlog drains when it is over."""
    lasts_s = 60.0 if row.is_full else 1.5
    names = [*OUTAGES, "dns", "tls"] if row.is_full else ["503", "refused", "tls"]
    servers = {name: FaultServer() for name in names}
    children: dict[str, subprocess.Popen[str]] = {}
    lost = doubled = recorded = 0
    lines = most_lines = 0.0
    started = time.monotonic()
    slowest_s = 0.0
    for name, server in servers.items():
        more = {}
        if name in OUTAGES and OUTAGES[name] is not None:
            server.behave(OUTAGES[name])
        elif name == "refused":
            server.refuse()
        elif name == "dns":
            more = {"AGENTSIGHT_API_ENDPOINT": "https://no-such-host.invalid"}
        else:
            more = {"AGENTSIGHT_API_ENDPOINT": f"https://127.0.0.1:{server.port}"}
        program = DURING_AN_OUTAGE
        if more:  # what is over is the process: the next one has the right address
            program = DURING_AN_OUTAGE.replace("sys.stdin.readline()", "os._exit(0)")
        children[name] = rig.start(tmp_path / name, program, str(lasts_s), name, server=server, is_fed=True, **more)
    for name, child in children.items():
        server = servers[name]
        assert child.stdout is not None
        acknowledged = []
        for line in child.stdout:
            if line.strip() == "recovered":
                break
            acknowledged.append(line.strip())
        began = time.monotonic()
        if name in {"dns", "tls"}:
            child.wait(10)
            rig.deliver_what_waits(tmp_path / name, server=server)
        else:
            if name == "refused":
                server.listen()
            server.behave(None)
            server._released.set()
        assert server.wait_for(lambda s=server, a=acknowledged: set(a) <= rig.served_texts(s).keys(), 90), name
        slowest_s = max(slowest_s, time.monotonic() - began)
        out, err = child.communicate("go\n", timeout=90)
        assert name in {"dns", "tls"} or "balance=0" in out, (name, out, err)
        texts = rig.served_texts(server)
        recorded += len(acknowledged)
        lost += len(set(acknowledged) - texts.keys())
        doubled += sum(times - 1 for times in texts.values())
        lines = max(lines, float(len(err.splitlines())))
        most_lines = max(most_lines, len(err.splitlines()) - (time.monotonic() - started) / 60)
        server.close()
    row.provoke(f"outage of {lasts_s:.0f} s at 50 events/s, each of: {', '.join(names)}")
    row.figure("lost", asked="0", reached=f"{lost} of {recorded}", holds=lost == 0)
    row.figure("stored twice", asked="0", reached=doubled, holds=doubled == 0)
    row.figure("drained after recovery", asked="≤ 60 s", reached=f"{slowest_s:.1f} s", holds=slowest_s <= 62)
    row.figure("log lines", asked="≤ 1 a minute", reached=f"{lines:.0f} in one process's life", holds=most_lines <= 1)


WAITS: list[tuple[int, str | int | None, tuple[float, float]]] = [
    (503, None, (0.3, 0.7)),
    (429, "1", (0.9, 1.3)),
    (503, 2, (0.8, 2.4)),  # a date has whole seconds
    (429, -60, (0.3, 0.7)),
    (503, "-1", (0.3, 0.7)),
    (408, "abc", (0.3, 0.7)),
]


def record(text: str) -> None:
    with conversation("chat") as chat:
        chat.track_human_message(text)


def wait_after(server: FaultServer, home: Path, status: int, header: str | int | None) -> float:
    """Return how many seconds lie between the first try, answered so, and the second."""
    at: list[float] = []

    def answer(asked: Asked) -> Fault | None:
        if asked.path != BATCHES:
            return None
        at.append(time.monotonic())
        value = email.utils.formatdate(time.time() + header, usegmt=True) if isinstance(header, int) else header
        return Fault("status", status, {"Retry-After": value} if value else {}) if len(at) == 1 else None

    server.behave(answer)
    with rig.recording_to(home, server=server):
        record("one")
        assert server.wait_for(lambda: len(at) == 2, 20)
    assert len(at) == 2
    return at[1] - at[0]


@pytest.mark.timeout(300)
def test_c07_retry_after_and_retry_count(row: Row, tmp_path: Path) -> None:
    """Between two tries lies what the server asked for, or half a second with jitter; refusals are not tried again."""
    off = []
    slack_s = 0.0 if row.is_full else 5.0  # tests beside it may hold this one up
    backoffs: list[float] = []
    for number, (status, header, (least_s, most_s)) in enumerate(WAITS * row.rounds(quick=1, full=4)):
        with fault_server() as server:
            waited_s = wait_after(server, tmp_path / f"{number}", status, header)
        if most_s == 0.7:
            backoffs.append(waited_s)
        if not least_s <= waited_s <= most_s + slack_s:
            off.append(f"{status} {header}: {waited_s:.2f} s")
    longest = Backoff()
    longest.failed(DeliveryError("busy", retry_after_s=86_400.0))
    told_s = longest.until - time.monotonic()
    row.provoke("status x Retry-After: none, 1, a date to come, a date past, -1, abc, 86400; 400, 403, 422 for good")
    row.figure("waits off by more than 10 %", asked="0", reached="; ".join(off) or "0", holds=not off)
    row.figure("longest wait", asked="≤ 60 s", reached=f"{told_s:.0f} s", holds=told_s <= 60)
    spread = (max(backoffs) - min(backoffs)) / max(backoffs)
    row.figure("jitter", asked="present", reached=f"{100 * spread:.0f} % of the wait", holds=spread > 0.01)
    tries = {}
    for status in (400, 403, 422):
        with fault_server() as server, rig.recording_to(tmp_path / str(status), server=server) as runtime:
            server.behave(Fault("status", status) if status == 403 else fault(Fault("status", status)))
            record("one")
            runtime.flush(1)
            tries[status] = [len(asked.json()["events"]) for asked in server.asked if asked.path == BATCHES]
    again = sum(sizes.count(max(sizes)) - 1 for status, sizes in tries.items() if sizes and status != 403)
    row.figure("same batch again after a refusal", asked="0", reached=again, holds=again == 0)


def test_c08_poison_batch(row: Row, tmp_path: Path) -> None:
    """One refused event lies in `outbox/rejected/` with its reason, the others arrive; a 401 keeps all."""
    slowest_s = 0.0
    for status in (413, 422):
        home = tmp_path / str(status)
        with fault_server() as server, rig.recording_to(home, server=server) as runtime:
            server.behave(lambda asked, s=status: Fault("status", s) if b"poison" in asked.content else None)
            for number in range(50):
                record("poison" if number == 25 else f"text-{number}")
            began = time.monotonic()
            report = runtime.flush(20)
            slowest_s = max(slowest_s, time.monotonic() - began)
            delivered = len(rig.served_texts(server))
        found = rig.doctor(home)["outbox"]["rejected"]
        row.figure(f"others delivered beside a {status}", asked="49 of 49", reached=delivered, holds=delivered == 49)
        row.figure("rejected, says doctor", asked="1", reached=found["count"], holds=found["count"] == 1)
        assert str(status) in str(found["by_reason"])
        assert report.pending == 0
    row.figure("progress", asked="≤ 5 s", reached=f"{slowest_s:.2f} s", holds=slowest_s <= (5 if row.is_full else 15))
    with fault_server() as server:
        server.behave(Fault("status", 401))
        ended = rig.run(tmp_path / "401", "record('block left', 'text', 30); time.sleep(1.5)", server=server)
        row.figure("requests in 1.5 s of 401", asked="few", reached=len(server.asked), holds=len(server.asked) <= 6)
        server.behave(None)
        rig.deliver_what_waits(tmp_path / "401", server=server)
        rig.judge(row, ended.acknowledged, rig.served_texts(server))
    row.provoke("413 and 422 for one event of 150; 401 for all")


def test_c09_answers_that_cannot_be_used(row: Row, tmp_path: Path) -> None:
    """Half answers, bad JSON, no body, unknown fields and missing ids after storing: nothing is lost or doubled."""
    before = dict(_guard.failures)
    for kind in ("half", "bad_json", "empty", "html", "reset_after", "204", "silent"):
        with fault_server() as server, rig.recording_to(tmp_path / kind, server=server) as runtime:
            if kind == "silent":
                quiet = [2]
                server.silent_about = lambda event, quiet=quiet: quiet.append(1) is None and len(quiet) < 6
            else:
                server.behave(fault(Fault("status", 204, body=b"") if kind == "204" else Fault(kind)), times=2)
            for number in range(20):
                record(f"{kind}-{number}")
            assert eventually(lambda runtime=runtime: runtime.flush(2).is_complete, 20), kind
            rig.judge(row, [f"{kind}-{number}" for number in range(20)], rig.served_texts(server))
    row.provoke("after storing: half an answer, bad JSON, no body, HTML, a reset, 204, ids missing from the answer")
    escaped = {name: times for name, times in _guard.failures.items() if times != before.get(name, 0)}
    row.figure("exceptions escaping the worker", asked="0", reached=escaped or 0, holds=not escaped)


@pytest.mark.timeout(120)
def test_c10_slow_trickle(row: Row, tmp_path: Path) -> None:
    """A byte at a time does not hold a request beyond its deadline, and recording goes on meanwhile."""
    row.full_only("the deadline is ten seconds")
    tries: list[float] = []
    with fault_server() as server, rig.recording_to(tmp_path, server=server) as runtime:
        server.behave(
            lambda asked: tries.append(time.monotonic()) or Fault("trickle") if asked.path == BATCHES else None
        )  # type: ignore[func-returns-value]
        slowest_s = 0.0
        for number in range(400):
            began = time.monotonic()
            record(f"text-{number}")
            slowest_s = max(slowest_s, time.monotonic() - began)
            time.sleep(0.05)
        held_s = min(b - a for a, b in itertools.pairwise(tries))
        longest_s = max(b - a for a, b in itertools.pairwise(tries))
        server.behave(None)
        runtime.flush(20)
        assert server.wait_for(lambda: len(rig.served_texts(server)) == 400, 20)
        rig.judge(row, [f"text-{number}" for number in range(400)], rig.served_texts(server))
    row.provoke("one byte of the answer each 50 ms for 20 s, recording at 20 events/s")
    row.figure(
        "tries apart (deadline and back-off)",
        asked="≤ 10 s + back-off",
        reached=f"{held_s:.1f} to {longest_s:.1f} s",
        holds=longest_s <= 12,
    )
    row.figure("slowest block", asked="never waits", reached=f"{1000 * slowest_s:.1f} ms", holds=slowest_s < 0.5)
