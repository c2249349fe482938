"""Search in a store of a million conversations: pages, counts and whole conversations, against the best SQL by hand.

The store is made by `corpus.py` through the library's own ingest, once, and kept in the folder given; making it can be
interrupted and goes on where it was. Each question is asked through `EmbeddedBackend.fetch_conversations` and, in the
same rounds, by a statement written by hand for that question alone on the same file: `floor` is its median. What is
loaded before, the corpus and the library, is out of the way of Python's collector, as in `agentsight-auto serve`.

Run:    python benchmarks/search.py build [--conversations N] [--folder F] [--seconds S]
        python benchmarks/search.py [--conversations N] [--folder F] [--rounds R] [--only TEXT]
        python benchmarks/search.py live [--conversations N] [--folder F]
Prints: for each question p50 and p95 in ms, by the clock and of processor time (what remains of the clock on a busy
        machine), the figure asked for, the floor; then the size of the store. `live` goes on storing into the store:
        messages a second in batches of a thousand, each found by its words as soon as it is stored.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from corpus import FIRST_US, PLANTED, RARE_CUSTOMER, Corpus

from agentsight_auto._clock import iso_from_us
from agentsight_auto.events import AnyEvent, Message
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

LIVE_BATCH = 170
"""Conversations stored together live: about a thousand messages."""
BATCH = 1_000
"""Conversations stored together while the store is made."""
_LISTED = (
    "SELECT * FROM conversations WHERE agent_id = 1 AND is_deleted = 0 {} ORDER BY started_at_us DESC, id DESC LIMIT 11"
)
_LATE_US = FIRST_US + 9_000_000 * 1_000_000


class Question(NamedTuple):
    """What is asked, the figure for it in ms, and the statement by hand where there is one."""

    name: str
    filters: dict[str, Any]
    asked_ms: float = 10.0
    floor: str | None = None


def pages(corpus: Corpus) -> Iterator[Question]:
    """Yield every filter alone with common, rare and absent values, and the combinations of the documentation."""
    yield Question("no filter", {}, floor=_LISTED.format(""))
    for name, values in _VALUES.items():
        for kind, value in zip(("common", "rare", "absent"), values, strict=False):
            by_hand = _LISTED.format(f"AND {name} = '{value}'") if name in _COLUMNS else None
            yield Question(f"{name} {kind}", {name: value}, floor=by_hand)
    words = list(PLANTED)
    for kind, word in (
        ("common", corpus.common_word), ("1 in 1,000", words[1]), ("1 in 25", words[2]), ("rare", words[0]),
        ("absent", "qqzzxx"), ("absent, of common parts", "chaprosteadin"), ("three letters", corpus.common_word[:3]),
    ):  # fmt: skip
        by_hand = f"AND id IN (SELECT conversation_pk FROM messages WHERE content LIKE '%{word}%')"
        yield Question(f"message_contains {kind}", {"message_contains": word}, floor=_LISTED.format(by_hand))
        yield Question(f"search {kind}", {"search": word})
    yield Question("message_contains, two letters", {"message_contains": "qj"}, 1500.0)
    yield Question("message_contains, two common letters", {"message_contains": "an"}, 1500.0)
    for name, filters in _combinations(corpus):
        yield Question(name, filters)


_COLUMNS = ("customer_id", "device", "source", "language", "environment", "customer_ip_address", "conversation_id")
_VALUES: dict[str, tuple[Any, ...]] = {
    "conversation_id": ("chat-0000500", "chat-0000001", "chat-x"),
    "customer_id": ("customer-17", RARE_CUSTOMER, "nobody"),
    "customer_ip_address": ("203.0.7.7", "203.0.39.249", "192.0.2.1"),
    "device": ("mobile", "tablet", "watch"),
    "source": ("web", "voice", "fax"),
    "language": ("en", "is", "xx"),
    "environment": ("production", "staging", "nowhere"),
    "is_marked": (False, True),
    "include_deleted": (True,),
    "has_messages": (True, False),
    "has_action": (True, False),
    "has_feedback": (True, False),
    "feedback_sentiment": ("positive", "negative"),
    "feedback_source": ("customer", "platform"),
    "action_name": ("find_order", "fallback_to_human", "no_such_action"),
    "metadata": ("plan:free", "campaign:spring", "plan:none"),
    "metadata_key": ("plan", "campaign", "nothing"),
    "name": ("an", "chat", "zzqqx"),
    "customer_id__icontains": ("customer-1", "-rare", "zzqqx"),
    "started_at_after": (iso_from_us(FIRST_US), iso_from_us(_LATE_US), "2099-01-01"),
    "started_at_before": (iso_from_us(_LATE_US), iso_from_us(FIRST_US + 10**9), "2001-01-01"),
}


def _combinations(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    day = {"started_at_after": iso_from_us(_LATE_US), "started_at_before": iso_from_us(_LATE_US + 86_400_000_000)}
    yield "customer and device", {"customer_id": "customer-17", "device": "mobile"}
    yield "device and language", {"device": "tablet", "language": "is"}
    yield "device, language, environment", {"device": "mobile", "language": "en", "environment": "production"}
    yield "rare in three columns", {"language": "is", "environment": "staging", "source": "voice"}
    yield "a day and messages", {**day, "has_messages": True}
    yield "a day and a word", {**day, "message_contains": corpus.common_word}
    yield "negative feedback of customers", {"feedback_sentiment": "negative", "feedback_source": "customer"}
    yield "rare feedback", {"feedback_sentiment": "negative", "feedback_source": "platform"}
    yield "action and feedback", {"action_name": "fallback_to_human", "feedback_sentiment": "negative"}
    yield "metadata, two terms", {"metadata": "plan:enterprise,address.city:city-3"}
    yield "metadata and a word", {"metadata": "plan:pro", "message_contains": list(PLANTED)[2]}
    yield "word and language", {"message_contains": corpus.common_word, "language": "is"}
    yield "marked and a word", {"is_marked": True, "message_contains": corpus.common_word}


def counts(corpus: Corpus) -> Iterator[Question]:
    """Yield what is counted; the figure depends on how many match, and is set when that is known."""
    for question in pages(corpus):
        yield question._replace(asked_ms=2500.0 if _has_text(question.filters) else 0.0)


def _has_text(filters: dict[str, Any]) -> bool:
    return bool({"message_contains", "search", "name", "customer_id__icontains"} & filters.keys())


class Took(NamedTuple):
    """What one call took, in ms: by the clock, and of a processor."""

    wall: float
    busy: float


class Report:
    """The lines of the table, and whether all figures were reached."""

    def __init__(self) -> None:
        """Begin with nothing missed."""
        self.missed = 0

    def line(self, name: str, times: list[Took], asked_ms: float, floor_ms: float | None, note: str = "") -> None:
        """Print one line."""
        wall, busy = sorted(took.wall for took in times), sorted(took.busy for took in times)
        place = min(len(times) - 1, int(len(times) * 0.95))
        self.missed += wall[place] > asked_ms
        floor = "" if floor_ms is None else f"{floor_ms:.2f}"
        verdict = (
            "" if wall[place] <= asked_ms else "  falls short" + (" by the clock" if busy[place] <= asked_ms else "")
        )
        numbers = f"{statistics.median(wall):8.2f} {wall[place]:8.2f} {statistics.median(busy):8.2f} {busy[place]:8.2f}"
        print(f"{name:44} {numbers} {asked_ms:6.0f} {floor:>8} {note}{verdict}", flush=True)


def timed(call: Callable[[], Any]) -> tuple[Took, Any]:
    """Return how long a call took, and what it answered."""
    begun, busy = time.perf_counter(), time.process_time()
    answer = call()
    return Took((time.perf_counter() - begun) * 1e3, (time.process_time() - busy) * 1e3), answer


def measure(folder: Path, size: int, rounds: int, only: str) -> int:
    """Ask everything and print the tables; return how many figures were not reached."""
    path, corpus, report = store_path(folder, size), Corpus(), Report()
    database = Database.open(path)
    gc.collect()
    gc.freeze()
    with closing(sqlite3.connect(path)) as by_hand:
        print(f"{'ms':44} {'p50':>8} {'p95':>8} {'CPU p50':>8} {'CPU p95':>8} {'asked':>6} {'floor':>8}")
        print("first page of 10")
        for question in pages(corpus):
            if only in question.name:
                measure_page(backend(database), by_hand, question, rounds, report)
        print("exact count, nothing remembered")
        for question in counts(corpus):
            if only in question.name:
                measure_count(database, question, report)
        if not only:
            measure_others(database, rounds, report)
            print_size(path, by_hand)
    database.close()
    return report.missed


def backend(database: Database) -> EmbeddedBackend:
    """Return a backend that remembers no count."""
    return EmbeddedBackend(database, AttachmentFolder(database.path.parent / "attachments"))


def measure_page(
    reader: EmbeddedBackend, by_hand: sqlite3.Connection, question: Question, rounds: int, report: Report
) -> None:
    """Ask for a first page in turns with the statement by hand."""
    times: list[Took] = []
    floors: list[float] = []
    reader.fetch_conversations(count=False, filters=question.filters)
    for number in range(rounds):
        times.append(timed(lambda: reader.fetch_conversations(count=False, filters=question.filters))[0])
        if question.floor is not None and (number < 5 or floors[0] < 50):
            floors.append(timed(lambda: by_hand.execute(question.floor or "").fetchall())[0].wall)
        if times[-1].wall > 500 and number >= 4:
            break
    report.line(question.name, times, question.asked_ms, statistics.median(floors) if floors else None)


def measure_count(database: Database, question: Question, report: Report) -> None:
    """Count with nothing remembered, then again for what is."""
    times, total = [], 0
    for _ in range(3):
        took, answer = timed(lambda: backend(database).fetch_conversations(page_size=1, filters=question.filters))
        times.append(took)
        total = answer["count"]
    reader = backend(database)
    reader.fetch_conversations(page_size=1, filters=question.filters)
    again, _ = timed(lambda: reader.fetch_conversations(page_size=1, filters=question.filters))
    asked = question.asked_ms or (50.0 if total < 10_000 else 250.0)
    report.line(question.name, times, asked, None, f"{total:>9,} match, again {again.wall:.1f} ms")


def measure_others(database: Database, rounds: int, report: Report) -> None:
    """Turn far pages, and read whole conversations."""
    reader = backend(database)
    print("far pages and whole conversations")
    for name, filters in (("", {}), (" of a language", {"language": "en"}), (" of a plan", {"metadata": "plan:free"})):
        page = reader.fetch_conversations(page=9_999, count=False, filters=filters)
        cursor = page["next"].partition("cursor=")[2]
        far = [
            timed(lambda f=filters: reader.fetch_conversations(page=10_000, count=False, filters=f))[0]
            for _ in range(rounds)
        ]
        report.line(f"page 10,000{name} by number", far, 50.0, None)
        there = [
            timed(
                lambda f=filters, c=cursor: reader.fetch_conversations(page=10_000, cursor=c, count=False, filters=f)
            )[0]
            for _ in range(rounds)
        ]
        report.line(f"page 10,000{name} by next", there, 10.0, None)
    with database.read() as connection:
        highest = connection.exec_driver_sql("SELECT max(id) FROM conversations").scalar_one()
    numbers = [1 + 7919 * place % highest for place in range(max(rounds, 100))]
    whole = [timed(lambda n=number: reader.fetch_conversation(n))[0] for number in numbers]
    report.line("one conversation, whole", whole, 2.0, None)


def print_size(path: Path, by_hand: sqlite3.Connection) -> None:
    """Say how large the store is against the text in it."""
    (text,) = by_hand.execute("SELECT sum(length(CAST(content AS BLOB))) FROM messages").fetchone()
    (number,) = by_hand.execute("SELECT count(*) FROM messages").fetchone()
    files = [Path(f"{path}{part}") for part in ("", "-wal")]
    size = sum(file.stat().st_size for file in files if file.exists())
    print(f"{number:,} messages of {text / number:.0f} bytes in the mean")
    print(f"store {size / 1e6:,.0f} MB = {size / text:.2f} x the text (asked 3.0), of it:")
    parts = dict(by_hand.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    for name, used in sorted(parts.items(), key=lambda item: -item[1])[:12]:
        print(f"    {name:60} {used / text:5.2f}")


def store_path(folder: Path, size: int) -> Path:
    """Return where the store of this size is."""
    return folder / f"search-{size}" / "agentsight.db"


def build(folder: Path, size: int, seconds: float) -> None:
    """Make the store, or go on making it, for at most so long; say how fast messages were stored."""
    path = store_path(folder, size)
    database = Database.open(path)
    with database.read() as connection:
        start = connection.exec_driver_sql("SELECT count(*) FROM conversations").scalar_one()
    deadline, times, said = time.monotonic() + seconds, [], 0
    bounds = [(first, min(first + BATCH, size)) for first in range(start, size, BATCH)]
    with multiprocessing.Pool(1) as pool:  # making the texts takes as long as storing them
        for events in pool.imap(_portion, bounds):
            times.append(timed(lambda told=events: ingest(database, told))[0].wall)
            said += sum(isinstance(event, Message) for event in events)
            start += BATCH
            if time.monotonic() > deadline:
                pool.terminate()
                break
    database.close()
    spent = sum(times) / 1e3
    if times:
        print(f"{start:,} of {size:,}; {said / spent:,.0f} messages a second, slowest batch {max(times):.0f} ms")
    print("whole" if start >= size else "to be continued")


def live(folder: Path, size: int) -> None:
    """Store twenty thousand messages more in batches of about a thousand, and look for the last of each."""
    database, corpus = Database.open(store_path(folder, size)), Corpus()
    reader, times, said = backend(database), [], 0
    first = 10_000_000 + time.time_ns() // 10**9 % 10**6 * 1_000
    for number in range(first, first + 20 * LIVE_BATCH, LIVE_BATCH):
        told = [event for events in corpus.conversations(number, number + LIVE_BATCH) for event in events]
        stored = [event for event in told if isinstance(event, Message)]
        times.append(timed(lambda told=told: ingest(database, told))[0])
        said += len(stored)
        word = max(stored[-1].content.split(), key=len)
        found = reader.fetch_conversations(count=False, filters={"message_contains": word})["results"]
        assert any(shape["conversation_id"] == stored[-1].conversation_id for shape in found), word
    wall, busy = (sum(getattr(took, name) for took in times) / 1e3 for name in ("wall", "busy"))
    print(f"{said:,} messages in {len(times)} batches: {said / wall:,.0f} a second, {said / busy:,.0f} a second of CPU")
    print(
        f"slowest batch {max(took.wall for took in times):.0f} ms; each found at once (asked 15,000, found within 2 s)"
    )
    database.close()


_corpus: Corpus | None = None


def _portion(bounds: tuple[int, int]) -> list[AnyEvent]:
    global _corpus
    _corpus = _corpus or Corpus()
    return [event for told in _corpus.conversations(*bounds) for event in told]


def main() -> int:
    """Read the arguments; return 1 if a figure was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=("build", "live", "measure"), default="measure")
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/agentsight-bench"))
    parser.add_argument("--seconds", type=float, default=86_400)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    if given.command == "build":
        build(given.folder, given.conversations, given.seconds)
        return 0
    if given.command == "live":
        live(given.folder, given.conversations)
        return 0
    return 1 if measure(given.folder, given.conversations, given.rounds, given.only) else 0


if __name__ == "__main__":
    sys.exit(main())
