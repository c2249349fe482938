"""Numbered migrations: each in one transaction together with its own record.

In: a driver connection to a file that is empty or ours. Out: the schema of `schema.metadata`.
Loses: nothing; an interrupted migration leaves the file as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentsight_auto._clock import Clock, iso_from_us
from agentsight_auto.exceptions import StoreException
from agentsight_auto.store import (
    migration_0001_initial,
    migration_0002_server,
    migration_0003_spans,
    migration_0004_summaries,
    migration_0005_search,
    migration_0006_marked,
    migration_0007_order,
    migration_0008_erasure,
    migration_0009_sessions,
    migration_0010_insights,
    migration_0011_search_progress,
    migration_0012_days,
    migration_0013_key_expiry,
    migration_0014_smaller,
    migration_0015_row_ids,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID = 0x41475341
"""``AGSA``: marks the file as ours. Source: https://www.sqlite.org/fileformat2.html#application_id"""


class Migration(NamedTuple):
    """One step: its number, a name for people, and the statements in order."""

    version: int
    name: str
    statements: Sequence[str]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "initial", migration_0001_initial.STATEMENTS),
    Migration(2, "server", migration_0002_server.STATEMENTS),
    Migration(3, "spans", migration_0003_spans.STATEMENTS),
    Migration(4, "summaries", migration_0004_summaries.STATEMENTS),
    Migration(5, "search", migration_0005_search.STATEMENTS),
    Migration(6, "marked", migration_0006_marked.STATEMENTS),
    Migration(7, "order", migration_0007_order.STATEMENTS),
    Migration(8, "erasure", migration_0008_erasure.STATEMENTS),
    Migration(9, "sessions", migration_0009_sessions.STATEMENTS),
    Migration(10, "insights", migration_0010_insights.STATEMENTS),
    Migration(11, "search progress", migration_0011_search_progress.STATEMENTS),
    Migration(12, "days", migration_0012_days.STATEMENTS),
    Migration(13, "key expiry", migration_0013_key_expiry.STATEMENTS),
    Migration(14, "smaller", migration_0014_smaller.STATEMENTS),
    Migration(15, "row ids", migration_0015_row_ids.STATEMENTS),
)

_RECORD_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "applied_at TEXT NOT NULL)"
)


def check_ours(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse a file of another program or of a newer version; writes nothing.

    Raises:
        StoreException: with what to do instead.
    """
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID and (tables or application_id):
        raise StoreException(
            f"{path} is a SQLite database of another program. "
            "Set AGENTSIGHT_HOME to another folder; this file was not changed."
        )
    version = current_version(connection)
    newest = migrations[-1].version
    if version > newest:
        raise StoreException(
            f"{path} has schema version {version}, written by a newer agentsight-auto; this one knows up to {newest}. "
            "Upgrade agentsight-auto or set AGENTSIGHT_HOME to another folder; this file was not changed."
        )


def current_version(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration applied, 0 for an empty file."""
    (recorded,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'schema_migrations'").fetchone()
    if not recorded:
        return 0
    (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Apply what is missing and return how many were applied by this call.

    Of several processes at once exactly one applies a migration: each looks again once it holds the write lock.
    """
    applied = 0
    for migration in migrations:
        if current_version(connection) >= migration.version:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            check_ours(connection, path, migrations)
            if current_version(connection) < migration.version:
                _apply(connection, migration)
                applied += 1
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return applied


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute(_RECORD_TABLE)
    for statement in migration.statements:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)",
        (migration.version, migration.name, iso_from_us(Clock().now_us())),
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {migration.version}")
