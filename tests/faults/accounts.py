"""The books, looked at from outside at the end of every test of a row.

Each runtime that was shut down in this process, and each child that came to its end, tells its last report: what it
captured is delivered, waits, or was rejected or lost for a reason. In each folder of the test `doctor` must say what a
second reading of the files finds, and name what needs a person; each store must be whole.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto._runtime import Runtime
from agentsight_auto.cli.main import main
from agentsight_auto.deliver.report import FlushReport

from .table import Row

BOOKS = "FAULTS_BOOKS"
"""Names the file to which children append their last report when they end."""

CHILD_BOOKS = f"""
import atexit as _atexit, os as _os
def _tell_books():
    import json, sys
    runtime = sys.modules.get("agentsight_auto._runtime")
    pipeline = runtime and runtime.default()._pipeline
    books = _os.environ.get("{BOOKS}")
    if pipeline is not None and books:
        told = pipeline.report()
        told = {{name: getattr(told, name) for name in ("captured", "delivered", "pending", "rejected", "lost")}}
        try: file = _os.open(books, _os.O_WRONLY | _os.O_APPEND | _os.O_CREAT, 0o666)
        except OSError: return  # it has become another user, or has no descriptor left
        _os.write(file, json.dumps(told).encode() + b"\\n")
        _os.close(file)
_atexit.register(_tell_books)  # before the library registers anything: it runs after all of it
"""

_RECORD = re.compile(rb"([0-9a-f]{8}) (\d+) ")


class Books:
    """Gathers the reports of one test; `settle` writes what they and the files come to into its row."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._file = folder / "books.jsonl"
        self.reports: list[dict[str, Any]] = []
        monkeypatch.setenv(BOOKS, str(self._file))
        ending = Runtime.shutdown

        def shutdown(runtime: Runtime, timeout_s: float) -> FlushReport:
            report = ending(runtime, timeout_s)
            self.note(report)
            return report

        monkeypatch.setattr(Runtime, "shutdown", shutdown)

    def note(self, report: FlushReport) -> None:
        """Take the last report of a runtime."""
        self.reports.append({name: getattr(report, name) for name in report.__struct_fields__})

    def settle(self, row: Row) -> None:
        """Judge every report, folder and store; a test without any must say why."""
        reports = [*self.reports, *_lines(self._file)]
        row.processes += len(reports)
        row.accounts_missed += [f"does not balance: {report}" for report in reports if not _balances(report)]
        most = 3 if not row.is_full else 40
        for home in list(_homes(self._folder))[:most]:
            row.folders += 1
            row.accounts_missed += [f"doctor of {home.name}: {wrong}" for wrong in _differences(home)]
        for store in sorted(self._folder.rglob("*.db"))[:most] if not row.has_damaged_store else []:
            row.stores += 1
            row.accounts_missed += [f"{store.name}: {wrong}" for wrong in _damage(store)]
        if not (row.processes or row.folders or row.stores or row.no_accounts):
            row.accounts_missed.append("nothing to account for, and no reason given")


def _balances(report: dict[str, Any]) -> bool:
    settled = report["delivered"] + report["pending"]
    settled += sum(report["rejected"].values()) + sum(report["lost"].values())
    return bool(report["captured"] == settled and report["pending"] >= 0)


def _homes(folder: Path) -> Iterator[Path]:
    for outbox in sorted(folder.rglob("outbox")):
        if outbox.is_dir():
            yield outbox.parent


def _differences(home: Path) -> Iterator[str]:
    """Tell where `doctor` and a reading of the files differ, and what it does not name."""
    found = _doctor(home)
    outbox, named = found["outbox"], " ".join(problem["what"] for problem in found["problems"])
    folder = home / "outbox"
    waiting = sum(_records(path) for path in folder.glob("*-*/*.segment"))
    rejected = len([line for path in (folder / "rejected").glob("*.jsonl") for line in _lines(path)])
    lost: Counter[str] = Counter()
    for note in _lines(folder / "losses.jsonl"):
        lost.update(note["lost"])
    aside = {kind: len(list((folder / kind).glob("*"))) for kind in ("corrupt", "newer")}
    told = (outbox["events"], outbox["rejected"]["count"], outbox["lost"]["by_reason"])
    if told != (waiting, rejected, dict(lost)):
        yield f"says waiting, rejected, lost {told}; the files {(waiting, rejected, dict(lost))}"
    if {kind: entry["count"] for kind, entry in outbox["set_aside"].items()} != aside:
        yield f"says set aside {outbox['set_aside']}; the files {aside}"
    dead = sum(share["events"] for share in outbox["processes"] if share["owner"] == "dead")
    names = {f"left {dead} events": dead, f"Rejected events: {rejected}": rejected, "were lost": sum(lost.values())}
    names |= {"Damaged records": aside["corrupt"], "newer agentsight-auto": aside["newer"]}
    yield from (f"does not name {name!r}" for name, count in names.items() if count and name not in named)


def _doctor(home: Path) -> dict[str, Any]:
    """Return what the command says, asked in this process."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main(["doctor", "--json", "--home", str(home)])
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def _records(path: Path) -> int:
    """Count the events in the records of a segment whose length and checksum hold, without the library's own reader."""
    data, events, at = b"", 0, 0
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
    while at < len(data):
        start = _RECORD.match(data, at)
        payload = data[start.end() : start.end() + int(start[2])] if start else b""
        if start and zlib.crc32(payload) == int(start[1], 16):
            events += payload.count(b"\n") + 1
            at = start.end() + len(payload) + 1
        else:
            at = data.find(b"\n", at) + 1 or len(data)
    return events


def _damage(store: Path) -> Iterator[str]:
    """Tell what is wrong with a store's file."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=20)) as connection:
        (whole,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if whole != "ok":
            yield str(whole)
        dangling = connection.execute("PRAGMA foreign_key_check").fetchall()
        if dangling:
            yield f"foreign keys that lead nowhere: {dangling[:2]}"


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of a file, without a torn one; none where there is none."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found
