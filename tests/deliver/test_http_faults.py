from __future__ import annotations

import email.utils
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.pipeline import Pipeline
from tests.faultserver import MODERN, Asked, Fault, FaultServer, fault_server

from .conftest import MakePipeline
from .http_support import destination_to, messages
from .support import eventually, ids, ids_of, make_line, make_lines, run_child, start_child
from .test_http_items import HTTP_CHILD


@pytest.fixture(params=[MODERN, None], ids=["batches", "items"])
def server(request: pytest.FixtureRequest) -> Iterator[FaultServer]:
    """A server of each generation, that knows the conversation ``chat-1``."""
    with fault_server(request.param) as running:
        running.conversations["chat-1"] = 1
        yield running


@pytest.fixture
def modern() -> Iterator[FaultServer]:
    """A server that offers the batch route."""
    with fault_server() as running:
        yield running


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        (None, None),
        ("2", 2.0),
        ("0.5", 0.5),
        (-60, None),
        (40, 40.0),
        ("-1", None),
        ("0", None),
        ("abc", None),
        ("nan", None),
        ("86400", 60.0),
        (7 * 86400, 60.0),
    ],
    ids=["none", "2", "0.5", "past", "soon", "-1", "0", "abc", "nan", "a day", "a week"],
)
def test_what_a_busy_server_asks_for_is_kept_to(
    modern: FaultServer, tmp_path: Path, status: int, header: str | int | None, expected_s: float | None
) -> None:
    """One request per try; `Retry-After` in seconds or as a date is followed up to a minute, nonsense is not.

    A number stands for the date so many seconds from now.
    """
    if isinstance(header, int):
        header = email.utils.formatdate(time.time() + header, usegmt=True)
    remote = destination_to(modern, tmp_path)
    modern.behave(Fault("status", status, {"Retry-After": header} if header is not None else {}))
    with pytest.raises(DeliveryError) as raised:
        remote.deliver(messages(3))
    remote.close()
    assert len(modern.asked) == 1
    told_s = raised.value.retry_after_s
    assert told_s == (None if expected_s is None else pytest.approx(expected_s, abs=2.0 if expected_s == 40 else 0.01))


def test_the_worker_waits_as_long_as_it_was_told(
    modern: FaultServer, tmp_path: Path, make_pipeline: MakePipeline
) -> None:
    """Between two tries lies what the server asked for, neither less nor much more; then everything arrives."""
    arrived_at: list[float] = []

    def busy_once(asked: Asked) -> Fault | None:
        arrived_at.append(time.monotonic())
        return Fault("status", 429, {"Retry-After": "1"}) if len(arrived_at) == 1 else None

    modern.behave(busy_once)
    remote = destination_to(modern, tmp_path)
    pipeline = make_pipeline(remote)
    pipeline.write_through(make_line())
    assert modern.wait_for(lambda: modern.events)
    assert arrived_at[1] - arrived_at[0] == pytest.approx(1.0, abs=0.25)
    pipeline.shutdown(2)


OUTAGES = {
    "500": Fault("status", 500),
    "503": Fault("status", 503),
    "429": Fault("status", 429),
    "408": Fault("status", 408),
    "425": Fault("status", 425),
    "reset": Fault("reset"),
    "html": Fault("html"),
    "refused": None,
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_loses_and_doubles_nothing(
    server: FaultServer, tmp_path: Path, make_pipeline: MakePipeline, outage: str
) -> None:
    """Events recorded before, during and after it arrive once, in their order."""
    remote = destination_to(server, tmp_path)
    pipeline: Pipeline = make_pipeline(remote)
    lines = make_lines(30)
    for line in lines[:10]:
        pipeline.append(line)
    assert pipeline.flush(20).is_complete
    before = len(server.asked)
    if outage == "refused":
        server.refuse()
    else:
        server.behave(OUTAGES[outage])
    for line in lines[10:20]:
        pipeline.append(line)
    assert pipeline.flush(0.5).pending == 10
    assert outage == "refused" or len(server.asked) > before
    if outage == "refused":
        server.listen()
    server.behave(None)
    for line in lines[20:]:
        pipeline.append(line)
    assert pipeline.flush(10).is_complete
    if server.capabilities:
        assert list(server.events) == ids_of(lines)
    else:
        assert len(server.items) == 30
    report = pipeline.shutdown(2)
    assert (report.rejected, report.lost) == ({}, {})


@pytest.mark.parametrize("kind", ["half", "reset_after", "bad_json", "empty"])
def test_an_answer_lost_after_storing_doubles_nothing_where_ids_are_known(
    modern: FaultServer, tmp_path: Path, make_pipeline: MakePipeline, kind: str
) -> None:
    """The batch comes again and the server knows every event of it."""
    modern.behave(lambda asked: Fault(kind) if asked.path == "/api/events/" else None, times=2)
    pipeline = make_pipeline(destination_to(modern, tmp_path))
    lines = make_lines(10)
    for line in lines:
        pipeline.append(line)
    assert eventually(lambda: pipeline.flush(1).is_complete, 10)
    assert list(modern.events) == ids_of(lines)
    assert modern.repeats() == 20
    pipeline.shutdown(2)


def test_a_poison_event_lies_in_rejected_and_the_others_arrive(
    server: FaultServer, tmp_path: Path, outbox: Path, make_pipeline: MakePipeline
) -> None:
    """One refused event is kept with its reason; everything else is delivered within seconds."""
    server.behave(lambda asked: Fault("status", 422) if b"poison" in (asked.content or b"") else None)
    pipeline = make_pipeline(destination_to(server, tmp_path))
    lines = [make_line("fine"), make_line("poison"), make_line("fine")]
    for line in lines:
        pipeline.append(line)
    report = pipeline.flush(20)
    assert (report.delivered, report.rejected) == (2, {"status 422": 1})
    (kept,) = [line for path in (outbox / "rejected").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert "status 422: as the test asked" in kept
    pipeline.shutdown(2)


@pytest.mark.parametrize("kind", ["trickle", "hang"])
def test_a_slow_answer_ends_with_the_deadline(server: FaultServer, tmp_path: Path, kind: str) -> None:
    """Neither a byte every 50 ms, headers included, nor silence holds a request beyond its deadline."""
    remote = destination_to(server, tmp_path, deadline_s=0.5)
    server.behave(Fault(kind))
    started = time.monotonic()
    with pytest.raises(DeliveryError, match="in time"):
        remote.deliver(messages(1))
    assert 0.45 < time.monotonic() - started < 3
    remote.close()


def test_a_slow_body_ends_with_the_deadline(modern: FaultServer, tmp_path: Path) -> None:
    """Headers that come at once do not make the deadline longer."""
    remote = destination_to(modern, tmp_path, deadline_s=0.6)
    remote.deliver(messages(1))
    modern.behave(Fault("trickle"))
    started = time.monotonic()
    with pytest.raises(DeliveryError, match="in time"):
        remote.deliver(messages(200))
    assert time.monotonic() - started < 3
    modern.behave(None)
    assert len(remote.deliver(messages(2))) == 2
    remote.close()


def test_recording_goes_on_while_the_server_hangs(
    server: FaultServer, tmp_path: Path, make_pipeline: MakePipeline
) -> None:
    """No call that records waits for the network, and a flush keeps its time."""
    server.behave(Fault("hang"))
    pipeline = make_pipeline(destination_to(server, tmp_path, deadline_s=2.0))
    pipeline.write_through(make_line())
    assert server.wait_for(lambda: server.asked)
    slowest_s = 0.0
    for line in make_lines(200):
        started = time.monotonic()
        pipeline.write_through(line)
        slowest_s = max(slowest_s, time.monotonic() - started)
    assert slowest_s < 1.5
    started = time.monotonic()
    assert pipeline.flush(0.3).pending == 201
    assert time.monotonic() - started < 3
    server.behave(None)
    server._released.set()
    assert eventually(lambda: pipeline.flush(2).is_complete, 10)
    pipeline.shutdown(2)


def test_a_kept_connection_that_the_server_has_closed_costs_no_try(modern: FaultServer, tmp_path: Path) -> None:
    """A connection that went while it was idle is replaced at once."""
    remote = destination_to(modern, tmp_path)
    remote.deliver(messages(1))
    modern.refuse()
    modern.listen()
    assert len(remote.deliver(messages(1))) == 1
    assert len(modern.events) == 2
    remote.close()


def test_threads_of_one_client_do_not_share_deadlines(modern: FaultServer, tmp_path: Path) -> None:
    """A request that hangs in one thread leaves the others alone."""
    remote = destination_to(modern, tmp_path, deadline_s=1.0)
    remote.deliver(messages(1))
    modern.behave(lambda asked: Fault("hang") if b"slow" in asked.content else None)
    failures: list[Exception] = []

    def deliver_slowly() -> None:
        try:
            remote.deliver(messages(1, "slow"))
        except DeliveryError as error:
            failures.append(error)

    slow = threading.Thread(target=deliver_slowly)
    slow.start()
    for _ in range(20):
        assert len(remote.deliver(messages(1))) == 1
    slow.join()
    assert (len(failures), len(modern.events)) == (1, 21)
    remote.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_connections_of_its_own(modern: FaultServer, tmp_path: Path) -> None:
    """Parent and child deliver through the same object without reading each other's answers."""
    remote = destination_to(modern, tmp_path)
    remote.deliver(messages(1))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ids.renew()
            status = 0 if all(len(remote.deliver(messages(2, "child"))) == 2 for _ in range(20)) else 2
            remote.close()
        finally:
            os._exit(status)
    assert all(len(remote.deliver(messages(2, "parent"))) == 2 for _ in range(20))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(remote.deliver(messages(1))) == 1
    remote.close()
    assert len(modern.events) == 82
    by_connection = {asked.connection: b"child" in asked.content for asked in modern.asked[2:] if asked.content}
    assert sorted(by_connection.values()) == [False, True]


EXIT_PROGRAM = """
waiting = over_http(sys.argv[2] if len(sys.argv) > 2 else {url!r})
lines = make_lines({count})
for line in lines:
    waiting.append(line)
waiting.commit()
acknowledge(*lines)
"""


@pytest.mark.parametrize("mode", ["hang", "503", "refused"])
def test_a_process_ends_within_two_seconds_and_the_next_one_delivers(
    server: FaultServer, tmp_path: Path, mode: str
) -> None:
    """Whatever the server does at exit, the process leaves; nothing is lost and nothing comes twice."""
    if mode == "refused":
        server.refuse()
    else:
        server.behave(Fault("hang") if mode == "hang" else Fault("status", 503))
    started = time.monotonic()
    program = HTTP_CHILD + EXIT_PROGRAM.format(url=server.url, count=50)
    program += "import time; eventually(lambda: False, 0.3); os.write(2, str(time.monotonic()).encode())"
    done = run_child(tmp_path, program)
    left_after_s = time.monotonic() - float(done.stderr.decode())
    assert done.returncode == 0
    assert left_after_s < 6
    assert time.monotonic() - started < 20
    if mode == "refused":
        server.listen()
    server.behave(None)
    server._released.set()
    done = run_child(tmp_path, HTTP_CHILD + f"assert over_http({server.url!r}).flush(20).is_complete")
    assert done.returncode == 0, done.stderr.decode()
    if server.capabilities:
        assert len(server.events) == 50
    else:
        assert len({item["timestamp"] for item in server.sent("track")}) == len(server.items) == 50


def test_the_end_of_a_process_does_not_cut_off_the_request_that_is_under_way(
    modern: FaultServer, tmp_path: Path
) -> None:
    """What the server answers while the process ends is taken; nothing is sent again for want of that answer."""
    batches: list[Asked] = []

    def answer_late(asked: Asked) -> None:
        if asked.path == "/api/events/":
            batches.append(asked)
            threading.Event().wait(0.5)  # the end has begun meanwhile

    modern.behave(answer_late)
    program = HTTP_CHILD + EXIT_PROGRAM.format(url=modern.url, count=3) + "sys.stdin.readline()"
    with start_child(tmp_path, program, stdin=subprocess.PIPE) as child:
        assert modern.wait_for(lambda: batches, 20)
        child.communicate(b"go on\n", timeout=20)
    assert (len(modern.events), len(batches), modern.repeats()) == (3, 1, 0)


def test_an_exit_without_a_worker_keeps_its_time_too(modern: FaultServer, tmp_path: Path) -> None:
    """Where no thread can start any more, the last try on the main thread ends with the exit's two seconds."""
    modern.behave(Fault("hang"))
    program = (
        HTTP_CHILD
        + "def refuse(thread): raise RuntimeError('cannot start new thread')\n"
        + "threading.Thread.start = refuse\n"
        + EXIT_PROGRAM.format(url=modern.url, count=3)
        + "os.write(2, str(time.monotonic()).encode())"
    )
    done = run_child(tmp_path, program)
    assert time.monotonic() - float(done.stderr.decode()) < 6
    modern.behave(None)
    done = run_child(tmp_path, HTTP_CHILD + f"assert over_http({modern.url!r}).flush(20).is_complete")
    assert done.returncode == 0, done.stderr.decode()
    assert len(modern.events) == 3


def test_kill_9_while_the_answer_is_on_its_way_stores_once(modern: FaultServer, tmp_path: Path) -> None:
    """A batch that was stored and not yet answered comes again, and the ids are known."""
    modern.behave(lambda asked: Fault("trickle") if asked.path == "/api/events/" else None)
    program = HTTP_CHILD + EXIT_PROGRAM.format(url=modern.url, count=100) + "time.sleep(60)"
    with start_child(tmp_path, program) as child:
        assert modern.wait_for(lambda: len(modern.events) == 100, 20)
        child.kill()
    modern.behave(None)
    done = run_child(tmp_path, HTTP_CHILD + f"assert over_http({modern.url!r}).flush(20).is_complete")
    assert done.returncode == 0, done.stderr.decode()
    assert (len(modern.events), modern.repeats()) == (100, 100)
