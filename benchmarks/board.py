"""What the dashboard asks, in a store of a million conversations: list, facets, volume, transcript, metrics of 30 days.

The store is the one that `search.py build` makes. Conversations that were not examined yet are examined first; that is
timed, too. `floor` is the statement by hand that counts the conversations of the same 30 days on the same file.

Run:    python benchmarks/board.py [--conversations N] [--folder F] [--rounds R]
Prints: for each question p50 and p95 in ms beside the figure asked for, and the ratio of p50 to the floor.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.board import Board
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.insights import settle

_DAY_US = 86_400_000_000


def questions(board: Board, backend: EmbeddedBackend, until_us: int) -> dict[str, tuple[float, Callable[[], Any]]]:
    """Return, by name, the figure asked for in ms and what is asked."""
    month = {"started_at_after": iso_from_us(until_us - 30 * _DAY_US), "started_at_before": iso_from_us(until_us)}
    newest = board.conversations({})["results"][0]["id"]
    marker = board.conversations({})["newest"]
    return {
        "list": (150, lambda: board.conversations({})),
        "list of a month": (150, lambda: board.conversations(month)),
        "list, status escalated": (150, lambda: board.conversations({"status": "escalated"})),
        "list, status abandoned": (150, lambda: board.conversations({"status": "abandoned"})),
        "list, insight repeated": (150, lambda: board.conversations({"insight": "repeated"})),
        "list, contained, voice": (150, lambda: board.conversations({"insight": "contained", "source": "voice"})),
        "newer": (150, lambda: board.newer({}, marker)),
        "facets of a month": (150, lambda: board.facets(month)),
        "facets": (150, lambda: board.facets({})),
        "facets of voice": (150, lambda: board.facets({**month, "source": "voice"})),
        "volume of a month": (150, lambda: board.volume(month)),
        "volume": (150, lambda: board.volume({})),
        "transcript": (150, lambda: board.transcript(newest)),
        "timeline": (150, lambda: board.timeline(newest)),
        "metrics of 30 days": (500, lambda: board.metrics(month)),
        "metrics of 30 days, web": (500, lambda: board.metrics({**month, "source": "web"})),
        "actions of 30 days": (500, lambda: board.actions(month)),
        "stats of 30 days": (500, lambda: backend.stats(month)),
    }


def examine_all(database: Database) -> None:
    """Examine what is due, and say how fast."""
    with database.read() as connection:
        due = connection.exec_driver_sql("SELECT count(*) FROM insights_due").scalar_one()
    start = time.perf_counter()
    while left := settle(database, most=10_000):
        print(f"\r{left:,} conversations to examine", end="", flush=True)
    took_s = time.perf_counter() - start
    if due:
        print(f"\rexamined {due:,} conversations in {took_s:.0f} s: {due / took_s:,.0f} a second")


def main() -> None:
    """Ask in rounds, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/agentsight-bench"))
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    path = arguments.folder / f"search-{arguments.conversations}" / "agentsight.db"
    database = Database.open(path)
    examine_all(database)
    backend = EmbeddedBackend(database, AttachmentFolder(path.parent / "attachments"))
    with closing(sqlite3.connect(path)) as floor:
        (until_us,) = floor.execute("SELECT max(started_at_us) FROM conversations").fetchone()
        count = "SELECT count(*) FROM conversations WHERE agent_id = 1 AND started_at_us >= ? AND is_deleted = 0"
        asked = questions(Board(backend), backend, until_us)
        asked["floor: count by hand"] = (0, lambda: floor.execute(count, (until_us - 30 * _DAY_US,)).fetchone())
        took: dict[str, list[float]] = {name: [] for name in asked}
        for round_number in range(arguments.rounds + 1):
            for name, (_, ask) in asked.items():
                start = time.perf_counter()
                ask()
                if round_number:  # the first one warms up
                    took[name].append((time.perf_counter() - start) * 1000)
    base = statistics.median(took["floor: count by hand"])
    print(f"{'question':<28}{'p50 ms':>9}{'p95 ms':>9}{'asked':>8}{'x floor':>9}")
    for name, times in took.items():
        p95 = sorted(times)[max(-(-len(times) * 95 // 100) - 1, 0)]
        p50 = statistics.median(times)
        print(f"{name:<28}{p50:>9.1f}{p95:>9.1f}{asked[name][0]:>8.0f}{p50 / base:>9.1f}")
    database.close()


if __name__ == "__main__":
    main()
