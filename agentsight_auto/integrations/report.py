"""What became of the integrations in this process, written down where `doctor` reads it.

In: states, when they have changed. Out: one small file a process in ``<home>/integrations/``, the latest ones only.
Loses: nothing that is recorded. Where no home has been made yet nothing is written, until there is one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from .. import _runtime
from .._guard import guarded

FOLDER = "integrations"
_MOST_FILES = 20


class Status(NamedTuple):
    """What became of one integration in this process."""

    name: str
    state: str
    version: str | None
    oldest: str
    reason: str | None


class Report(msgspec.Struct, frozen=True):
    """What one process has said: its program, and when, in microseconds since 1970 (UTC)."""

    pid: int
    program: str
    at_us: int
    integrations: list[Status]

    @property
    def is_running(self) -> bool | None:
        """Whether there is a process of this id, which may be another one by now; None where that cannot be asked."""
        if os.name != "posix":
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True


class Reporter:
    """Writes the report of this process: after a change, as soon as there is a home, and at its end."""

    def __init__(self, read: Callable[[], Sequence[Status]]) -> None:
        self._read = read
        self._is_registered = False
        self.is_due = False
        self.is_silent = False

    def change(self) -> None:
        """Take note that a state has changed."""
        self.is_due = True
        if not self._is_registered:
            self._is_registered = True
            atexit.register(self.write)
        self.write()

    @guarded
    def write(self) -> None:
        """Write the report if it is due, and settings have been read, and there is a home."""
        settings = _runtime.default().loaded_settings
        if (
            not self.is_due
            or self.is_silent
            or settings is None
            or settings.disabled
            or not Path(settings.home).is_dir()
        ):
            return
        self.is_due = False
        told = Report(os.getpid(), sys.argv[0] if sys.argv else "", time.time_ns() // 1000, list(self._read()))
        with contextlib.suppress(OSError):  # a full disk, a home that only others may write
            _write(Path(settings.home) / FOLDER, told)


def _write(folder: Path, report: Report) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{report.pid}.json"
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(report))
    unfinished.replace(path)
    written = sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime)
    for old in written[:-_MOST_FILES]:
        old.unlink(missing_ok=True)


def read_reports(home: Path) -> list[Report]:
    """Return what processes have written, the latest first; what cannot be read is left out."""
    reports = []
    with contextlib.suppress(OSError):
        for path in (home / FOLDER).glob("*.json"):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                reports.append(msgspec.json.decode(path.read_bytes(), type=Report))
    return sorted(reports, key=lambda report: -report.at_us)
