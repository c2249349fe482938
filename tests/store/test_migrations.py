"""Migrations: they make exactly the schema, once, and an interrupted one leaves the file as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from agentsight_auto.store import schema_spans
from agentsight_auto.store.database import Database
from agentsight_auto.store.migrations import APPLICATION_ID, MIGRATIONS, Migration, current_version, migrate
from agentsight_auto.store.schema import metadata
from agentsight_auto.store.search_tables import TABLES

from .material import child, finished

SEARCH_TABLES = {f"{table}{part}" for table in TABLES for part in ("", "_data", "_idx", "_config")}
"""The search index is made beside the schema: a virtual table and what SQLite keeps for it."""
NEXT = MIGRATIONS[-1].version + 1


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A driver connection to an empty file."""
    with closing(sqlite3.connect(tmp_path / "empty.db", isolation_level=None)) as connection:
        yield connection


def described(path: Path) -> dict[str, Any]:
    """Return tables, columns, keys and indexes as SQLAlchemy reads them back, and SQLite's own indexes."""
    engine = create_engine(f"sqlite:///{path}")
    inspector = inspect(engine)
    found: dict[str, Any] = {}
    apart = {"schema_migrations", "sqlite_sequence", *SEARCH_TABLES}
    for table in sorted(set(inspector.get_table_names()) - apart):
        found[table] = {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
            "indexes": sorted((index["name"], index["column_names"]) for index in inspector.get_indexes(table)),
            "unique": sorted(str(unique) for unique in inspector.get_unique_constraints(table)),
            "foreign_keys": sorted(str(key) for key in inspector.get_foreign_keys(table)),
            "primary_key": inspector.get_pk_constraint(table),
        }
    with engine.connect() as connection:
        found["options"] = sorted(map(str, connection.exec_driver_sql(
            "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND name != 'schema_migrations' "
            "AND name NOT LIKE '%!_search%' ESCAPE '!'"
        )))  # fmt: skip
        found["conditions"] = sorted(map(str, connection.exec_driver_sql(
            "SELECT name, partial FROM sqlite_master JOIN pragma_index_list(tbl_name) USING (name)"
        )))  # fmt: skip
    engine.dispose()
    return found


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    """Columns, keys, indexes and options of a migrated file are those of schema.metadata."""
    assert schema_spans.spans.metadata is metadata
    Database.open(tmp_path / "migrated.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(engine)
    engine.dispose()
    migrated, declared = described(tmp_path / "migrated.db"), described(tmp_path / "declared.db")
    assert set(migrated) == {*metadata.tables, "options", "conditions"}
    assert migrated == declared


def test_every_table_carries_the_agent() -> None:
    """Each table has a column agent_id that may not be null, but the agents and how far the one index has come."""
    for table in metadata.tables.values():
        assert table.name in {"agents", "search_progress"} or not table.c.agent_id.nullable


def test_a_file_records_what_was_applied(tmp_path: Path) -> None:
    """The table schema_migrations, user_version and application_id say what the file is."""
    Database.open(tmp_path / "store.db").close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        recorded = connection.execute("SELECT version, name FROM schema_migrations ORDER BY version").fetchall()
        assert recorded == [(migration.version, migration.name) for migration in MIGRATIONS]
        assert connection.execute("PRAGMA user_version").fetchone() == (MIGRATIONS[-1].version,)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_migrating_again_does_nothing(empty: sqlite3.Connection, tmp_path: Path) -> None:
    """The second call applies no migration and leaves the first record."""
    assert migrate(empty, tmp_path) == len(MIGRATIONS)
    before = empty.execute("SELECT * FROM schema_migrations").fetchall()
    assert migrate(empty, tmp_path) == 0
    assert empty.execute("SELECT * FROM schema_migrations").fetchall() == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(empty: sqlite3.Connection, tmp_path: Path) -> None:
    """Neither the statements before the failure nor a record of it remain, and the next attempt goes through."""
    migrate(empty, tmp_path)
    before = "\n".join(empty.iterdump())
    added = ("CREATE TABLE extra (x)", "UPDATE agents SET name = 'x'")
    with pytest.raises(sqlite3.OperationalError):
        migrate(empty, tmp_path, (*MIGRATIONS, Migration(NEXT, "broken", (*added, "CREATE NONSENSE"))))
    assert "\n".join(empty.iterdump()) == before
    assert migrate(empty, tmp_path, (*MIGRATIONS, Migration(NEXT, "mended", added))) == 1
    assert current_version(empty) == NEXT


@pytest.mark.parametrize("statement", [0, 5, len(MIGRATIONS[0].statements)])
def test_a_killed_migration_leaves_an_empty_file(tmp_path: Path, statement: int) -> None:
    """A process that is killed at any statement of the first migration leaves a file that is migrated from nothing."""
    code = """
import os, signal, sqlite3, sys
from pathlib import Path
from agentsight_auto.store.migrations import MIGRATIONS, Migration, migrate
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
statements = list(MIGRATIONS[0].statements)
statements.insert(int(sys.argv[2]), "SELECT die()")
migrate(connection, Path(sys.argv[1]), [Migration(1, "initial", statements)])
"""
    path = tmp_path / "store.db"
    process = child(code, path, statement)
    process.communicate(timeout=30)
    assert process.returncode == -9
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    database = Database.open(path)
    assert database.agent_id() == 1
    database.close()


def test_of_several_processes_one_applies_each_migration(tmp_path: Path) -> None:
    """Four processes that open a new file at once all succeed, and each migration was applied by exactly one."""
    code = """
import sqlite3, sys
from pathlib import Path
from agentsight_auto.store import sqlite
path = Path(sys.argv[1])
applied = []
real = sqlite.migrate
sqlite.migrate = lambda *arguments: applied.append(real(*arguments))
print("ready", flush=True)
sys.stdin.readline()
sqlite.prepare(path)
print(sum(applied))
"""
    processes = [child(code, tmp_path / "home" / "store.db") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sum(int(finished(process)) for process in processes) == len(MIGRATIONS)
