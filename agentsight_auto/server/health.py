"""The health of an installation: what was captured, what waits, what was lost and why, how large the store is.

In: a database, an outbox. Out: one plain dict. Loses: nothing; what cannot be looked at is null.
"""

from __future__ import annotations

import platform
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agentsight_auto._version import __version__
from agentsight_auto.deliver.losses import read_losses, total_lost
from agentsight_auto.deliver.overview import look_into
from agentsight_auto.deliver.report import FlushReport
from agentsight_auto.query.store_facts import store_facts
from agentsight_auto.store.database import Database


def examine_health(
    database: Database, agent_id: int, *, outbox: Path | None = None, balance: FlushReport | None = None
) -> dict[str, Any]:
    """Return versions, the store, the outbox beside it, and this process's balance where it records itself.

    ``balance`` holds captured, delivered, waiting, rejected and lost by reason; ``lost`` adds up all processes of this
    outbox.
    """
    return {
        "version": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **store_facts(database, agent_id),
        "outbox": None if outbox is None else _outbox(outbox),
        "lost": {} if outbox is None else _lost(outbox),
        "balance": None if balance is None else _balance(balance),
    }


def _outbox(outbox: Path) -> dict[str, Any] | None:
    with suppress(OSError):
        found = look_into(outbox, None, 0)
        return {
            "events": found.events,
            "size_bytes": found.size_bytes,
            "oldest_age_s": found.oldest_age_s,
            "shares": msgspec.to_builtins(found.shares),
            "rejected": found.rejected,
            "damaged": found.damaged,
            "newer": found.newer,
        }
    return None


def _lost(outbox: Path) -> dict[str, int]:
    with suppress(OSError):
        return dict(total_lost(read_losses(outbox)))
    return {}


def _balance(report: FlushReport) -> dict[str, Any]:
    return {
        "captured": report.captured,
        "delivered": report.delivered,
        "waiting": report.pending,
        "rejected": report.rejected,
        "lost": report.lost,
    }
