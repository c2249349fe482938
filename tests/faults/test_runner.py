"""The runner itself: what a row says reaches the table and the page, and a figure that does not hold fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from .table import Table, write

pytest_plugins = "pytester"

ROWS = """
import pytest

def test_c01_holds(row):
    row.provoke("30 kills")
    row.figure("lost", asked="0", reached=0, holds=True)

def test_c01_holds_too(row):
    row.provoke("a fork")

def test_c02_misses(row):
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

def test_c10_takes_long(row):
    row.full_only("an hour")
"""


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("FAULTS_PROFILE", "quick")
    pytester.makeconftest(
        (Path(__file__).parent / "conftest.py").read_text().replace("from .table", "from tests.faults.table")
    )
    pytester.makepyfile(ROWS)
    table = Table()
    pytester.inline_run("-p", "no:asyncio", "-p", "no:cacheprovider", "-W", "ignore", plugins=[table])
    return table


def test_rows_say_what_was_provoked_asked_and_reached(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of one row are joined; a miss, a known failure, an error and an impossible row are told apart."""
    assert run(pytester, monkeypatch).rows == {
        "C1": ["30 kills; a fork", "lost 0", "lost 0", "holds"],
        "C2": ["a fault", "lost 0", "lost 3", "**fails**: lost: asked 0, reached 3"],
        "C3": ["power loss", "lost 0", "lost 1", "**fails**: the kernel forgets"],
        "S4": ["", "", "", "**fails**: ValueError: on | the way"],
        "S5": ["", "", "", "not provoked: no such machine"],
    }


def test_a_page_keeps_the_rows_that_did_not_run(tmp_path: Path) -> None:
    """Only what ran is replaced, in order, with the date; the text around it stays."""
    page = tmp_path / "page.md"
    old = "| Row | Provoked | Asked | Reached | Verdict |\n|---|---|---|---|---|\n| C2 | old | a | b | holds |\n"
    page.write_text(
        f"# Title\n\n<!-- rows C: begin -->\n{old}| C11 | old | a | b | holds |\n<!-- rows C: end -->\n\nEnd.\n"
    )
    write(page, {"C2": ["new", "a", "b", "holds"], "C1": ["x|y", "a", "b", "holds"]}, profile="full", when="2030-01-02")
    lines = page.read_text().splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith("| C")] == [
        ["| C1", "x\\|y"],
        ["| C2", "new"],
        ["| C11", "old"],
    ]
    assert lines[3].startswith("Full profile of 2030-01-02, agentsight-auto")
    assert lines[-1] == "End."
