"""Erasure: nothing is left of what was erased, it does not come back, and an interrupted one goes on."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentsight_auto.events import Action, AttachmentRef, Attachments, Button, Feedback, TokenUsage
from agentsight_auto.store import erasure, search_index
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .material import T0_US, child, new_id, rows, said, started, wait_until

CANARY = "kestrel-7319"
DAY_S = 86_400


def now_us() -> int:
    """Return the present moment: files that were written before it are older."""
    return time.time_ns() // 1000


@pytest.fixture(autouse=True, params=["indexed", "not indexed yet"])
def _tail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Erase what the search index knows, and what it does not know yet."""
    monkeypatch.setattr(search_index, "TAIL", 1 if request.param == "indexed" else 10**6)


@pytest.fixture
def folder(tmp_path: Path) -> AttachmentFolder:
    """The folder of the attachments."""
    return AttachmentFolder(tmp_path / "home" / "attachments")


def whole(folder: AttachmentFolder, to: str, canary: str, customer: str = "mia") -> list[object]:
    """Return events that put the canary into every field that holds text of a customer."""
    sha256, size_bytes = folder.write(f"a letter from {canary}".encode())
    ref = AttachmentRef(sha256, size_bytes, f"{canary}.txt", "text/plain")
    known = {"name": f"about {canary}", "customer_id": customer, "metadata": {"where": {canary: f"at {canary}"}}}
    head = to, T0_US + 1
    return [
        started(to=to, **known),
        said(f"I am {canary}", to=to, attachments=[ref]),
        Action(new_id(), *head, "find", tools_used={"q": canary}, response={canary: 1}, error_msg=f"no {canary}"),
        Button(new_id(), *head, f"press {canary}", canary, canary, {"m": canary}),
        Attachments(new_id(), *head, "end_user", [ref]),
        TokenUsage(new_id(), *head, 1, 2, 3, metadata={"m": canary}),
        Feedback(new_id(), *head, "negative", comment=f"bad, {canary}", metadata={"m": canary}),
    ]


def hits(home: Path, canary: str = CANARY) -> list[str]:
    """Return the files below the home that hold the canary, byte for byte or in their name."""
    wanted = canary.encode()
    return [
        path.name
        for path in sorted(home.rglob("*"))
        if path.is_file() and (wanted in path.read_bytes() or canary in path.name)
    ]


def erase_one(database: Database, folder: AttachmentFolder, conversation_id: str = "c1") -> erasure.Receipt:
    """Erase a conversation."""
    asked = erasure.request_conversation(database, database.agent_id(), conversation_id, now_us())
    return erasure.run(database, asked.number, folder.of_agent, wait_s=10)


def test_nothing_of_an_erased_conversation_is_left_on_the_disk(database: Database, folder: AttachmentFolder) -> None:
    """Not in the file, its write-ahead log or the attachments; edits before it and free pages included."""
    ingest(database, whole(folder, "c1", CANARY))  # type: ignore[arg-type]
    ingest(database, whole(folder, "c2", "heron-2"))  # type: ignore[arg-type]
    ingest(database, [said(f"{CANARY} " * 5000, to="c1", at=n) for n in range(20)])  # pages of their own
    home = database.path.parent
    assert len(hits(home)) >= 2
    receipt = erase_one(database, folder)
    assert (receipt.conversations, receipt.messages, receipt.attachments) == (1, 24, 1)
    assert receipt.finished_at_us is not None
    assert hits(home) == []
    assert hits(home, "heron-2"), "another conversation was harmed"


def test_no_table_keeps_a_row_of_an_erased_conversation(database: Database, folder: AttachmentFolder) -> None:
    """Every table that has a column for the conversation is empty of it, also those of a later version."""
    ingest(database, whole(folder, "c1", CANARY))  # type: ignore[arg-type]
    (pk,) = (row["id"] for row in rows(database, "SELECT id FROM conversations"))
    erase_one(database, folder)
    with closing(sqlite3.connect(database.path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if "conversation_pk" in columns:
                found = connection.execute(f"SELECT count(*) FROM {table} WHERE conversation_pk = ?", (pk,)).fetchone()
                assert found == (0,), table
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_was_on_its_way_does_not_bring_it_back(database: Database, folder: AttachmentFolder) -> None:
    """Events from before are answered, so that their sender drops them; later ones begin a new conversation."""
    late, new = said("late", to="c1", at=60), said("new", to="c1", at=(now_us() - T0_US) // 1_000_000 + 60)
    ingest(database, whole(folder, "c1", CANARY))  # type: ignore[arg-type]
    erase_one(database, folder)
    answers = ingest(database, [late, new])
    assert [answer.status for answer in answers] == ["duplicate", "stored"]
    assert [row["content"] for row in rows(database, "SELECT content FROM messages")] == ["new"]


def test_a_conversation_that_is_not_stored_yet_can_be_erased(database: Database, folder: AttachmentFolder) -> None:
    """Its events may still wait in another process; they are refused when they come."""
    receipt = erase_one(database, folder, "unseen")
    assert (receipt.conversations, receipt.finished_at_us is None) == (0, False)
    ingest(database, [said("x", to="unseen"), said("y", to="other")])
    assert [row["conversation_id"] for row in rows(database, "SELECT conversation_id FROM conversations")] == ["other"]


def test_erasing_a_customer_takes_all_their_conversations_and_late_ones(
    database: Database, folder: AttachmentFolder
) -> None:
    """Also one that arrives afterwards and says that it is theirs, in this batch and in the next."""
    for number in range(3):
        ingest(database, whole(folder, f"c{number}", CANARY))  # type: ignore[arg-type]
    ingest(database, whole(folder, "d", "heron-2", customer="ben"))  # type: ignore[arg-type]
    asked = erasure.request_customer(database, database.agent_id(), "mia", now_us())
    assert sorted(asked.conversation_ids) == ["c0", "c1", "c2"]
    receipt = erasure.run(database, asked.number, folder.of_agent, wait_s=10)
    assert receipt.conversations == 3
    ingest(database, [said(CANARY, to="c9"), started(to="c9", customer_id="mia")])
    ingest(database, [said(CANARY, to="c9", at=5)])
    assert [row["conversation_id"] for row in rows(database, "SELECT conversation_id FROM conversations")] == ["d"]
    database.close()
    assert hits(database.path.parent) == []


def test_a_file_that_another_conversation_has_stays(database: Database, folder: AttachmentFolder) -> None:
    """The same content twice is one file, which goes with the last conversation that has it."""
    for name in ("c1", "c2"):
        ingest(database, whole(folder, name, CANARY))  # type: ignore[arg-type]
    (sha256,) = {row["sha256"] for row in rows(database, "SELECT sha256 FROM attachments")}
    assert erase_one(database, folder, "c1").attachments == 0
    assert folder.path(sha256).exists()
    assert erase_one(database, folder, "c2").attachments == 1
    assert not folder.path(sha256).exists()


def test_a_customer_of_the_same_id_of_another_agent_is_not_touched(
    database: Database, folder: AttachmentFolder
) -> None:
    """Ids belong to an agent, and so do tombstones."""
    for agent in ("default", "shop"):
        ingest(database, [started(customer_id="mia"), said("x")], agent=agent)
    erase_one(database, folder)
    assert ingest(database, [said("more")], agent="shop")[0].status == "stored"
    assert len(rows(database, "SELECT id FROM conversations")) == 1


INTERRUPTED = """
import sys
from pathlib import Path
from agentsight_auto.store import erasure, search_index
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
database = Database.open(Path(sys.argv[1]))
erasure._BATCH = 7
asked = erasure.request_customer(database, database.agent_id(), "mia", int(sys.argv[2]))
print("asked", flush=True)
erasure.run(database, asked.number, AttachmentFolder(Path(sys.argv[3])).of_agent, wait_s=60)
"""


@pytest.mark.parametrize("batches", [1, 3, 9])
def test_an_erasure_goes_on_after_kill_9(
    database: Database, folder: AttachmentFolder, tmp_path: Path, batches: int
) -> None:
    """Nothing of it is found meanwhile, and the next one who tidies up finishes it."""
    for number in range(80):
        ingest(database, whole(folder, f"c{number}", f"{CANARY}-{number}"))  # type: ignore[arg-type]
    with child(INTERRUPTED, database.path, now_us(), tmp_path / "home" / "attachments") as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: _left(database) <= 80 - 7 * batches, timeout_s=20)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert rows(database, "SELECT id FROM conversations WHERE customer_id = 'mia' OR is_deleted = 0") == []
    (receipt,) = erasure.resume(database, folder.of_agent, wait_s=10) or erasure.receipts(database, 1)
    assert receipt.finished_at_us is not None
    assert receipt.conversations == 80
    assert hits(database.path.parent) == []


def _left(database: Database) -> int:
    return len(rows(database, "SELECT id FROM conversations"))


def test_retention_erases_what_ended_before_and_nothing_else(database: Database, folder: AttachmentFolder) -> None:
    """A conversation counts from its end, not from its beginning."""
    now = (now_us() - T0_US) // 1_000_000
    ingest(database, [said(CANARY, to="old", at=now - 40 * DAY_S)])
    ingest(database, [said("x", to="long", at=now - 40 * DAY_S), said("y", to="long", at=now - 2 * DAY_S)])
    (receipt,) = erasure.expire(database, 30, folder.of_agent, wait_s=10)
    assert (receipt.subject, receipt.conversations, receipt.finished_at_us is None) == ("retention", 1, False)
    assert [row["conversation_id"] for row in rows(database, "SELECT conversation_id FROM conversations")] == ["long"]
    assert erasure.expire(database, 30, folder.of_agent, wait_s=10) == []
    assert hits(database.path.parent) == []


@pytest.fixture
def reader(database: Database) -> Iterator[sqlite3.Connection]:
    """Another program in the middle of reading."""
    ingest(database, [said(CANARY)])
    with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM messages").fetchall()
        yield connection


def test_an_erasure_is_not_finished_while_the_log_cannot_be_emptied(
    database: Database, folder: AttachmentFolder, reader: sqlite3.Connection
) -> None:
    """The receipt says so, instead of promising what is not true yet."""
    asked = erasure.request_conversation(database, database.agent_id(), "c1", now_us())
    assert erasure.run(database, asked.number, folder.of_agent, wait_s=0.2).finished_at_us is None
    reader.execute("COMMIT")
    (receipt,) = erasure.resume(database, folder.of_agent, wait_s=10)
    assert receipt.finished_at_us is not None
    assert hits(database.path.parent) == []
