"""The connections to one SQLite file: many readers, one writer per process, nothing carried across a fork.

In: a path. Out: SQLAlchemy connections inside a transaction.
Loses: nothing; a transaction that fails is rolled back as a whole.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, exc, insert, select
from sqlalchemy.pool import QueuePool

from agentsight_auto.exceptions import StoreException
from agentsight_auto.store import _fork
from agentsight_auto.store.schema import agents
from agentsight_auto.store.sqlite import (
    LOCK_WAIT_S,
    begin_within,
    connect,
    identity,
    prepare,
    store_error,
    until_unlocked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READERS_KEPT = 4

_LOG_RETRY_S = 0.05
_PATIENCE = "agentsight_lock_wait_s"
_ANOTHER_WRITE = "UPDATE agents SET writes = writes + 1"
_AGENT = "SELECT id FROM agents WHERE name = ?"


class Database:
    """One store file. Usable from many threads; a forked child opens connections of its own.

    Reading never waits for writing. One thread at a time writes, and waits for the writers of other processes.
    """

    def __init__(self, path: Path) -> None:
        """Remember the path; `open` also makes sure that the file can be used."""
        self.path = path.absolute()
        self.start_afresh()
        _databases.add(self)

    @classmethod
    def open(cls, path: Path) -> Database:
        """Create the folder and the file where they are missing, migrate, and return the database.

        Raises:
            StoreException: not a database, another program's, from a newer version, or not writable.
        """
        database = cls(path)
        with database._in_use():
            pass
        return database

    def start_afresh(self, *, refusal: str | None = None) -> None:
        """Forget connections, locks and counts without touching them: for a new object and for a forked child."""
        self._state = threading.Condition()
        self._users: list[int] = []
        self._forking = False
        self._refusal = refusal
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._engines: tuple[Engine, Engine] | None = None
        self._identity: tuple[int, int] | None = None
        self._agent_ids: dict[str, int] = {}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the store and cannot change it."""
        with self._in_use() as (reader, _), self._transaction(reader) as connection:
            yield connection

    @contextmanager
    def write(self, *, wait_s: float = LOCK_WAIT_S) -> Iterator[Connection]:
        """Give the connection of the only writer: committed when the block ends, rolled back when it raises.

        Raises:
            StoreException: somebody else has held the lock for `wait_s`, the disk is full, or the file is damaged.
        """
        with self._in_use() as (_, writer), self._turn(wait_s), self._transaction(writer, wait_s) as connection:
            yield connection
            connection.exec_driver_sql(_ANOTHER_WRITE)

    @contextmanager
    def _turn(self, wait_s: float) -> Iterator[None]:
        writing = self._writing  # a child that is forked in the block gets another one
        if not writing.acquire(timeout=wait_s):
            raise store_error(self.path, sqlite3.OperationalError("database is locked"))
        try:
            yield
        finally:
            writing.release()

    def agent_id(self, name: str = "default") -> int:
        """Return the id of the agent of this name; a new name is stored first. Not inside a `write` block."""
        known = self._agent_ids.get(name)
        if known is not None:
            return known
        with self.read() as connection:
            found = connection.execute(select(agents.c.id).where(agents.c.name == name)).scalar()
        if found is None:
            with self.write() as connection:
                found = agent_row_id(connection, name)
        self._agent_ids[name] = found
        return found

    def empty_log(self, wait_s: float) -> bool:
        """Bring everything from the write-ahead log into the file and empty the log, for erasure; not in a transaction.

        Readers of an older state are waited for, at most `wait_s`; False if one of them was still reading then.
        """
        deadline = time.monotonic() + wait_s
        with self._in_use(), self._writing, closing(connect(self.path)) as handle:
            while True:
                (is_busy, _, _) = until_unlocked(handle.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone)
                if not is_busy or time.monotonic() >= deadline:
                    return not is_busy
                time.sleep(_LOG_RETRY_S)

    def close(self) -> None:
        """Close the connections that are not in use; the next read or write opens new ones."""
        with self._opening:
            self._dispose()

    # -- who is using the connections ----------------------------------------------------------------------------

    @contextmanager
    def _in_use(self) -> Iterator[tuple[Engine, Engine]]:
        """Count this thread as a user of the engines (reader, writer), opening them first where needed."""
        state, thread = self._state, threading.get_ident()
        with state:
            if self._refusal is not None:
                raise StoreException(self._refusal)
            state.wait_for(lambda: not self._forking, timeout=_fork.PATIENCE_S)
            self._users.append(thread)
        try:
            with self._opening:
                engines = self._opened()
            yield engines
        finally:
            with state:
                if state is self._state:  # else this is a child that was forked inside the block
                    self._users.remove(thread)
                    state.notify_all()

    def _opened(self) -> tuple[Engine, Engine]:
        """Return the engines; a file that was deleted or replaced is opened anew once nobody else uses the old one."""
        if self._engines is not None and len(self._users) == 1:
            with suppress(OSError):
                if identity(self.path) == self._identity:
                    return self._engines
            self._dispose()
        if self._engines is None:
            self._identity = prepare(self.path)
            self._engines = self._engine(read_only=True), self._engine(read_only=False)
        return self._engines

    def _dispose(self) -> None:
        self._agent_ids = {}
        if self._engines is not None:
            for engine in self._engines:
                engine.dispose()
            self._engines = None

    def _engine(self, *, read_only: bool) -> Engine:
        engine = create_engine(
            "sqlite://",
            creator=lambda: until_unlocked(lambda: connect(self.path, read_only=read_only)),
            poolclass=QueuePool,
            pool_size=_READERS_KEPT if read_only else 1,
            max_overflow=-1 if read_only else 0,
            hide_parameters=True,  # no message text in tracebacks and logs
        )
        begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

        @event.listens_for(engine, "begin")
        def begin_transaction(connection: Connection) -> None:
            handle = connection.connection.driver_connection
            assert isinstance(handle, sqlite3.Connection)
            begin_within(handle, begin, connection.get_execution_options().get(_PATIENCE, LOCK_WAIT_S))

        return engine

    # -- one transaction -----------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, engine: Engine, wait_s: float = LOCK_WAIT_S) -> Iterator[Connection]:
        """Begin, hand out, commit or roll back. A child that was forked inside the block touches nothing."""
        pid = os.getpid()
        connection: Connection | None = None
        try:
            connection = engine.connect().execution_options(**{_PATIENCE: wait_s})
            connection.begin()
            yield connection
            if os.getpid() == pid:
                connection.commit()
        except (exc.OperationalError, exc.DatabaseError, sqlite3.Error) as error:
            original = getattr(error, "orig", error)
            if isinstance(original, sqlite3.OperationalError) or type(original) is sqlite3.DatabaseError:
                raise store_error(self.path, original) from error
            raise
        finally:
            if connection is not None:
                if os.getpid() == pid:
                    connection.close()  # rolls back what was not committed
                else:
                    _fork.keep_forever(connection)

    # -- around a fork -------------------------------------------------------------------------------------------

    def before_fork(self, timeout_s: float) -> None:
        """Close the connections once nobody uses them; wait for that at most `timeout_s`."""
        with self._state:
            self._forking = True
            if threading.get_ident() not in self._users:  # else waiting would be waiting for ourselves
                self._state.wait_for(lambda: not self._users, timeout=timeout_s)
            if not self._users:
                self._dispose()

    def after_fork_in_parent(self) -> None:
        """Let the threads go on that came while the process was being forked."""
        with self._state:
            self._forking = False
            self._state.notify_all()

    def after_fork_in_child(self) -> None:
        """Begin with nothing. If the file was in use at that moment, this process must not open it at all."""
        self.start_afresh(refusal=_fork.REFUSAL if self._users else None)


def agent_row_id(connection: Connection, name: str) -> int:
    """Return the id of the agent of this name inside a `write` block; a new name is stored."""
    found = connection.exec_driver_sql(_AGENT, (name,)).scalar()
    if found is not None:
        return int(found)
    (row_id,) = connection.execute(insert(agents).values(name=name)).inserted_primary_key or (0,)
    return int(row_id)


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_fork.register(_databases)
