"""The destinations that come along."""

from __future__ import annotations

import io
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from agentsight_auto.deliver.console import ConsoleDestination
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.local import LocalDestination
from agentsight_auto.deliver.memory import MemoryDestination
from agentsight_auto.events import Answer, decode_event
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .conftest import MakePipeline
from .support import make_line, make_lines


def test_memory_knows_duplicates() -> None:
    """The same event twice is stored once and answered as a duplicate."""
    destination = MemoryDestination()
    event = decode_event(make_line())
    assert destination.deliver([event]) == [Answer(event.id, "stored")]
    assert destination.deliver([event]) == [Answer(event.id, "duplicate")]
    assert destination.events == [event]
    destination.clear()
    assert destination.events == []


def test_the_console_prints_one_line_per_event() -> None:
    """Line ends and escape characters in what a customer wrote stay inside the line."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    destination = ConsoleDestination(stream)
    events = [decode_event(line) for line in make_lines(2, "a\nb\x1b[31m\u2603\r")]
    assert [answer.status for answer in destination.deliver(events)] == ["stored", "stored"]
    stream.seek(0)
    printed = stream.read()
    assert len(printed.splitlines()) == 2
    assert "\x1b" not in printed
    assert "\\u2603" in printed


def test_a_closed_console_keeps_events_waiting() -> None:
    """Nothing is answered as stored that could not be printed."""
    stream = io.StringIO()
    stream.close()
    with pytest.raises(DeliveryError):
        ConsoleDestination(stream).deliver([decode_event(make_line())])


def embedded(path: Path) -> LocalDestination:
    """Return a destination that stores in the file at `path`."""
    return LocalDestination(lambda: partial(ingest, Database.open(path)))


def test_the_embedded_store_takes_events(make_pipeline: MakePipeline, tmp_path: Path) -> None:
    """What was recorded is in the store's file after a flush, once, however often it is sent."""
    store = tmp_path / "store.db"
    pipeline = make_pipeline(to=embedded(store))
    line = make_line("my order never came")
    pipeline.write_through(line)
    pipeline.write_through(line)
    assert pipeline.flush(10).delivered == 2
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT count(*) FROM messages WHERE content = 'my order never came'").fetchall()
    connection.close()
    assert rows == [(1,)]


def test_a_store_that_cannot_be_opened_keeps_events_waiting(make_pipeline: MakePipeline, tmp_path: Path) -> None:
    """A file that is no database is not touched, and nothing is lost."""
    store = tmp_path / "store.db"
    store.write_text("not a database, but something the user wants to keep " * 100)
    pipeline = make_pipeline(to=embedded(store))
    pipeline.write_through(make_line())
    report = pipeline.flush(0.5)
    assert (report.pending, report.lost, report.rejected) == (1, {}, {})
    assert store.read_text().startswith("not a database")
