"""What survives the end of a process, judged from outside by event id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentsight_auto.deliver import folders, worker
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.folders import dead_folders, process_folders
from agentsight_auto.deliver.pipeline import Pipeline, PipelineOptions

from .conftest import MakePipeline
from .support import (
    FickleDestination,
    FileDestination,
    assert_balanced,
    clock,
    eventually,
    make_line,
    read_ids,
    run_child,
    start_child,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")


def recover(folder: Path) -> Pipeline:
    """Deliver what others left in this folder's outbox."""
    pipeline = Pipeline(PipelineOptions(outbox=folder / "outbox"), lambda: FileDestination(folder / "delivered"), clock)
    assert_balanced(pipeline.flush(10))
    pipeline.shutdown(2)
    return pipeline


RECORD_FOR_EVER = {
    "block left": """
        lines = make_lines(3)
        for line in lines: p.append(line)
        p.commit()
        acknowledge(*lines)
    """,
    "outside a block": """
        line = make_line()
        p.write_through(line)
        acknowledge(line)
    """,
    "held": """
        line = make_line()
        p.hold(f"chat-{time.monotonic_ns() % 7}", line)
        acknowledge(line)
    """,
    "interval 0": """
        line = make_line()
        q.append(line)
        acknowledge(line)
    """,
    "old enough": """
        line = make_line()
        slow.append(line)
        made.append((time.monotonic(), line))
        while made and time.monotonic() - made[0][0] > 0.3: acknowledge(made.pop(0)[1])
        threading.Event().wait(0.001)
    """,
}


@pytest.mark.parametrize("is_failing", [False, True], ids=["destination up", "destination down"])
@pytest.mark.parametrize("way", RECORD_FOR_EVER)
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, way: str, is_failing: bool) -> None:
    """Killed at any moment, a process loses nothing that it was told is safe."""
    program = f"""
p = pipeline(is_failing={is_failing}, segment_bytes=20_000)
q = pipeline(is_failing={is_failing}, journal_interval_s=0)
slow = pipeline(is_failing={is_failing}, journal_interval_s=0.05)
made = []

def work():
    while True:{RECORD_FOR_EVER[way]}

threading.Thread(target=work, daemon=True).start()
work()
"""
    with start_child(tmp_path, program) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        threading.Event().wait(0.2 + 0.3 * os.urandom(1)[0] / 255)
        child.kill()
        acknowledged = [first.decode().strip(), *child.stdout.read().decode().split()]
    recover(tmp_path)
    delivered = read_ids(tmp_path / "delivered")
    complete = {event_id for event_id in acknowledged if len(event_id) == 32}
    assert len(complete) >= 5
    assert complete <= set(delivered)
    if is_failing:
        assert len(delivered) == len(set(delivered))
    assert process_folders(tmp_path / "outbox") == []


@pytest.mark.parametrize(
    ("end", "is_sudden"),
    [
        ("pass", False),
        ("raise SystemExit(0)", False),
        ("threading.Thread(target=sys.exit).start()", False),
        ("os._exit(0)", True),
        ("os.kill(os.getpid(), 15)", True),
        ("os.abort()", True),
    ],
)
def test_committed_events_survive_every_end(tmp_path: Path, end: str, is_sudden: bool) -> None:
    """However a process ends, what it committed arrives, and the end says nothing."""
    ended = run_child(
        tmp_path,
        f"""
import faulthandler; faulthandler.disable()
p = pipeline()
lines = make_lines(1000)
for line in lines: p.append(line)
p.commit()
acknowledge(*lines)
{end}
""",
    )
    assert ended.stderr == b""
    recover(tmp_path)
    delivered, acknowledged = read_ids(tmp_path / "delivered"), ended.stdout.decode().split()
    assert set(delivered) == set(acknowledged)
    assert len(delivered) == 1000 or is_sudden  # a sudden end may come between an arrival and its answer


def test_a_clean_exit_delivers_what_is_buffered_and_held(tmp_path: Path) -> None:
    """Nobody needs to flush: an exit writes and delivers everything, quickly, and leaves nothing."""
    ended = run_child(
        tmp_path,
        """
p = pipeline(journal_interval_s=3600)
lines = make_lines(50)
for line in lines: p.append(line)
held = make_line()
p.hold("chat", held)
acknowledge(*lines, held)
""",
    )
    assert ended.stderr == b""
    assert sorted(read_ids(tmp_path / "delivered")) == sorted(ended.stdout.decode().split())
    assert list((tmp_path / "outbox").iterdir()) == []


@pytest.mark.parametrize("destination", ["hanging", "failing"])
def test_exit_takes_two_seconds_at_most(tmp_path: Path, destination: str) -> None:
    """A destination that hangs or fails does not hold up the end, nor make it say anything."""
    program = f"""
fickle = FickleDestination()
if {destination == "hanging"}: fickle.is_open.clear()
else: fickle.error = RuntimeError("down")
p = pipeline(open_destination=lambda: fickle)
line = make_line()
p.write_through(line)
acknowledge(line)
began = time.monotonic()
import atexit
"""
    # The measuring function is registered before the pipeline's own, so that it runs after it.
    program = "import atexit; atexit.register(lambda: os.write(1, b'%.3f' % (time.monotonic() - began)))\n" + program
    ended = run_child(tmp_path, program)
    event_id, seconds = ended.stdout.decode().split()
    assert float(seconds) < 6
    assert ended.stderr == b""
    recover(tmp_path)
    assert read_ids(tmp_path / "delivered") == [event_id]


def test_events_that_come_later_than_the_exit_are_kept(tmp_path: Path) -> None:
    """An exit function that runs after ours may still record; the next process delivers it."""
    ended = run_child(
        tmp_path,
        """
import atexit
def late():
    line = make_line()
    p.append(line)
    acknowledge(line)
atexit.register(late)
p = pipeline()
p.write_through(make_line())
""",
    )
    assert ended.stderr == b""
    recover(tmp_path)
    delivered = read_ids(tmp_path / "delivered")
    assert len(delivered) == 2
    assert ended.stdout.decode().strip() in delivered


def test_a_process_that_first_records_at_exit_delivers(tmp_path: Path) -> None:
    """Where no thread can be started any more, the caller's thread delivers."""
    ended = run_child(
        tmp_path,
        """
import atexit
def first():
    p = pipeline()
    line = make_line()
    p.append(line)
    acknowledge(line)
    p.flush(1)
atexit.register(first)
""",
    )
    assert ended.stderr == b""
    recover(tmp_path)
    assert read_ids(tmp_path / "delivered") == ended.stdout.decode().split()


def test_without_a_thread_a_flush_delivers_on_the_callers_thread(
    make_pipeline: MakePipeline, destination: FickleDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter that starts no threads any more loses nothing."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pipeline = make_pipeline()
    pipeline.append(b'{"kind":"message","id":"1","conversation_id":"c","at_us":1,"sender":"agent","content":"x"}')
    pipeline.hold("c", b'{"kind":"message","id":"2","conversation_id":"c","at_us":1,"sender":"agent","content":"x"}')
    assert pipeline.flush(10).delivered == 2
    assert sorted(destination.ids) == ["1", "2"]


FORK = """
destination = FickleDestination
p = pipeline({options})
before = make_lines(500)
for line in before: p.append(line)
{prepare}
child = os.fork()
began = time.monotonic()
after = make_lines(500)
for line in after: p.append(line)
p.commit()
acknowledge(*after)
if child == 0:
    report = p.flush(20)
    assert report.captured == 500 and report.delivered == 500, report
    assert time.monotonic() - began < 4
else:
    acknowledge(*before)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize(
    ("options", "prepare"),
    [
        pytest.param("", "", id="buffer not empty"),
        pytest.param("", "p.flush(20); [p.append(line) for line in make_lines(0)]", id="worker running"),
        pytest.param(
            "",
            "p.commit(); threading.Thread(target=lambda: p._gate.run(lambda: time.sleep(0.5))).start()",
            id="gate held",
        ),
        pytest.param("", "p.hold('chat', before[0]) if False else None; p._delivering.acquire()", id="delivering"),
        pytest.param("segment_bytes=1000", "p.commit()", id="while delivering"),
    ],
)
def test_a_fork_neither_loses_nor_repeats_nor_blocks(tmp_path: Path, options: str, prepare: str) -> None:
    """Parent and child each deliver their own events, whatever another thread held at the fork."""
    ended = run_child(
        tmp_path, "import warnings; warnings.simplefilter('ignore')\n" + FORK.format(options=options, prepare=prepare)
    )
    assert ended.stderr == b""
    assert ended.returncode == 0
    recover(tmp_path)
    delivered = read_ids(tmp_path / "delivered")
    assert sorted(delivered) == sorted(ended.stdout.decode().split())
    assert len(delivered) == 1500


def test_a_fork_hook_starts_nothing_and_the_child_makes_its_own_folder(tmp_path: Path) -> None:
    """A child that records nothing has no worker and no folder."""
    ended = run_child(
        tmp_path,
        """
import warnings; warnings.simplefilter('ignore')
p = pipeline(is_failing=True)
p.write_through(make_line())
child = os.fork()
if child == 0:
    assert threading.active_count() == 1
    assert len(list((folder / "outbox").iterdir())) == 1
    p.write_through(make_line())
    assert len(list((folder / "outbox").iterdir())) == 2
    assert p.report().captured == 1
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert p.report().captured == 1
""",
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("child_records", [False, True])
def test_the_folder_of_a_dead_parent_is_adopted_while_its_child_lives(tmp_path: Path, child_records: bool) -> None:
    """A forked child keeps no hold of its parent's lock."""
    program = f"""
import warnings; warnings.simplefilter('ignore')
p = pipeline(is_failing=True)
line = make_line()
p.write_through(line)
child = os.fork()
if child == 0:
    if {child_records}: p.write_through(make_line())
    acknowledge(line)
    os.close(1)
    while os.getppid() != 1 and not (folder / "end").exists(): threading.Event().wait(0.01)
    while not (folder / "end").exists(): threading.Event().wait(0.01)
    os._exit(0)
os.read(0, 1)
os._exit(9)
"""
    with start_child(tmp_path, program, stdin=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        event_id = parent.stdout.readline().decode().strip()
        parent.kill()
        parent.wait(5)
        recover(tmp_path)
        assert read_ids(tmp_path / "delivered") == [event_id]
        (tmp_path / "end").touch()


def test_adopters_at_work_at_once_never_take_the_same(tmp_path: Path) -> None:
    """Whoever holds the lock of a dead folder has it alone: everything arrives once."""
    dead = [
        run_child(
            tmp_path,
            """
for number in range(6):
    p = pipeline(is_failing=True, segment_bytes=2000)
    lines = make_lines(100)
    for line in lines: p.append(line)
    p.commit()
    acknowledge(*lines)
os._exit(0)
""",
        )
    ]
    adopters = [
        start_child(tmp_path, "p = pipeline(); p.flush(20); p.flush(5); os.write(1, b'%d' % p.report().adopted)")
        for _ in range(3)
    ]
    counts = [int(adopter.communicate(timeout=20)[0] or 0) for adopter in adopters]
    delivered = read_ids(tmp_path / "delivered")
    assert sorted(delivered) == sorted(dead[0].stdout.decode().split())
    assert sum(counts) == len(delivered) == 600
    assert process_folders(tmp_path / "outbox") == []


def test_folders_may_be_made_and_adopted_in_a_hurry(tmp_path: Path) -> None:
    """A folder that is only just being made is never taken from the process that makes it."""
    is_over = threading.Event()
    errors: list[BaseException] = []

    def adopt() -> None:
        try:
            while not is_over.is_set():
                for folder in dead_folders(tmp_path / "outbox", None):
                    folder.leave()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    adopters = [threading.Thread(target=adopt) for _ in range(2)]
    for thread in adopters:
        thread.start()
    destination = FickleDestination()
    for _ in range(60):
        pipeline = Pipeline(PipelineOptions(outbox=tmp_path / "outbox"), lambda: destination, clock)
        pipeline.write_through(
            b'{"kind":"message","id":"1","conversation_id":"c","at_us":1,"sender":"a","content":"x"}'
        )
        report = pipeline.shutdown(2)
        assert (report.captured, report.delivered, report.lost) == (1, 1, {})
    is_over.set()
    for thread in adopters:
        thread.join()
    assert errors == []


def test_a_folder_taken_between_making_and_locking_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that an adopter has unlinked meanwhile is worth nothing: another folder is made."""
    real = folders.try_lock
    taken: list[Path] = []

    def late(fd: int) -> bool:
        if not taken:
            taken.extend(process_folders(tmp_path))
            (taken[0] / "lock").unlink()
            taken[0].rmdir()
        return real(fd)

    monkeypatch.setattr(folders, "try_lock", late)
    folder = folders.create_folder(tmp_path)
    assert folder.path not in taken
    assert (folder.path / "lock").exists()
    folder.leave()


def test_a_reader_adopts_without_making_a_folder(tmp_path: Path) -> None:
    """A process that records nothing itself delivers what is left, and leaves no trace."""
    run_child(tmp_path, "pipeline(is_failing=True).write_through(make_line())\nos._exit(0)")
    pipeline = recover(tmp_path)
    assert pipeline.report().adopted == 1
    assert pipeline.report().captured == 0
    assert list((tmp_path / "outbox").iterdir()) == []


def test_the_worker_adopts_what_others_leave(
    tmp_path: Path, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A living process needs no flush to take over from one that died: it looks every five seconds."""
    assert worker._ADOPT_S == 5
    monkeypatch.setattr(worker, "_ADOPT_S", 0.2)
    delivered = tmp_path / "delivered"
    pipeline = make_pipeline(to=FileDestination(delivered))
    pipeline.write_through(b'{"kind":"message","id":"1","conversation_id":"c","at_us":1,"sender":"a","content":"x"}')
    assert eventually(lambda: read_ids(delivered) == ["1"])
    dead = run_child(
        tmp_path, "p = pipeline(is_failing=True); l = make_line(); p.hold('c', l); acknowledge(l); os._exit(0)"
    )
    assert eventually(lambda: len(read_ids(delivered)) == 2, 6.5)
    assert read_ids(delivered)[1] == dead.stdout.decode().strip()


def test_a_failed_adoption_is_tried_again_and_counted_once(
    tmp_path: Path, make_pipeline: MakePipeline, destination: FickleDestination
) -> None:
    """Half of a dead segment answered, then an outage: the rest comes later, nothing twice."""
    run_child(
        tmp_path,
        """
p = pipeline(is_failing=True)
for line in make_lines(1200): p.append(line)
p.commit()
os._exit(0)
""",
    )
    destination.silent_about = lambda event: len(destination.ids) >= 700
    pipeline = make_pipeline()
    assert pipeline.flush(0.3).adopted == 700
    destination.silent_about = lambda event: False
    destination.error = DeliveryError("down")
    pipeline.flush(0.3)
    destination.error = None
    assert eventually(lambda: pipeline.flush(1).adopted == 1200, 10)
    assert len(destination.ids) == len(set(destination.ids)) == 1200


def test_a_signal_handler_may_record(tmp_path: Path) -> None:
    """Signals at any moment: what the handler commits is captured too, and nothing hangs."""
    program = """
import signal
p = pipeline()
handled = []
def handler(number, frame):
    line = make_line()
    p.append(line)
    p.commit()
    handled.append(line)
signal.signal(signal.SIGUSR1, handler)
acknowledge(make_line())
lines = []
while len(handled) < 40:
    lines += make_lines(3)
    for line in lines[-3:]: p.append(line)
    p.commit()
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
report = p.flush(20)
assert report.is_complete and report.captured == len(lines) + len(handled), report
"""
    with start_child(tmp_path, program) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while child.poll() is None:
            os.kill(child.pid, signal.SIGUSR1)
            threading.Event().wait(0.002)
        assert child.stderr is not None
        assert child.stderr.read() == b""
    assert child.returncode == 0
    delivered = read_ids(tmp_path / "delivered")
    assert len(delivered) == len(set(delivered))


def test_time_is_measured_monotonically(make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps makes no flush longer and no age negative."""
    destination = FickleDestination()
    destination.error = DeliveryError("down")
    pipeline = make_pipeline(to=destination)
    pipeline.write_through(make_line())
    jumped = time.time() - 86_400
    monkeypatch.setattr(time, "time", lambda: jumped)
    began = time.monotonic()
    pipeline.flush(0.2)
    assert time.monotonic() - began < 3
    assert pipeline.waiting().oldest_age_s == 0
