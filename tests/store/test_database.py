"""The file: made privately, refused when it is not ours, read and written at the same time, carried over no fork."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import exc, text

from agentsight_auto.exceptions import StoreException
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .material import child, conversation, finished, rows, said, wait_until


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_the_files_are_private(database: Database, store_path: Path) -> None:
    """The folder is 0700 and every file in it 0600, whatever the umask."""
    ingest(database, [said()])
    assert mode(store_path.parent) == 0o700
    assert {mode(path) for path in store_path.parent.iterdir()} == {0o600}
    assert store_path.with_name("store.db-wal") in store_path.parent.iterdir()


def test_every_connection_has_our_settings(database: Database) -> None:
    """WAL, foreign keys, synchronous=NORMAL (1) and a busy timeout of 5 s hold for reading and for writing."""
    for block in (database.read, database.write):
        with block() as connection:
            asked = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
            assert [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked] == ["wal", 1, 1, 5000]


def test_casefold_is_known_to_sql(database: Database) -> None:
    """casefold() compares text beyond ASCII without case, and leaves what is not text alone."""
    with database.read() as connection:
        row = connection.execute(text("SELECT casefold('STRASSE ÄÖ'), casefold('straße äö'), casefold(NULL)")).one()
    assert tuple(row) == ("strasse äö", "strasse äö", None)


def test_a_read_block_cannot_write(database: Database) -> None:
    """A statement that writes fails inside a read block and changes nothing."""
    database.agent_id("kept")
    with pytest.raises(StoreException), database.read() as connection:
        connection.execute(text("DELETE FROM agents"))
    assert rows(database, "SELECT name FROM agents") == [{"name": "kept"}]


def test_a_write_block_that_raises_is_undone(database: Database) -> None:
    """What a write block did before it raised is rolled back, and the error passes through as it is."""
    error = RuntimeError("mine")

    def insert_and_fail() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO agents (name) VALUES ('gone')"))
            raise error

    with pytest.raises(RuntimeError) as caught:
        insert_and_fail()
    assert caught.value is error
    assert rows(database, "SELECT name FROM agents") == []


def test_an_agent_keeps_its_id(database: Database) -> None:
    """The same name gives the same id, another name another, also after the file is opened again."""
    first, second = database.agent_id(), database.agent_id("other")
    assert first != second
    again = Database.open(database.path)
    assert (again.agent_id("default"), again.agent_id("other")) == (first, second)
    again.close()


def test_integrity_errors_keep_their_type(database: Database) -> None:
    """A broken constraint is a mistake of the statement, not of the file, and is not translated."""
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(text("INSERT INTO agents (name) VALUES (NULL)"))


# -- files that are not ours ------------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    """Open the file, which must be refused and stay byte for byte what it was; return the message."""
    before = path.read_bytes()
    with pytest.raises(StoreException) as caught:
        Database.open(path)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Any other file stays as it is and the message says to move it or to choose another folder."""
    path = tmp_path / "store.db"
    path.write_bytes(b"Dear diary, " * 1000)
    assert "AGENTSIGHT_HOME" in refused(path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A SQLite file with tables but without our mark is refused, even if it has a table schema_migrations."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE schema_migrations (version TEXT)")
        other.execute("INSERT INTO schema_migrations VALUES ('20260101')")
        other.commit()
    assert "another program" in refused(path)


def test_an_empty_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A file that another program has marked with its application id is not ours to fill."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 1196444487")
    assert "another program" in refused(path)


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A schema version that this code does not know is refused with the advice to upgrade."""
    path = tmp_path / "store.db"
    Database.open(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("INSERT INTO schema_migrations VALUES (99, 'later', '2030-01-01T00:00:00.000000Z')")
        newer.commit()
    assert "Upgrade agentsight-auto" in refused(path)


def test_a_truncated_store_is_refused(tmp_path: Path) -> None:
    """A store cut off in the middle gives the documented error, not the driver's."""
    path = tmp_path / "store.db"
    Database.open(path).close()
    path.write_bytes(path.read_bytes()[:5000])
    refused(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A folder below a plain file gives the documented error with the path in it."""
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(StoreException, match="AGENTSIGHT_HOME"):
        Database.open(tmp_path / "plain" / "home" / "store.db")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    """A folder that has the name of the file gives the documented error."""
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreException):
        Database.open(tmp_path / "store.db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes another user, which only root can")
def test_a_folder_of_another_user_is_named() -> None:
    """A user who may not write there gets the documented error, which speaks of permissions."""
    code = """
import os, sys, tempfile
from pathlib import Path
from agentsight_auto.exceptions import StoreException
from agentsight_auto.store.database import Database
home = Path(tempfile.mkdtemp()); home.chmod(0o555); (home / "sub").mkdir(mode=0o755)
os.setuid(65534)
try:
    Database.open(home / "sub" / "store.db")
except StoreException as error:
    print(error)
"""
    assert "may not write there" in finished(child(code))


def test_a_store_that_vanishes_is_made_anew(database: Database, store_path: Path) -> None:
    """When the file was deleted under us, the next write makes a new one instead of writing into nowhere."""
    ingest(database, [said(to="before")])
    for path in list(store_path.parent.iterdir()):
        path.unlink()
    store_path.parent.rmdir()
    ingest(database, [said(to="after")])
    again = Database.open(store_path)
    assert [row["conversation_id"] for row in rows(again, "SELECT conversation_id FROM conversations")] == ["after"]
    again.close()


# -- at the same time -------------------------------------------------------------------------------------------------


def test_reading_goes_on_while_somebody_writes(database: Database) -> None:
    """Inside an open write transaction another thread reads at once, and sees what was committed before."""
    ingest(database, [said("first")])
    with database.write() as connection:
        connection.execute(text("UPDATE messages SET content = 'changed'"))
        seen: list[object] = []
        reader = threading.Thread(target=lambda: seen.extend(rows(database, "SELECT content FROM messages")))
        reader.start()
        reader.join(timeout=5)
        assert seen == [{"content": "first"}]
    assert rows(database, "SELECT content FROM messages") == [{"content": "changed"}]


def test_a_read_block_sees_one_state(database: Database) -> None:
    """What is committed while a read block is open is not seen in it."""
    ingest(database, [said("first")])
    with database.read() as connection:
        count = text("SELECT count(*) FROM messages")
        assert connection.execute(count).scalar() == 1
        writer = threading.Thread(target=lambda: ingest(database, [said("second")]))
        writer.start()
        writer.join(timeout=5)
        assert connection.execute(count).scalar() == 1
    assert rows(database, "SELECT count(*) AS n FROM messages") == [{"n": 2}]


def test_a_writer_that_holds_the_lock_for_three_seconds_is_waited_for(database: Database) -> None:
    """Another process that keeps the write lock for 3 s delays ingest and harms nothing."""
    code = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(3)
connection.execute("COMMIT")
"""
    holder = child(code, database.path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    begin = time.monotonic()
    assert ingest(database, [said()])[0].status == "stored"
    assert time.monotonic() - begin > 2
    finished(holder)


def test_many_threads_write_at_once(database: Database) -> None:
    """Eight threads with twenty batches each lose nothing and count rightly."""
    with ThreadPoolExecutor(8) as pool:
        batches = [pool.submit(ingest, database, [said(), said()]) for _ in range(160)]
        statuses = {answer.status for batch in batches for answer in batch.result(timeout=30)}
    assert statuses == {"stored"}
    assert conversation(database)["message_count"] == 320


# -- fork -------------------------------------------------------------------------------------------------------------

FORK = """
import os, sys, threading, warnings
from pathlib import Path
from agentsight_auto.exceptions import StoreException
from agentsight_auto.events import Message
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads and fork
database = Database.open(Path(sys.argv[1]))
def say(n, who):
    ingest(database, [Message(id=f"{n:032x}", conversation_id=who, at_us=n, sender="agent", content="x")])
"""


def test_parent_and_child_of_a_fork_both_write(store_path: Path) -> None:
    """After a fork both sides write and read, and the child's normal exit harms nothing of the parent's."""
    code = f"""{FORK}
say(1, "parent")
pid = os.fork()
if pid == 0:
    for n in range(100, 150):
        say(n, "child")
    sys.exit(0)
for n in range(200, 250):
    say(n, "parent")
assert os.waitpid(pid, 0)[1] == 0
say(2, "parent")
"""
    finished(child(code, store_path))
    database = Database.open(store_path)
    counted = rows(database, "SELECT conversation_id, message_count FROM conversations ORDER BY 1")
    assert [tuple(row.values()) for row in counted] == [("child", 50), ("parent", 52)]
    assert rows(database, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()


def test_a_child_outlives_its_parent(store_path: Path) -> None:
    """A daemon whose parent ended first keeps what it writes: the parent's exit takes no file away from it."""
    code = f"""{FORK}
say(1, "parent")
ready, told = os.pipe()
if os.fork() == 0:
    say(2, "child")
    os.close(told)
    os.read(ready, 1)  # ends when the parent has ended
    say(3, "child")
    os._exit(0)
os.close(ready)
say(4, "parent")
database.close()
"""
    finished(child(code, store_path))
    database = Database.open(store_path)
    query = "SELECT count(*) AS n FROM messages"
    wait_until(lambda: rows(database, query) == [{"n": 4}])
    assert rows(database, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()


def test_a_fork_waits_for_the_write_of_another_thread(store_path: Path) -> None:
    """A fork in the middle of another thread's transactions gives a child that can write."""
    code = f"""{FORK}
stop = threading.Event()
def write():
    n = 1000
    while not stop.is_set():
        say(n := n + 1, "parent")
thread = threading.Thread(target=write)
thread.start()
statuses = []
for round in range(5):
    pid = os.fork()
    if pid == 0:
        say(10 + round, "child")
        os._exit(0)
    statuses.append(os.waitpid(pid, 0)[1])
stop.set()
thread.join()
assert statuses == [0] * 5, statuses
"""
    finished(child(code, store_path))
    database = Database.open(store_path)
    assert conversation(database, "child")["message_count"] == 5
    database.close()


def test_a_fork_inside_a_transaction_gives_a_child_that_refuses(store_path: Path) -> None:
    """A child that was forked inside a write block touches nothing, says why, and the parent's block commits."""
    code = f"""{FORK}
with database.write() as connection:
    connection.exec_driver_sql("INSERT INTO agents (name) VALUES ('parent')")
    pid = os.fork()
if pid == 0:
    try:
        database.agent_id("child")
    except StoreException as error:
        os._exit(0 if "outbox" in str(error) else 1)
    os._exit(2)
assert os.waitpid(pid, 0)[1] == 0
"""
    finished(child(code, store_path))
    database = Database.open(store_path)
    assert rows(database, "SELECT name FROM agents") == [{"name": "parent"}]
    database.close()
