"""A disk that fails costs nothing while memory suffices, and never an exception."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentsight_auto.deliver import backlog
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.segment import parse

from .conftest import MakePipeline
from .support import (
    CHILD_START,
    FickleDestination,
    eventually,
    id_of,
    ids_of,
    make_line,
    make_lines,
    run_child,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts are POSIX")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is tried again after 50 ms."""
    monkeypatch.setattr(backlog, "_DISK_RETRY_S", 0.05)


def test_an_outbox_that_cannot_be_made_costs_nothing(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a folder events are kept in memory, delivered, and one warning says so."""
    outbox.write_text("a file where the folder should be")
    pipeline = make_pipeline()
    with caplog.at_level(logging.WARNING, "agentsight_auto"):
        lines = make_lines(20)
        for line in lines[:10]:
            pipeline.write_through(line)
        for line in lines[10:]:
            pipeline.hold("chat", line)
        assert pipeline.flush(20).delivered == 20
        assert eventually(lambda: caplog.records, 6)
    assert len(caplog.records) == 1
    assert "kept in memory" in caplog.text
    assert sorted(destination.ids) == sorted(ids_of(lines))


def test_memory_is_bounded_while_the_disk_fails(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """Disk and destination down: the oldest go first, counted; the youngest arrive."""
    outbox.write_text("")
    destination.error = DeliveryError("down")
    pipeline = make_pipeline(memory_limit_bytes=400_000)  # more than the batch under way, which is not dropped
    lines = make_lines(5_000, "x" * 100)
    for line in lines:
        pipeline.write_through(line)
    destination.error = None
    report = pipeline.flush(20)
    assert report.lost == {"memory_full": 5_000 - report.delivered}
    produced = ids_of(lines)
    assert destination.ids == [event for event in produced if event in set(destination.ids)]
    assert destination.ids[-500:] == produced[-500:]  # a batch that was under way meanwhile may be older


@pytest.mark.usefixtures("impatient")
def test_what_waits_in_memory_returns_to_a_disk_that_works_again(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """Once the disk recovers, events are safe again without anybody recording more."""
    outbox.write_text("")
    destination.error = DeliveryError("down")
    pipeline = make_pipeline()
    lines = make_lines(5)
    for line in lines[:3]:
        pipeline.write_through(line)
    for line in lines[3:]:
        pipeline.hold("chat", line)
    outbox.unlink()
    pipeline.write_through(make_line())

    def stored() -> set[bytes]:
        return {line for path in outbox.glob("*/*.segment") for line in parse(path.read_bytes()).records}

    assert eventually(lambda: stored() >= set(lines), 7)
    destination.error = None
    report = pipeline.flush(20)
    assert (report.delivered, report.lost) == (6, {})


@pytest.mark.usefixtures("impatient")
def test_what_returns_to_disk_while_it_is_about_to_be_delivered_arrives_once(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """A list of what waits may be old by the time that its turn comes."""
    pipeline = make_pipeline()
    outbox.write_text("")
    lines = make_lines(3)
    pipeline._backlog.add(lines)
    about_to_go = pipeline._backlog.seal()
    outbox.unlink()
    assert eventually(lambda: pipeline._backlog.return_to_disk() or about_to_go[0].successor)
    pipeline._delivery.deliver(about_to_go, pipeline._upkeep._own_books, lambda: True)
    assert destination.ids == []
    assert pipeline.flush(20).delivered == 3
    assert destination.ids == ids_of(lines)
    assert about_to_go[0].is_settled()


def test_a_folder_deleted_while_running_costs_nothing_that_was_being_written(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """The events in the deleted open file are written again, and the next ones go on."""
    destination.error = DeliveryError("down")
    pipeline = make_pipeline()
    lines = make_lines(6)
    for line in lines[:3]:
        pipeline._backlog.add([line])
    shutil.rmtree(outbox)
    for line in lines[3:]:
        pipeline._backlog.add([line])
    stored = [line for path in outbox.glob("*/*.segment") for line in parse(path.read_bytes()).records]
    assert sorted(stored) == sorted(lines)
    destination.error = None
    assert pipeline.flush(20).delivered == 6
    assert sorted(destination.ids) == sorted(ids_of(lines))


def test_held_events_that_somebody_deleted_are_counted(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """What is gone is gone, by number, and what is held next is safe."""
    pipeline = make_pipeline()
    pipeline.hold("chat", make_line())
    shutil.rmtree(outbox)
    late = make_line()
    pipeline.hold("chat", late)
    report = pipeline.flush(20)
    assert (report.delivered, report.lost) == (1, {"vanished": 1})
    assert destination.ids == [id_of(late)]


def test_a_descriptor_closed_by_the_program_harms_nobody(
    make_pipeline: MakePipeline, destination: FickleDestination, tmp_path: Path
) -> None:
    """A daemonising program closes what it does not know; we never write into a file that took the number."""
    pipeline = make_pipeline()
    first, second = make_lines(2)
    pipeline._backlog.add([first])
    fd = pipeline._backlog.outbox._fd
    assert fd is not None
    os.close(fd)
    foreign = os.open(tmp_path / "foreign", os.O_RDWR | os.O_CREAT)
    try:
        assert foreign == fd
        pipeline._backlog.add([second])
        assert pipeline.flush(20).delivered == 2
        assert (tmp_path / "foreign").read_bytes() == b""
        os.fstat(foreign)
    finally:
        os.close(foreign)
    assert sorted(destination.ids) == sorted(ids_of([first, second]))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error_number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("call", ["write", "open"])
def test_every_refusal_of_the_disk_is_survived(
    make_pipeline: MakePipeline,
    destination: FickleDestination,
    monkeypatch: pytest.MonkeyPatch,
    error_number: int,
    call: str,
) -> None:
    """A call that fails now and then costs nothing and repeats nothing."""
    real = getattr(os, call)
    calls = []

    def fickle(*args: object, **kwargs: object) -> int:
        is_ours = call == "write" or str(args[0]).endswith(".segment")
        calls.append(is_ours)
        if is_ours and len(calls) % 3 == 1:
            if call == "write":
                real(args[0], bytes(args[1])[:250])  # type: ignore[call-overload]
            raise OSError(error_number, os.strerror(error_number))
        return int(real(*args, **kwargs))

    pipeline = make_pipeline()
    lines = make_lines(60)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fickle)
        for start in range(0, 60, 4):
            pipeline.append(lines[start])
            pipeline.append(lines[start + 1])
            pipeline.commit()
            pipeline.hold("chat", lines[start + 2])
            pipeline.hold("chat", lines[start + 3])
        assert pipeline.flush(20).is_complete
    report = pipeline.report()
    assert (report.captured, report.delivered, report.lost) == (60, 60, {})
    assert sorted(destination.ids) == sorted(ids_of(lines))


FILE_LIMIT = """
import resource
p = pipeline(is_failing=True)
lines = make_lines(40)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
for start in range(0, 40, 8):
    for line in lines[start:start + 8]: p.append(line)
    p.commit()
report = p.report()
assert report.pending == 40 and not report.lost, report
on_disk = sum(segment.pending for segment in p._backlog.segments() if segment.path is not None)
assert 0 < on_disk < 40, on_disk
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert eventually(lambda: all(segment.path is not None for segment in p._backlog.segments()), 7)
acknowledge(*lines)
os._exit(0)
"""


def test_a_write_that_stops_halfway_leaves_the_rest_readable(tmp_path: Path) -> None:
    """A file size limit tears a write: what is on disk is whole, the rest waits in memory and follows."""
    ended = run_child(tmp_path, FILE_LIMIT)
    assert (ended.returncode, ended.stderr) == (0, b"")
    contents = [parse(path.read_bytes()) for path in (tmp_path / "outbox").glob("*/*.segment")]
    assert not any(content.damaged for content in contents)
    found = sorted(line for content in contents for line in content.records)
    assert sorted(ids_of(found)) == sorted(ended.stdout.decode().split())


FULL_DISK = (
    CHILD_START
    + """
import subprocess
disk = folder / "disk"
disk.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=True)
fickle = FickleDestination()
fickle.error = RuntimeError("down")
p = Pipeline(PipelineOptions(outbox=disk / "outbox"), lambda: fickle, Clock())
lines = make_lines(1000, "x" * 500)
for line in lines: p.write_through(line)
report = p.report()
assert report.pending == 1000 and not report.lost, report
assert any(segment.path is None for segment in p._backlog.segments())
fickle.error = None
assert eventually(lambda: p.flush(2).is_complete, 15), p.report()
assert sorted(fickle.ids) == sorted(id_of(line) for line in lines)
p.write_through(make_line())
assert p.shutdown(5).delivered == 1001
assert not list((disk / "outbox").rglob("*.segment"))
"""
)


def test_a_full_disk_costs_nothing_while_memory_suffices(tmp_path: Path) -> None:
    """On a full file system every event is on disk or in memory, and all arrive once."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        pytest.skip("no private mounts here: a full disk cannot be made")
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [unshare, "-Urm", sys.executable, "-c", FULL_DISK, str(tmp_path)],
        check=False,
        capture_output=True,
        timeout=40,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
