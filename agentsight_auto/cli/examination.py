"""Look at everything `doctor` reports on, without changing, making or failing on any of it.

In: settings. Out: findings as plain JSON-ready values, and problems with what to do.
Loses: nothing; what cannot be looked at is a problem itself.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from agentsight_auto._clock import iso_from_us
from agentsight_auto._settings import Settings, check_remote
from agentsight_auto.deliver.losses import FILE_NAME as LOSSES
from agentsight_auto.deliver.losses import read_losses, total_lost
from agentsight_auto.deliver.overview import look_into
from agentsight_auto.deliver.rejected import Rejected
from agentsight_auto.deliver.set_aside import CORRUPT, NEWER
from agentsight_auto.exceptions import ConfigurationException, StoreException
from agentsight_auto.store.migrations import MIGRATIONS, check_ours, current_version
from agentsight_auto.store.sqlite import connect, store_error

OLDEST_SQLITE = (3, 38, 0)
_WAL_RESET_SQLITE = ((3, 7, 0), (3, 51, 2))
"""Versions whose WAL reset can, very rarely, damage a file with several writers. Source: https://sqlite.org/wal.html"""

_CHECKED_BYTES = 64 * 1024 * 1024
_LITTLE_SPACE_BYTES = 1024**3
_NO_SPACE_BYTES = 32 * 1024**2
_REJECTED_SHOWN = 20
_LOSS_REASONS = {
    "outbox_full": "the outbox was full",
    "memory_full": "the disk took nothing and the memory for waiting events was full",
    "damaged": "records were damaged on disk",
    "vanished": "files of the outbox were removed by somebody else",
    "newer_version": "a newer version wrote them",
}
_FILES_SHOWN = 20


class Problem(msgspec.Struct, frozen=True):
    """What is wrong and what to do; `loses_data` if events are lost, or will be unless something is done."""

    what: str
    advice: str
    loses_data: bool


class Examination:
    """Findings by subject, collected by the `look_at_...` methods, and the problems met on the way."""

    def __init__(self, settings: Settings) -> None:
        self.problems: list[Problem] = []
        self._settings = settings

    def add(self, what: str, advice: str, *, loses_data: bool = False) -> None:
        """Note a problem."""
        self.problems.append(Problem(what, advice, loses_data))

    def look_at_home(self) -> dict[str, Any]:
        """Look at the folder: whether it is there, who may read it, how much room is left."""
        home = Path(self._settings.home)
        nearest = next((folder for folder in (home, *home.parents) if _exists(folder)), Path("/"))
        found: dict[str, Any] = {"path": str(home), "exists": _exists(home), "mode": None, "free_bytes": None}
        if not nearest.is_dir():
            self.add(f"{nearest} is not a folder.", "Set AGENTSIGHT_HOME to a folder.", loses_data=True)
            return found
        if not os.access(nearest, os.W_OK | os.X_OK):
            advice = "Give this user the right to write there, or set AGENTSIGHT_HOME to another folder."
            self.add(f"{nearest} cannot be written to.", advice, loses_data=True)
        try:
            found["free_bytes"] = shutil.disk_usage(nearest).free
            mode = stat.S_IMODE(home.stat().st_mode)
        except FileNotFoundError:
            mode = None
        except OSError as error:
            self.add(f"{nearest} cannot be looked at: {error}", "Check the disk.", loses_data=True)
            return found
        if mode is not None:
            found["mode"] = f"{mode:04o}"
            if mode & 0o077:
                self.add(f"Other users may look into {home}.", f"Run: chmod 700 {home}")
        if found["free_bytes"] < _LITTLE_SPACE_BYTES:
            is_full = found["free_bytes"] < _NO_SPACE_BYTES
            what = f"Only {found['free_bytes'] // 2**20} MiB are free on the disk of {home}."
            self.add(what, "Free some space, or set AGENTSIGHT_HOME to another disk.", loses_data=is_full)
        return found

    def look_at_sqlite(self) -> dict[str, Any]:
        """Look at the version of SQLite that Python brings."""
        version = sqlite3.sqlite_version_info
        if version < OLDEST_SQLITE:
            advice = "Use a Python that brings SQLite 3.38 or newer."
            self.add(f"SQLite {sqlite3.sqlite_version} is too old.", advice, loses_data=True)
        elif _WAL_RESET_SQLITE[0] <= version <= _WAL_RESET_SQLITE[1]:
            what = f"SQLite {sqlite3.sqlite_version} can, very rarely, damage a file that several processes write to."
            self.add(what, "Where several processes record, use a Python with SQLite 3.51.3 or newer.")
        return {"version": sqlite3.sqlite_version}

    def look_at_store(self) -> dict[str, Any]:
        """Look at the store's file: whether it is ours, sound, and of this version."""
        path = self._settings.store_path
        found: dict[str, Any] = {"path": str(path), "exists": False, "size_bytes": None}
        found |= {"schema_version": None, "newest_schema_version": MIGRATIONS[-1].version, "conversations": None}
        try:
            if not path.exists():
                return found
            found |= {"exists": True, "size_bytes": path.stat().st_size}
            with closing(connect(path, read_only=True)) as handle:
                check_ours(handle, path)
                found["schema_version"] = current_version(handle)
                if found["schema_version"]:
                    (found["conversations"],) = handle.execute("SELECT count(*) FROM conversations").fetchone()
                if found["size_bytes"] <= _CHECKED_BYTES:
                    self._check_soundness(handle, path)
        except StoreException as error:
            self._add_store_error(error)
        except (OSError, sqlite3.Error) as error:
            self._add_store_error(store_error(path, error))
        return found

    def _check_soundness(self, handle: sqlite3.Connection, path: Path) -> None:
        (verdict,) = handle.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            advice = "Keep a copy, then restore a backup, or save what can be read: sqlite3 FILE .recover"
            self.add(f"The store {path} is damaged: {verdict}", advice, loses_data=True)

    def _add_store_error(self, error: StoreException) -> None:
        advice = "Until then events wait in the outbox, which has a limit."
        self.add(str(error), advice, loses_data=True)

    def look_at_attachments(self) -> dict[str, Any]:
        """Count the attachments and their bytes."""
        folder = self._settings.attachments_path
        files = size_bytes = 0
        for directory, _, names in os.walk(folder):  # errors are passed over: what cannot be seen is not counted
            for name in names:
                try:
                    size_bytes += (Path(directory) / name).stat().st_size
                    files += 1
                except OSError:
                    continue
        return {"path": str(folder), "files": files, "size_bytes": size_bytes}

    def look_at_outbox(self) -> dict[str, Any]:
        """Look at what waits, what was rejected and what was damaged."""
        outbox = self._settings.outbox_path
        found: dict[str, Any] = {"path": str(outbox), "exists": _exists(outbox)}
        try:
            summary = look_into(outbox, None, 0)
            rejected = Rejected(outbox).list()
        except OSError as error:
            self.add(f"The outbox {outbox} cannot be read: {error}", "Check its permissions.", loses_data=True)
            return found
        found |= {"events": summary.events, "segments": summary.segments, "size_bytes": summary.size_bytes}
        found |= {"oldest_age_s": summary.oldest_age_s, "processes": msgspec.to_builtins(summary.shares)}
        reasons = Counter(event.reason for event in rejected)
        found["rejected"] = {
            "count": len(rejected),
            "by_reason": dict(reasons.most_common(_REJECTED_SHOWN)),
            "latest": [_rejected(event) for event in rejected[-_REJECTED_SHOWN:]],
        }
        notes = read_losses(outbox)
        found["lost"] = {
            "by_reason": total_lost(notes),
            "last_at": iso_from_us(notes[-1].at_us) if notes else None,
        }
        found["set_aside"] = {
            kind: {"folder": str(outbox / kind), "count": count, "files": _names(outbox / kind)}
            for kind, count in ((CORRUPT, summary.damaged), (NEWER, summary.newer))
        }
        self._judge_outbox(found)
        return found

    def _judge_outbox(self, found: dict[str, Any]) -> None:
        outbox_path = self._settings.outbox_path
        rejected = found["rejected"]["count"]
        damaged, newer = found["set_aside"][CORRUPT], found["set_aside"][NEWER]
        if rejected:
            reason = next(iter(found["rejected"]["by_reason"]))
            what = f"Rejected events: {rejected}; most often: {reason}"
            self.add(what, "Remove the reason, then run: agentsight-auto doctor --retry", loses_data=True)
        lost = found["lost"]["by_reason"]
        if lost:
            reasons = ", ".join(f"{_LOSS_REASONS.get(reason, reason)}: {count}" for reason, count in lost.items())
            self.add(
                f"Events were lost, last at {found['lost']['last_at']}: {reasons}",
                f"Remove the reason; remove {outbox_path / LOSSES} when you have read this.",
                loses_data=True,
            )
        if damaged["count"]:
            what = f"Damaged records were set aside in {damaged['folder']}: {damaged['count']} files."
            self.add(what, "Check the disk; remove the files when you have looked at them.", loses_data=True)
        if newer["count"]:
            what = f"A newer agentsight-auto recorded events that this one cannot read: {newer['count']} files."
            self.add(what, f"Upgrade, then move them from {newer['folder']} back into a folder of the outbox.")
        dead = sum(share["events"] for share in found["processes"] if share["owner"] == "dead")
        if dead:
            self.add(
                f"Processes that have ended left {dead} events.",
                "Any command that reads delivers them: agentsight-auto list",
            )

    def look_at_settings(self) -> None:
        """Look at what of the settings cannot work."""
        settings = self._settings
        for problem in settings.problems:
            self.add(f"A setting is ignored: {problem}", "Correct it, or unset it.")
        if settings.disabled:
            self.add("AGENTSIGHT_DISABLED is set: nothing is recorded.", "Unset it to record.")
        if settings.is_remote:
            try:
                check_remote(settings)
            except ConfigurationException as error:
                self.add(str(error), "Until then events wait in the outbox, within its bound.", loses_data=True)
        if settings.geoip_db is not None and not os.access(settings.geoip_db, os.R_OK):
            what = f"The GeoIP database {settings.geoip_db} cannot be read."
            self.add(what, "Correct AGENTSIGHT_GEOIP_DB; until then conversations have no place.")


def _exists(path: Path) -> bool:
    """Tell whether there is such a file; what cannot be looked at is not there."""
    try:
        return path.exists()
    except OSError:
        return False


def _rejected(event: Any) -> dict[str, Any]:
    known = event.event()
    return {
        "rejected_at": iso_from_us(event.at_us),
        "reason": event.reason,
        "kind": None if known is None else type(known).__name__,
        "conversation_id": None if known is None else known.conversation_id,
    }


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())[:_FILES_SHOWN]
    except OSError:
        return []
