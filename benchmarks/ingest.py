"""Ingest into the embedded store, against raw `sqlite3` and against the default SQLite stores of two peers.

The baseline takes the rows that ingest itself made, out of a finished store, and puts them into the same tables with
one `executemany` a table and batch, in transactions of the same size: without the search index and with it. The peers
are arize-phoenix and mlflow, each a server of its own in an environment of its own (made on demand below `--folder`),
fed over HTTP with OTLP; what counts is when the last span can be read back from their database. Processor time stands
beside the rates: on a busy machine it is what can be compared.

Run:    python benchmarks/ingest.py [--conversations N] [--rounds R] [--peers] [--folder F]
Prints: events per second and ratios, medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from corpus import Corpus

from agentsight_auto.events import AnyEvent
from agentsight_auto.store import search_index, search_tables
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest
from agentsight_auto.store.sqlite import connect

BATCH_EVENTS = 1_000
TABLES = (
    "conversations", "messages", "action_logs", "token_usages", "feedbacks", "metadata_values", "conversation_actions",
    "conversation_hours",
)  # fmt: skip
PEERS = Path(__file__).parent / "ingest_peers.py"


def batches(conversations: int) -> list[list[AnyEvent]]:
    """Return events in portions of about a thousand, whole conversations each."""
    portions: list[list[AnyEvent]] = [[]]
    for told in Corpus().conversations(0, conversations):
        if len(portions[-1]) >= BATCH_EVENTS:
            portions.append([])
        portions[-1].extend(told)
    return portions


@contextmanager
def without_search() -> Iterator[None]:
    """Let ingest take this SQLite for one without FTS5."""
    with mock.patch.object(search_tables, "is_available", return_value=False):
        yield


class Took(NamedTuple):
    """Seconds by the clock, and of a processor."""

    wall: float
    busy: float


def took(begun: float, busy: float) -> Took:
    """Return what was taken since."""
    return Took(time.perf_counter() - begun, time.process_time() - busy)


def ours(folder: Path, portions: Sequence[list[AnyEvent]], *, with_search: bool) -> Took:
    """Return what ingest takes; every batch is committed before the next."""
    path = folder / ("searched.db" if with_search else "plain.db")
    if not with_search:
        with without_search():
            return _ingest(path, portions)
    return _ingest(path, portions)


def _ingest(path: Path, portions: Sequence[list[AnyEvent]]) -> Took:
    database = Database.open(path)
    begun, busy = time.perf_counter(), time.process_time()
    for events in portions:
        ingest(database, events)
    with mock.patch.object(search_index, "TAIL", 1), database.write() as connection:
        search_index.catch_up(connection)  # what is left of it belongs to what was stored
    taken = took(begun, busy)
    database.close()
    return taken


class Rows:
    """The rows of a finished store, in portions of as many conversations as ours stores together."""

    def __init__(self, path: Path, portions: Sequence[list[AnyEvent]]) -> None:
        """Read them all."""
        sizes = [len({event.conversation_id for event in events}) for events in portions]
        self.portions: list[dict[str, list[tuple[object, ...]]]] = []
        with closing(sqlite3.connect(path)) as connection:
            first = 1
            for size in sizes:
                bounds = (first, first + size - 1)
                self.portions.append({table: _rows(connection, table, bounds) for table in TABLES})
                first += size
            self.texts = [_texts(connection, portion) for portion in self.portions]


def _rows(connection: sqlite3.Connection, table: str, bounds: tuple[int, int]) -> list[tuple[object, ...]]:
    column = "id" if table == "conversations" else "conversation_pk"
    return connection.execute(f"SELECT * FROM {table} WHERE {column} BETWEEN ? AND ?", bounds).fetchall()


def _texts(connection: sqlite3.Connection, portion: dict[str, list[tuple[object, ...]]]) -> list[tuple[int, str]]:
    names = [column[1] for column in connection.execute("PRAGMA table_info(messages)")]
    pk, kind, content = (names.index(name) for name in ("conversation_pk", "kind", "content"))
    said: dict[int, list[str]] = {}
    for row in portion["messages"]:
        if row[kind] != "action":
            said.setdefault(int(str(row[pk])), []).append(str(row[content]))
    return [(key, "\n".join(texts)) for key, texts in said.items()]


def raw(folder: Path, rows: Rows, *, with_search: bool) -> Took:
    """Return what one executemany a table and batch takes, each batch committed."""
    path = folder / "raw.db"
    Database.open(path).close()
    with closing(connect(path)) as connection:
        connection.execute("INSERT INTO agents (id, name) VALUES (1, 'default')")
        begun, busy = time.perf_counter(), time.process_time()
        for portion, texts in zip(rows.portions, rows.texts, strict=True):
            connection.execute("BEGIN IMMEDIATE")
            for table, of_table in portion.items():
                if of_table:
                    marks = ", ".join("?" * len(of_table[0]))
                    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", of_table)
            if with_search:
                connection.executemany("INSERT INTO message_search (rowid, content) VALUES (?, ?)", texts)
            connection.execute("COMMIT")
        return took(begun, busy)


def compare(folder: Path, conversations: int, rounds: int) -> tuple[float, int]:
    """Print the table of our own store; return our events per second with the search index, and how many there were."""
    portions = batches(conversations)
    number = sum(map(len, portions))
    ours(folder, portions, with_search=True)
    rows = Rows(folder / "searched.db", portions)
    cases = {
        "raw executemany": lambda at: raw(at, rows, with_search=False),
        "raw executemany, search index": lambda at: raw(at, rows, with_search=True),
        "ingest, no search index": lambda at: ours(at, portions, with_search=False),
        "ingest, search index": lambda at: ours(at, portions, with_search=True),
    }
    seconds: dict[str, list[Took]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                seconds[name].append(run(Path(fresh)))
    median = {name: statistics.median(one.wall for one in times) for name, times in seconds.items()}
    print(f"{number:,} events in batches of {BATCH_EVENTS:,}, each committed; {rounds} rounds")
    busy = {name: statistics.median(one.busy for one in times) for name, times in seconds.items()}
    print(f"{'':34} {'events/s':>10} {'of raw':>7} {'of raw with index':>18} {'CPU us/event':>13} {'of raw':>7}")
    for name, wall in median.items():
        of_raw, of_indexed = (median[base] / wall for base in ("raw executemany", "raw executemany, search index"))
        cpu, of_cpu = busy[name] / number * 1e6, busy["raw executemany"] / busy[name]
        print(f"{name:34} {number / wall:10,.0f} {of_raw:7.2f} {of_indexed:18.2f} {cpu:13.1f} {of_cpu:7.2f}")
    print("asked: without the search index 0.50 of raw, with it 0.33")
    return number / median["ingest, search index"], number


def compare_peers(folder: Path, our_rate: float, spans: int) -> None:
    """Feed each peer in its own environment and print how much faster we are."""
    for peer, module in (("arize-phoenix", "phoenix"), ("mlflow", "mlflow")):
        python = _environment(folder / "envs" / peer, peer)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            run = subprocess.run(
                [python, str(PEERS), module, fresh, str(spans)], capture_output=True, text=True, check=False
            )
        if run.returncode:
            print(f"{peer}: could not be measured\n{run.stderr[-2000:]}")
            continue
        rate = float(run.stdout.split()[-1])
        print(f"{peer:34} {rate:10,.0f} spans/s: ours is {our_rate / rate:,.0f} x (asked 50)")


def _environment(folder: Path, peer: str) -> str:
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = [peer, "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True)
    return str(python)


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spans", type=int, default=3_000, help="how many each peer is fed")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/agentsight-bench"))
    given = parser.parse_args()
    folder = given.folder / "ingest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        rate, _ = compare(folder, given.conversations, given.rounds)
        if given.peers:
            compare_peers(given.folder, rate, given.spans)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
