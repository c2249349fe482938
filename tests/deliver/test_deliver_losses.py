from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentsight_auto.deliver.losses import FILE_NAME, LossBook, read_losses, total_lost

LOSES = """
from agentsight_auto import conversation, flush
with conversation("c") as chat:
    for number in range(400):
        chat.track_human_message("x" * 10_000)
report = flush(0.1)
print(report.captured, report.pending, sum(report.lost.values()))
"""


def test_only_what_is_new_is_noted(tmp_path: Path) -> None:
    """Each note holds what was lost since the one before; the sum is the whole."""
    book = LossBook(tmp_path)
    book.note({})
    assert not (tmp_path / FILE_NAME).exists()
    book.note({"outbox_full": 3})
    book.note({"outbox_full": 3})
    book.note({"outbox_full": 5, "damaged": 1})
    assert [note.lost for note in read_losses(tmp_path)] == [{"outbox_full": 3}, {"outbox_full": 2, "damaged": 1}]
    assert total_lost(read_losses(tmp_path)) == {"outbox_full": 5, "damaged": 1}


def test_a_disk_that_refuses_is_tried_again(tmp_path: Path) -> None:
    """What could not be noted comes with the next note."""
    book = LossBook(tmp_path / "missing")
    book.note({"damaged": 1})
    (tmp_path / "missing").mkdir()
    book.note({"damaged": 2})
    assert total_lost(read_losses(tmp_path / "missing")) == {"damaged": 2}


def test_a_large_file_is_summed_up_and_odd_lines_are_passed_over(tmp_path: Path) -> None:
    """The file stays small and keeps its sum, whatever somebody wrote into it."""
    LossBook(tmp_path).note({"damaged": 7})
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b"not json\n" * 150_000)
    LossBook(tmp_path).note({"damaged": 1})
    assert (tmp_path / FILE_NAME).stat().st_size < 1000
    assert total_lost(read_losses(tmp_path)) == {"damaged": 8}


def test_doctor_tells_what_a_dead_process_has_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose outbox overflowed says so in its report, and doctor says it after its end."""
    monkeypatch.setenv("AGENTSIGHT_OUTBOX_LIMIT_BYTES", str(1024 * 1024))
    home = tmp_path / "home"
    home.mkdir()
    (home / "agentsight.db").write_bytes(b"no database" * 1000)
    done = subprocess.run([sys.executable, "-c", LOSES], capture_output=True, text=True, check=True, timeout=60)
    captured, pending, lost = map(int, done.stdout.split())
    assert captured == pending + lost == 402
    assert lost > 0
    doctor = [sys.executable, "-m", "agentsight_auto", "doctor", "--json", "--home", str(home)]
    told = subprocess.run(doctor, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    assert json.loads(told.stdout)["outbox"]["lost"]["by_reason"] == {"outbox_full": lost}
