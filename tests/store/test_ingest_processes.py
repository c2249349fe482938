"""Several processes on one file, and processes that are killed: whole batches, nothing lost, nothing twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .material import child, conversation, finished, rows, said, started, wait_until

WRITE = """
import sys
from pathlib import Path
from agentsight_auto.events import ConversationStarted, Message
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest
path, process = Path(sys.argv[1]), int(sys.argv[2])
def event(n, who):
    return Message(id=f"{who:016x}{n:016x}", conversation_id=f"c{n % 7}", at_us=n, sender="agent", content="x" * 200)
"""


def test_two_processes_write_the_same_file_at_once(store_path: Path) -> None:
    """Two processes that both send their own events and the same shared ones lose none and store none twice."""
    code = f"""{WRITE}
print("ready", flush=True)
sys.stdin.readline()
database = Database.open(path)
answers = []
for batch in range(40):
    events = [event(n, who) for n in range(batch * 10, batch * 10 + 10) for who in (process, 9)]
    answers += ingest(database, events)
assert {{a.status for a in answers}} <= {{"stored", "duplicate"}}
print(sum(a.status == "stored" for a in answers))
database.close()
"""
    processes = [child(code, store_path, process) for process in (1, 2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sum(int(finished(process)) for process in processes) == 1200
    database = Database.open(store_path)
    assert rows(database, "SELECT count(*) AS n FROM messages") == [{"n": 1200}]
    assert rows(database, "SELECT sum(message_count) AS n FROM conversations") == [{"n": 1200}]
    assert rows(database, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()


def test_between_processes_the_earlier_capture_wins(database: Database) -> None:
    """Another process that stores later what it captured earlier sets the fields."""
    ingest(database, [started(at=10, customer_id="here")])
    code = f"""{WRITE}
at_us = {started(at=5).at_us}
ingest(Database.open(path), [ConversationStarted(id="0" * 32, conversation_id="c1", at_us=at_us, customer_id="there")])
"""
    finished(child(code, database.path, 0))
    assert conversation(database)["customer_id"] == "there"


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_process_leaves_whole_batches(store_path: Path, after: int) -> None:
    """Kill -9 in the middle of ingest leaves every answered batch, no half batch, and counts that fit the rows."""
    code = f"""{WRITE}
database = Database.open(path)
for batch in range(10**6):
    ingest(database, [event(n, batch) for n in range(50)])
    print(batch, flush=True)
"""
    process = child(code, store_path, 0)
    assert process.stdout is not None
    answered = -1
    while answered < after:
        answered = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split("\n")
    answered = max([answered, *(int(line) for line in rest[:-1])])
    process.communicate(timeout=10)
    database = Database.open(store_path)
    batches = rows(database, "SELECT hex(substr(event_id, 1, 8)) AS batch, count(*) AS n FROM messages GROUP BY 1")
    assert {row["n"] for row in batches} == {50}
    assert answered + 1 <= len(batches) <= answered + 2
    assert rows(database, "SELECT sum(message_count) AS n FROM conversations") == [{"n": 50 * len(batches)}]
    assert rows(database, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert ingest(database, [said()])[0].status == "stored"
    database.close()


def test_another_process_sees_what_was_stored(database: Database) -> None:
    """What one process has stored is there for another that reads, without either being closed."""
    code = f"""{WRITE}
database = Database.open(path)
ingest(database, [event(1, 1)])
print("stored", flush=True)
sys.stdin.readline()
"""
    process = child(code, database.path, 0)
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    wait_until(lambda: rows(database, "SELECT count(*) AS n FROM messages") == [{"n": 1}], timeout_s=1)
    finished(process)
