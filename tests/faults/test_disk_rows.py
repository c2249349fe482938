"""C14 to C17: the disk is full, forbidden, damaged or shared."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from agentsight_auto import conversation, flush
from agentsight_auto.deliver.segment import LINES_OF_A_RECORD, parse
from tests.faultserver import fault_server

from . import rig
from .table import Row

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts are POSIX")

FULL_DISK = """
    import json, logging, subprocess
    logging.disable()
    disk = os.environ["AGENTSIGHT_HOME"]
    os.makedirs(disk, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
    from agentsight_auto import _runtime, conversation, flush
    import sqlite3
    ballast = os.path.join(disk, "foreign")
    with open(ballast, "wb") as file:
        file.write(b"0" * 2_000_000)
    number = 0
    while True:  # until SQLite has met the end of the disk and much waits
        with conversation(f"chat {number}") as chat:
            chat.track_human_message(f"full-{number} " + "x" * 2000)
        number += 1
        if number % 200 == 0:
            report = _runtime.default().pipeline.report()
            if report.pending and os.statvfs(disk).f_bavail * 4096 < 40_000 and number >= 1500: break
            time.sleep(0.05)
        if number >= 5000: break
    met_full = os.statvfs(disk).f_bavail * 4096 < 200_000
    report = flush(1)
    waiting = report.pending
    doctor = [sys.executable, "-m", "agentsight_auto", "doctor", "--json"]
    found = json.loads(subprocess.run(doctor, check=False, capture_output=True).stdout)
    names_it = any("free on the disk" in problem["what"] for problem in found["problems"])
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    freed = time.monotonic()
    # the first event that arrives again after there is room
    delivered = report.delivered
    while _runtime.default().pipeline.report().delivered == delivered and time.monotonic() - freed < 30:
        time.sleep(0.05)
    resumed_s = time.monotonic() - freed
    end = time.monotonic() + 40
    while not (report := flush(5)).is_complete and time.monotonic() < end: pass
    store = sqlite3.connect(os.path.join(disk, "agentsight.db"))
    found = [text.split()[0] for (text,) in store.execute("SELECT content FROM messages")]
    whole = store.execute("PRAGMA integrity_check").fetchone()[0]
    store.close()
    lost = 3 * number - sum(report.lost.values()) - report.delivered - sum(report.rejected.values())
    os.write(1, f"{met_full} {waiting} {resumed_s:.2f} {number} {len(found)} {len(set(found))} "
                f"{sum(report.lost.values())} {lost} {whole} {names_it}\\n".encode())
"""


@pytest.mark.timeout(200)
def test_c14_disk_full(row: Row, tmp_path: Path) -> None:
    """On a full disk nothing raises, what was lost is counted exactly, and delivery resumes when there is room."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        row.not_provoked("no private mounts here, so that no disk can be filled")
    assert unshare is not None
    done = subprocess.run(
        [unshare, "-Urm", sys.executable, "-c", rig.RECORD_TEXTS + textwrap.dedent(FULL_DISK)],
        env=rig.environment(tmp_path / "disk"),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    met_full, waiting, resumed_s, count, stored, distinct, lost, unaccounted, whole, named = done.stdout.split()
    row.provoke(
        f"outbox and store on a tmpfs of 4 MB until it is full ({count} blocks, {waiting} events waiting), then room"
    )
    assert met_full == "True"
    row.figure("exceptions in the caller", asked="0", reached=done.stderr.strip() or 0, holds=not done.stderr)
    row.figure("resumed", asked="≤ 5 s", reached=f"{resumed_s} s", holds=float(resumed_s) <= (5 if row.is_full else 20))
    row.figure(
        "lost",
        asked="= the counter",
        reached=f"{int(count) - int(distinct)}, counted {lost}",
        holds=int(unaccounted) == 0 and int(count) - int(distinct) <= int(lost),
    )
    row.figure("stored twice", asked="0", reached=int(stored) - int(distinct), holds=stored == distinct)
    row.figure("integrity_check", asked="ok", reached=whole, holds=whole == "ok")
    row.figure("doctor names the full disk", asked="yes", reached=named, holds=named == "True")


NO_FILES = """
    import logging
    PREPARE
    from agentsight_auto import flush
    printed = []
    class Handler(logging.Handler):
        def emit(self, record): printed.append(record.getMessage())
    logging.getLogger("agentsight_auto").addHandler(Handler())
    logging.getLogger("agentsight_auto").propagate = False
    record("block left", "text", 30)
    SPOIL
    record("outside a block", "more", 30)
    report = flush(10)
    os.write(1, f"{report.captured} {report.delivered} {len(printed)}\\n".encode())
    os.write(2, "".join(line + "\\n" for line in printed).encode())
"""

BECOME_NOBODY = """
from agentsight_auto import _runtime
loading = _runtime.Runtime(home=os.environ["AGENTSIGHT_HOME"] + "-loading")  # nobody may not import from everywhere
with _runtime.used_as_default(loading):
    with conversation("loading"): pass
    loading.shutdown(5)
os.setgid(65534); os.setuid(65534)
"""
TAKE_DESCRIPTORS = """
import resource
flush(5)
held = []
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
try:
    while True: held.append(os.open("/dev/null", 0))
except OSError: pass
"""
DELETE_FOLDER = """
import shutil
flush(5)
shutil.rmtree(os.environ["AGENTSIGHT_HOME"])
"""
NO_FILE_CASES = {
    "a read-only folder as another user": (BECOME_NOBODY, "pass"),
    "no HOME and no folder to write in": ("os.environ.pop('HOME', None)" + BECOME_NOBODY, "pass"),
    "folder deleted while running": ("pass", DELETE_FOLDER),
    "no descriptor left": ("pass", TAKE_DESCRIPTORS),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", NO_FILE_CASES)
def test_c15_no_files(row: Row, tmp_path: Path, case: str) -> None:
    """Where no file can be made or kept, everything is delivered from memory and one warning says so."""
    prepare, spoil = NO_FILE_CASES[case]
    if BECOME_NOBODY in prepare and os.geteuid() != 0:
        row.not_provoked("becoming another user needs root")
    home = tmp_path / "home"
    program = textwrap.dedent(NO_FILES).replace("PREPARE", prepare).replace("SPOIL", spoil)
    with fault_server() as server:
        if BECOME_NOBODY in prepare:
            home.mkdir(mode=0o555)
        ended = rig.run(home, program, server=server)
        if case == "no descriptor left":
            rig.deliver_what_waits(home, server=server)
        assert ended.returncode == 0, ended.err
        captured, delivered, warnings = ended.acknowledged.pop().split()
        row.provoke(case)
        row.figure(
            "exceptions",
            asked="0",
            reached=0 if "Traceback" not in ended.err else ended.err,
            holds="Traceback" not in ended.err,
        )
        row.figure("warnings", asked="≤ 1 for each cause", reached=warnings, holds=int(warnings) <= 2)
        rig.judge(row, ended.acknowledged, rig.served_texts(server))
    assert int(captured) == int(delivered) or case == "no descriptor left"


def _noise(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + os.urandom(8192) + data[middle:]


SEGMENT_DAMAGE = {
    "torn last line": lambda data: data[:-20],
    "NULs at the end": lambda data: data + b"\0" * 5000,
    "8 KB of noise in the middle": _noise,
    "a bad checksum": lambda data: data.replace(b"text-7", b"text-x", 1),
    "no header": lambda data: data.partition(b"\n")[2],
}


@pytest.mark.parametrize("damage", SEGMENT_DAMAGE)
def test_c16_damaged_segment(row: Row, tmp_path: Path, damage: str) -> None:
    """Every record whose checksum is good is delivered, before and after the damage; the rest is set aside."""
    ended = rig.run(
        tmp_path,
        "record('block left', 'text', 30)\nos._exit(0)",
        server=None,
        AGENTSIGHT_API_KEY="ags_x",
        AGENTSIGHT_API_ENDPOINT="http://127.0.0.1:9",
    )
    good: set[str] = set()
    for path in (tmp_path / "outbox").glob("*/*.segment"):
        path.write_bytes(SEGMENT_DAMAGE[damage](path.read_bytes()))
        records = b"\n".join(parse(path.read_bytes()).records).decode()
        good |= {text for text in ended.acknowledged if f'"{text}"' in records}
    assert len(good) >= 30 - LINES_OF_A_RECORD
    began = time.monotonic()
    with rig.recording_to(tmp_path):
        with conversation("new") as chat:
            chat.track_human_message("new one")
        first_s = time.monotonic() - began
        flush(10)
    rig.deliver_what_waits(tmp_path)
    row.provoke(f"segment: {damage}")
    rig.judge(row, {*good, "new one"}, rig.stored_texts(tmp_path))
    aside = rig.doctor(tmp_path)["outbox"]["set_aside"]["corrupt"]["count"]
    row.figure("set aside, says doctor", asked="the damage", reached=aside, holds=aside >= (damage != "no header"))
    row.figure("start", asked="≤ 2 s", reached=f"{first_s:.2f} s", holds=first_s <= (2 if row.is_full else 10))


def _flip(home: Path, at: float) -> None:
    path = home / "agentsight.db"
    data = bytearray(path.read_bytes())
    place = int(len(data) * at)
    data[place : place + 2000] = os.urandom(2000)
    path.write_bytes(bytes(data))


STORE_DAMAGE = {
    "header": lambda home: _flip(home, 0),
    "truncated to half": lambda home: os.truncate(home / "agentsight.db", (home / "agentsight.db").stat().st_size // 2),
    "bytes in a page": lambda home: _flip(home, 0.5),
    "garbage for a WAL": lambda home: (home / "agentsight.db-wal").write_bytes(os.urandom(50_000)),
    "a folder in its place": lambda home: ((home / "agentsight.db").unlink(), (home / "agentsight.db").mkdir()),
}


@pytest.mark.parametrize("damage", STORE_DAMAGE)
def test_c16_damaged_store(row: Row, tmp_path: Path, damage: str) -> None:
    """A damaged store harms no caller and nothing is deleted; new events wait or arrive."""
    row.has_damaged_store = True
    rig.run(tmp_path, "record('block left', 'old', 60)")
    rig.deliver_what_waits(tmp_path)  # the end of a process begins no batch after its first moments
    before = rig.stored_texts(tmp_path)
    assert len(before) == 60
    kept_bytes = (tmp_path / "agentsight.db").stat().st_size
    STORE_DAMAGE[damage](tmp_path)
    began = time.monotonic()
    ended = rig.run(tmp_path, "import logging; logging.disable()\nrecord('block left', 'new', 60)")
    took_s = time.monotonic() - began
    assert ended.returncode == 0, ended.err
    assert len(ended.acknowledged) == 60
    found = rig.doctor(tmp_path)
    try:
        stored = set(ended.acknowledged) & rig.stored_texts(tmp_path).keys()
    except (sqlite3.Error, OSError):
        stored = set()
    segments = [parse(path.read_bytes()).records for path in (tmp_path / "outbox").glob("*-*/*.segment")]
    outbox = b"\n".join(line for lines in segments for line in lines).decode()
    missing = [text for text in ended.acknowledged if text not in stored and f'"{text}"' not in outbox]
    row.provoke(f"store: {damage}")
    row.figure("new events lost", asked="0", reached=len(missing), holds=not missing)
    store = tmp_path / "agentsight.db"
    deleted = store.is_file() and store.stat().st_size < kept_bytes // 2 - 4096
    row.figure("store deleted", asked="never", reached="yes" if deleted else "no", holds=not deleted)
    row.figure(
        "program with a damaged store",
        asked="start ≤ 2 s, exit ≤ 2 s",
        reached=f"{took_s:.1f} s",
        holds=took_s <= (6 if row.is_full else 30),
    )
    told = any("store" in p["what"].lower() or "database" in p["what"].lower() for p in found["problems"])
    if not told:  # the bytes may lie where SQLite keeps nothing: then the store takes everything
        rig.deliver_what_waits(tmp_path)
        told = set(ended.acknowledged) <= rig.stored_texts(tmp_path).keys()
    row.figure(
        "doctor names it, or it does no harm",
        asked="yes",
        reached="yes" if told else found["problems"],
        holds=told,
    )


def test_c17_two_processes_one_store(row: Row, tmp_path: Path) -> None:
    """While somebody holds the store's lock for 3 s, calls take microseconds, and nobody sees that it was locked."""
    rig.run(tmp_path, "record('block left', 'first', 3)")
    holder = sqlite3.connect(tmp_path / "agentsight.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    program = """
        times = []
        from agentsight_auto import agentsight_api, flush
        end = time.monotonic() + 2.5
        number = 0
        with conversation("open") as chat:
            while time.monotonic() < end:
                began = time.perf_counter()
                chat.track_human_message(f"{sys.argv[1]}-{number}")
                times.append(time.perf_counter() - began)
                acknowledge(f"{sys.argv[1]}-{number}")
                number += 1
                time.sleep(0.001)
        times.sort()
        flush(15)
        os.write(1, f"took={times[int(len(times) * 0.99)]}\\n".encode())
    """
    children = [rig.start(tmp_path, program, name) for name in ("left", "right")]
    time.sleep(3.2)
    holder.execute("ROLLBACK")
    holder.close()
    acknowledged, slowest_s, errors = [], 0.0, ""
    for child in children:
        out, err = child.communicate(timeout=60)
        lines = rig.complete_lines(out)
        slowest_s = max(slowest_s, float(lines.pop().partition("=")[2]))
        acknowledged += lines
        errors += err
    rig.deliver_what_waits(tmp_path)
    row.provoke("two processes on one store while a third holds its write lock for 3 s")
    rig.judge(row, acknowledged, rig.stored_texts(tmp_path))
    row.figure('"database is locked" to the user', asked="0", reached=errors.count("locked"), holds=not errors)
    row.figure(
        "call p99",
        asked="≤ 1 ms",
        reached=f"{1000 * slowest_s:.2f} ms",
        holds=slowest_s <= (0.001 if row.is_full else 1),
    )
