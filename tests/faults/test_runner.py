"""The runner itself: what a row says reaches the table and the page, and a figure that does not hold fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from .table import Table, write

pytest_plugins = "pytester"

ROWS = """
import zlib
import pytest

def test_c01_holds(row):
    row.without_accounts("nothing runs")
    row.provoke("30 kills")
    row.figure("lost", asked="0", reached=0, holds=True)

def test_c01_holds_too(row):
    row.without_accounts("nothing runs")
    row.provoke("a fork")

def test_c02_misses(row):
    row.without_accounts("nothing runs")
    row.provoke("a fault")
    row.figure("lost", asked="0", reached=3, holds=False)

@pytest.mark.xfail(reason="the kernel forgets", strict=True)
def test_c03_is_known_to_fail(row):
    row.provoke("power loss")
    row.figure("lost", asked="0", reached=1, holds=False)

def test_s04_raises(row):
    raise ValueError("on | the way")

def test_s05_cannot(row):
    row.not_provoked("no such machine")

def test_c06_accounts_for_nothing(row):
    row.provoke("nothing")

def test_c07_does_not_balance(row, tmp_path):
    (tmp_path / "books.jsonl").write_text('{"captured": 3, "delivered": 1, "pending": 1, "rejected": {}, "lost": {}}')
    row.provoke("a miscount")

def test_c08_leaves_what_doctor_must_name(row, tmp_path):
    record = b'%08x 2 {}' % zlib.crc32(b"{}")
    folder = tmp_path / "outbox" / "1-0000aaaa"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "00000001.segment").write_bytes(record + b"\\n" + record + b"\\n")
    row.provoke("a death")

def test_c10_takes_long(row):
    row.full_only("an hour")
"""


HEAD = "| Row | Provoked | Asked | Reached | Books at the end | Verdict |\n|---|---|---|---|---|---|\n"
MISCOUNT = {"captured": 3, "delivered": 1, "pending": 1, "rejected": {}, "lost": {}}


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("FAULTS_PROFILE", "quick")
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text().replace("from .", "from tests.faults."))
    pytester.makepyfile(ROWS)
    table = Table()
    pytester.inline_run("-p", "no:asyncio", "-p", "no:cacheprovider", "-W", "ignore", plugins=[table])
    return table


def test_rows_say_what_was_provoked_asked_and_reached(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of one row are joined; whatever keeps a row from holding is told, books that do not balance too."""
    assert run(pytester, monkeypatch).rows == {
        "C1": ["30 kills; a fork", "lost 0", "lost 0", "nothing runs", "holds"],
        "C2": ["a fault", "lost 0", "lost 3", "nothing runs", "**fails**: lost: asked 0, reached 3"],
        "C3": ["power loss", "lost 0", "lost 1", "", "**fails**: the kernel forgets"],
        "C6": ["nothing", "", "", "", "**fails**: nothing to account for, and no reason given"],
        "C7": ["a miscount", "", "", "balances: 1", "**fails**: does not balance: " + str(MISCOUNT)],
        "C8": ["a death", "", "", "doctor agrees with the files: 1", "holds"],
        "S4": ["", "", "", "", "**fails**: ValueError: on | the way"],
        "S5": ["", "", "", "", "not provoked: no such machine"],
    }


def test_a_page_keeps_the_rows_that_did_not_run(tmp_path: Path) -> None:
    """Only what ran is replaced, in order, with the date; the text around it stays."""
    page = tmp_path / "page.md"
    old = f"{HEAD}| C2 | old | a | b | c | holds |\n"
    page.write_text(
        f"# Title\n\n<!-- rows C: begin -->\n{old}| C11 | old | a | b | c | holds |\n<!-- rows C: end -->\n\nEnd.\n"
    )
    write(
        page,
        {"C2": ["new", "a", "b", "c", "holds"], "C1": ["x|y", "a", "b", "c", "holds"]},
        profile="full",
        when="2030-01-02",
    )
    lines = page.read_text().splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith("| C")] == [
        ["| C1", "x\\|y"],
        ["| C2", "new"],
        ["| C11", "old"],
    ]
    assert lines[3].startswith("Full profile of 2030-01-02, agentsight-auto")
    assert lines[-1] == "End."
