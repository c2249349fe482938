"""Damage costs what it touched, is set aside and counted."""

from __future__ import annotations

import os
import time
from pathlib import Path
from zlib import crc32

import pytest

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.pipeline import Pipeline
from agentsight_auto.deliver.segment import FORMAT_VERSION, HEADER, frame

from .conftest import MakePipeline
from .support import FickleDestination, eventually, ids_of, make_line, make_lines


def leave_segment(outbox: Path, data: bytes, name: str = "00000001.segment") -> Path:
    """Put a folder there as a dead process would have left it."""
    folder = outbox / "4242-0123abcd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock").touch()
    (folder / name).write_bytes(data)
    return folder / name


LINES = make_lines(6)
RECORDS = [frame([line]) for line in LINES]
WHOLE = HEADER + b"".join(RECORDS)


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        pytest.param(WHOLE, LINES, id="whole"),
        pytest.param(WHOLE[:-9], LINES[:5], id="torn last line"),
        pytest.param(WHOLE + b"\0" * 4096, LINES, id="zeros at the end"),
        pytest.param(HEADER + RECORDS[0] + b"\0" * 512 + b"".join(RECORDS[1:]), LINES, id="zeros in the middle"),
        pytest.param(HEADER + RECORDS[0] + os.urandom(8192) + b"".join(RECORDS[1:]), LINES, id="noise in the middle"),
        pytest.param(WHOLE.replace(RECORDS[2], b"0000" + RECORDS[2][4:]), LINES[:2] + LINES[3:], id="bad checksum"),
        pytest.param(b"".join(RECORDS), LINES, id="no header"),
        pytest.param(WHOLE[len(HEADER) - 3 :], LINES, id="half a header"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_a_damaged_segment_gives_every_good_record(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path, data: bytes, kept: list[bytes]
) -> None:
    """What has a good checksum before and after the damage is delivered, and the segment is gone."""
    path = leave_segment(outbox, data)
    assert pipeline.flush(20).adopted == len(kept)
    assert destination.ids == ids_of(kept)
    assert not path.parent.exists()


def test_damaged_bytes_are_set_aside_once(pipeline: Pipeline, destination: FickleDestination, outbox: Path) -> None:
    """A copy of the damage lies in `corrupt/`, also if the segment had to be read twice."""
    destination.error = DeliveryError("down")
    leave_segment(outbox, WHOLE + b"garbage without end")
    assert pipeline.flush(0.8).adopted == 0
    destination.error = None
    assert pipeline.flush(20).adopted == 6
    (copy,) = (outbox / "corrupt").iterdir()
    assert copy.read_bytes() == b"garbage without end"
    assert ".corrupt-" in copy.name
    assert pipeline.waiting().damaged == 1


def test_a_segment_of_a_newer_version_is_moved_aside_untouched(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """A later version's file is kept for that version, and does not hold up the others."""
    title = b"agentsight-outbox %d" % (FORMAT_VERSION + 1)
    data = b"%s %08x\nunknown" % (title, crc32(title))
    leave_segment(outbox, data)
    leave_segment(outbox, WHOLE, "00000002.segment")
    assert pipeline.flush(20).adopted == 6
    (moved,) = (outbox / "newer").iterdir()
    assert moved.read_bytes() == data
    assert pipeline.waiting().newer == 1


def test_a_folder_in_place_of_a_segment_is_moved_aside(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """What is no file cannot be read, and does not hold up the others."""
    path = leave_segment(outbox, WHOLE, "00000002.segment")
    (path.parent / "00000001.segment").mkdir()
    assert pipeline.flush(20).adopted == 6
    assert not path.parent.exists()
    assert pipeline.waiting().damaged == 1


def test_damage_to_a_waiting_segment_of_this_process_is_counted(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """What is gone from our own file is lost, by number."""
    destination.error = DeliveryError("down")
    for line in LINES:
        pipeline._backlog.add([line])
    pipeline.flush(0.1)
    (path,) = outbox.glob("*/*.segment")
    path.write_bytes(path.read_bytes()[:-9])
    destination.error = None
    report = pipeline.flush(20)
    assert (report.delivered, report.lost) == (5, {"damaged": 1})


def test_a_waiting_segment_that_vanishes_is_counted(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """A file that somebody deleted is lost, by number."""
    destination.error = DeliveryError("down")
    for line in LINES:
        pipeline.append(line)
    pipeline.flush(0.1)
    (path,) = outbox.glob("*/*.segment")
    path.unlink()
    destination.error = None
    report = pipeline.flush(20)
    assert report.lost == {"vanished": 6}


def test_an_empty_folder_without_a_lock_is_removed(pipeline: Pipeline, outbox: Path) -> None:
    """What an adopter left that died between its last two steps goes."""
    (outbox / "4242-0123abcd").mkdir(parents=True)
    pipeline.write_through(make_line())
    assert pipeline.flush(20).is_complete
    assert not (outbox / "4242-0123abcd").exists()


def test_a_folder_that_lost_its_lock_is_adopted_when_it_is_old(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """A deleted lock file does not leave events behind for ever, and a folder being made is not touched."""
    path = leave_segment(outbox, WHOLE)
    (path.parent / "lock").unlink()
    assert pipeline.flush(0.2).adopted == 0
    hour_ago = time.time() - 3600
    os.utime(path.parent, (hour_ago, hour_ago))
    assert pipeline.flush(20).adopted == 6


def test_foreign_files_in_the_outbox_are_left_alone(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Only folders named like ours, and in them only segments, are ours to take."""
    path = leave_segment(outbox, WHOLE)
    note = path.parent / "note.txt"
    note.write_text("mine")
    (outbox / "README").write_text("mine")
    (outbox / "backup").mkdir()
    (outbox / "backup" / "00000001.segment").write_bytes(WHOLE)
    pipeline = make_pipeline()
    assert eventually(lambda: pipeline.flush(1).adopted == 6)
    assert note.exists()
    assert (outbox / "README").exists()
    assert (outbox / "backup" / "00000001.segment").exists()
