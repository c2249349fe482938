"""`agentsight-auto erase`: one command removes a conversation from everywhere on this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentsight_auto import ConversationManager, ConversationTracker
from agentsight_auto.deliver.rejected import Rejected, RejectedEvent
from agentsight_auto.events import AttachmentRef, ConversationStarted, Message, encode_event
from agentsight_auto.exceptions import InvalidQueryException, NotFoundException
from agentsight_auto.store.attachments import AttachmentFolder
from tests.deliver.support import eventually

from .support import Cli

CANARY = "kestrel-7319"

RECORD = """
import sys
from agentsight_auto import configure, conversation
configure(home=sys.argv[1], api_key=sys.argv[3] or None, endpoint=sys.argv[4] or None)
for number in range(3):
    with conversation(f"c{number}", customer_id="mia" if number < 2 else "ben") as chat:
        chat.track_human_message(f"I am {sys.argv[2]} {number}", attachments=[
            {"filename": "a.txt", "data": f"letter {sys.argv[2]} {number}".encode()}], attachment_mode="form_data")
print("recorded", flush=True)
sys.stdin.read()
"""


def hits(home: Path, canary: str = CANARY) -> list[str]:
    """Return the files below the home that hold the canary."""
    wanted = canary.encode()
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and wanted in path.read_bytes()]


def record_and_die(home: Path, *, api_key: str = "", endpoint: str = "") -> None:
    """Record three conversations in a process that is killed before it can do anything more."""
    command = [sys.executable, "-c", RECORD, str(home), CANARY, api_key, endpoint]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"recorded\n"
        process.send_signal(signal.SIGKILL)


def test_a_customer_is_gone_from_every_file(cli: Cli, home: Path) -> None:
    """From the store, the outbox of a process that died, the rejected events and the damaged copies."""
    record_and_die(home)
    at_us = 1_700_000_000_000_000
    started = ConversationStarted("0" * 31 + "1", "c7", at_us, customer_id="mia")
    refused = Message("0" * 31 + "2", "c7", at_us, "agent", f"refused {CANARY}")
    lines = [encode_event(event).decode() for event in (started, refused)]
    Rejected(home / "outbox").add([RejectedEvent(at_us, "too odd", line) for line in lines])
    damaged = home / "outbox" / "corrupt"
    damaged.mkdir()
    (damaged / "1.segment.corrupt-x").write_bytes(b'torn "conversation_id":"c0" ' + CANARY.encode())
    done = cli("erase", "--customer", "mia", "--json")
    assert done.code == 0, done.err
    assert (done.json["conversations"], done.json["messages"], done.json["attachments"]) == (2, 2, 2)
    assert (done.json["outbox"]["rejected_events"], done.json["outbox"]["damaged_copies"]) == (2, 1)
    assert hits(home, f"{CANARY} 0") == hits(home, f"{CANARY} 1") == hits(home, f"refused {CANARY}") == []
    assert hits(home, "corrupt") == []
    assert hits(home, f"{CANARY} 2"), "the conversation of another customer was harmed"
    assert [row["conversation_id"] for row in cli("list", "--json").json["results"]] == ["c2"]


def test_what_waits_for_a_server_that_is_away_is_erased_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox is rewritten without it, although the server cannot be asked; that is an error all the same."""
    del monkeypatch
    record_and_die(home, api_key="ags_" + "0" * 32 + "_" + "0" * 6, endpoint="http://127.0.0.1:9")
    assert hits(home, f"{CANARY} 0")
    from agentsight_auto.deliver.erasing import Unwanted, erase_from_outbox

    unwanted = Unwanted(["c0"], None, 2**62)
    forgotten: list[set[str]] = []
    swept, gone, kept = erase_from_outbox(home / "outbox", unwanted, wait_s=1, forget=forgotten.append)
    assert forgotten == [gone]
    assert swept.waiting_events == 3
    assert len(gone) == 1
    assert len(kept) == 2
    assert [name for name in hits(home, f"{CANARY} 0") if "outbox" in name] == []
    assert hits(home, f"{CANARY} 1")


KILLED_AFTER_THE_FIRST_SWEEP = """
import os, signal, sys
from agentsight_auto import ConversationManager
from agentsight_auto.query.embedded import EmbeddedBackend
EmbeddedBackend.erase = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
ConversationManager(home=sys.argv[1]).erase_customer("mia")
"""


def test_an_erasure_that_is_killed_between_its_sweeps_leaves_no_attachment(cli: Cli, home: Path) -> None:
    """A file that only an event in the outbox referred to goes before the event does."""
    sha256, size_bytes = AttachmentFolder(home / "attachments").write(f"letter {CANARY}".encode())
    at_us = 1_700_000_000_000_000
    told = [
        ConversationStarted("0" * 31 + "1", "c7", at_us, customer_id="mia"),
        Message(
            "0" * 31 + "2", "c7", at_us, "agent", "here", attachments=[AttachmentRef(sha256, size_bytes, "a", "b")]
        ),
    ]
    Rejected(home / "outbox").add([RejectedEvent(at_us, "too odd", encode_event(one).decode()) for one in told])
    command = [sys.executable, "-c", KILLED_AFTER_THE_FIRST_SWEEP, str(home)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert Rejected(home / "outbox").count() == 0
    assert cli("erase", "--customer", "mia").code == 0
    assert hits(home) == []


def test_the_receipt_names_nobody(cli: Cli, home: Path) -> None:
    """It says what went, in counts; the ids are not in it, nor in the store."""
    record_and_die(home)
    done = cli("erase", "c0")
    assert done.code == 0
    assert "1 conversation, 1 message or action, 1 attachment" in done.out
    assert "c0" not in done.out.replace("Receipt", "")
    again = cli("erase", "c0")
    assert "0 conversations" in again.out


def test_bad_arguments_say_what_is_wanted(cli: Cli, home: Path) -> None:
    """Nothing, two things, an empty id."""
    for arguments in ((), ("c1", "--customer", "x"), ("c1", "--expired")):
        done = cli("erase", *arguments)
        assert done.code == 2
        assert "exactly one" in done.err
    assert cli("erase", " ").code == 2
    assert not home.exists() or not hits(home)


def test_expired_conversations_go_when_asked(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only where a retention is set."""
    record_and_die(home)
    assert "Nothing has expired" in cli("erase", "--expired").out
    monkeypatch.setenv("AGENTSIGHT_RETENTION_DAYS", "0.001")
    assert "Nothing has expired" in cli("erase", "--expired").out


def test_retention_works_by_itself_while_something_is_recorded(home: Path) -> None:
    """The first delivery of a process tidies up."""
    old = ConversationTracker(home=home)
    old.get_or_create_conversation("old", customer_id="mia")
    old.track_human_message(CANARY)
    old.send_tracked_data()
    from agentsight_auto.store.database import Database

    database = Database.open(home / "agentsight.db")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE conversations SET started_at_us = 1, ended_at_us = 2")
    database.close()
    assert hits(home)
    new = ConversationTracker(home=home, retention_days=30)
    new.get_or_create_conversation("new")
    new.track_human_message("hello")
    new.send_tracked_data()
    assert eventually(lambda: hits(home) == [])


def test_the_manager_erases_and_refuses_what_it_cannot_read(home: Path) -> None:
    """The same from a program."""
    record_and_die(home)
    manager = ConversationManager(home=home)
    receipt = manager.erase_conversation("c0")
    assert receipt["finished_at"] is not None
    assert "attachment_sha256" not in receipt
    with pytest.raises(InvalidQueryException):
        manager.erase_customer("")
    with pytest.raises(InvalidQueryException):
        manager.erase_conversation("")
    with pytest.raises(NotFoundException):
        manager.erase_conversation(99)
    assert hits(home, f"{CANARY} 0") == []
