"""What the rows of the fault matrix say, from one test to the table in docs/reliability.md.

A test tells its row what it provoked and which figures it reached; the notes travel with pytest's reports, also from
the processes of pytest-xdist, and come together in a `Table`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

PROPERTY = "fault row"
PROFILE = "FAULTS_PROFILE"
_ROW_OF_TEST = re.compile(r"test_([cs])(\d+)_")
_HEAD = "| Row | Provoked | Asked | Reached | Books at the end | Verdict |\n|---|---|---|---|---|---|\n"


@dataclass
class Figure:
    """One number that a row promises: what was asked and what was reached."""

    name: str
    asked: str
    reached: str
    holds: bool


@dataclass
class Row:
    """What one test says about its row of the matrix."""

    name: str
    is_full: bool = False
    provoked: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    cannot: str = ""
    processes: int = 0
    folders: int = 0
    stores: int = 0
    accounts_missed: list[str] = field(default_factory=list)
    no_accounts: str = ""
    has_damaged_store: bool = False

    @classmethod
    def of_test(cls, test_name: str) -> Row:
        """Return the row that a test belongs to by its name: ``test_c07_...`` is C7."""
        found = _ROW_OF_TEST.match(test_name)
        if found is None:
            raise ValueError(f"{test_name} names no row: begin with test_c01_ to test_c26_ or test_s01_ to test_s17_.")
        return cls(f"{found[1].upper()}{int(found[2])}", is_full=os.environ.get(PROFILE) == "full")

    def rounds(self, *, quick: int, full: int) -> int:
        """Return how often to try: a few times by default, often in the full profile."""
        return full if self.is_full else quick

    def provoke(self, what: str) -> None:
        """Say what was really done."""
        self.provoked.append(what)

    def figure(self, name: str, *, asked: str, reached: object, holds: bool) -> None:
        """Note one figure; one that does not hold fails the test at its end."""
        text = f"{reached:.3g}" if isinstance(reached, float) else str(reached)
        self.figures.append(Figure(name, asked, text, bool(holds)))

    def full_only(self, why: str) -> None:
        """Skip in the quick profile."""
        if not self.is_full:
            pytest.skip(f"full profile only: {why}")

    def not_provoked(self, why: str) -> None:
        """Say that this machine cannot provoke it, and skip."""
        self.cannot = why
        pytest.skip(f"not provoked: {why}")

    def without_accounts(self, why: str) -> None:
        """Say why there are no books to look at when this test ends."""
        self.no_accounts = why

    def missed(self) -> list[str]:
        """Return the figures that do not hold, and what the books do not account for."""
        missed = [f"{one.name}: asked {one.asked}, reached {one.reached}" for one in self.figures if not one.holds]
        return [*missed, *self.accounts_missed]


@dataclass
class _Line:
    """All that the tests of one row said."""

    provoked: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    no_accounts: list[str] = field(default_factory=list)
    accounts: Counter[str] = field(default_factory=Counter)
    passed: int = 0

    def books(self) -> str:
        """Say what was accounted for at the end of its tests, or why nothing was."""
        told = {
            "processes": "balances: {}",
            "folders": "doctor agrees with the files: {}",
            "stores": "stores whole: {}",
        }
        said = [words.format(self.accounts[kind]) for kind, words in told.items() if self.accounts[kind]]
        return "; ".join([*said, *dict.fromkeys(self.no_accounts)])

    @property
    def verdict(self) -> str:
        if self.failures:
            return "**fails**: " + "; ".join(dict.fromkeys(self.failures))
        if self.cannot and not self.passed:
            return "not provoked: " + "; ".join(dict.fromkeys(self.cannot))
        return "holds" + ("; not provoked: " + "; ".join(dict.fromkeys(self.cannot)) if self.cannot else "")

    def cells(self) -> list[str]:
        """Return the cells of the row after its name; what several tests say of one figure stands together."""
        asked = {one.name: one.asked for one in self.figures}
        reached: dict[str, dict[str, None]] = {}
        for one in self.figures:
            reached.setdefault(one.name, {})[one.reached] = None
        return [
            "; ".join(dict.fromkeys(self.provoked)),
            "; ".join(f"{name} {figure}" for name, figure in asked.items()),
            "; ".join(f"{name} {' / '.join(figures)}" for name, figures in reached.items()),
            self.books(),
            self.verdict,
        ]


class Table:
    """A pytest plugin that gathers the rows of a run."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the notes of one test from its call, and a failure from any phase."""
        test_name = report.nodeid.rpartition("::")[2]
        if _ROW_OF_TEST.match(test_name) is None:
            return
        row = Row.of_test(test_name)
        for note in [str(value) for name, value in report.user_properties if name == PROPERTY]:
            row = Row(**json.loads(note))
        line = self._lines.setdefault(row.name, _Line())
        if report.when == "call":
            line.provoked += row.provoked
            line.figures += [Figure(**one) for one in row.figures]  # type: ignore[arg-type]
            line.cannot += [row.cannot] if row.cannot else []
            line.no_accounts += [row.no_accounts] if row.no_accounts else []
            line.accounts.update(processes=row.processes, folders=row.folders, stores=row.stores)
            line.passed += report.passed
        if hasattr(report, "wasxfail"):
            line.failures.append(str(report.wasxfail).removeprefix("reason: "))
        elif report.failed:
            line.failures.append(_first_line(report))

    @property
    def rows(self) -> dict[str, list[str]]:
        """Return the cells of each row that ran, by its name; a row whose tests were all skipped did not run."""
        ran = {name: line for name, line in self._lines.items() if line.provoked or line.failures or line.cannot}
        return {name: ran[name].cells() for name in sorted(ran, key=_order)}

    def markdown(self) -> str:
        """Return the rows as a Markdown table."""
        return _HEAD + "".join(_markdown_row(name, cells) for name, cells in self.rows.items())


def write(page: Path, rows: dict[str, list[str]], *, profile: str, when: str) -> None:
    """Replace the rows that ran between the markers of the page, with the date and the versions."""
    text = page.read_text(encoding="utf-8")
    for letter in "CS":
        ran = {name: cells for name, cells in rows.items() if name.startswith(letter)}
        if ran:
            text = _replaced(text, letter, ran, f"{profile} profile of {when}, {versions()}")
    page.write_text(text, encoding="utf-8")


def _replaced(text: str, letter: str, ran: dict[str, list[str]], title: str) -> str:
    begin, end = f"<!-- rows {letter}: begin -->\n", f"<!-- rows {letter}: end -->"
    before, _, rest = text.partition(begin)
    old, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"The page has no place for the rows {letter}: {begin!r} to {end!r}.")
    kept = {line.split("|")[1].strip(): line + "\n" for line in old.splitlines() if line.startswith(f"| {letter}")}
    kept |= {name: _markdown_row(name, cells) for name, cells in ran.items()}
    table = _HEAD + "".join(kept[name] for name in sorted(kept, key=_order))
    return f"{before}{begin}{title[0].upper()}{title[1:]}.\n\n{table}{end}{after}"


def between_markers(page: str, name: str, text: str) -> str:
    """Return the page with the text between its markers of this name replaced."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"The page has no place for {name}: {begin!r} to {end!r}.")
    return f"{before}{begin}{text}{end}{after}"


def versions() -> str:
    """Return what the figures were taken with."""
    cores = os.cpu_count()
    return (
        f"agentsight-auto {importlib.metadata.version('agentsight-auto')}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}, {cores} cores"
    )


def note_of(row: Row) -> str:
    """Return what travels with the report of a test."""
    return json.dumps(asdict(row))


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    lines: Iterable[str] = (line.strip() for line in text.splitlines() if line.strip())
    return next(iter(lines), "failed").removeprefix("Failed: ")[:200]


def _markdown_row(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _order(name: str) -> tuple[str, int]:
    return name[0], int(name[1:])
