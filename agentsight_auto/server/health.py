"""The health of an installation: what was recorded, what waits, what was lost and why, how large the store is.

In: a database, an outbox. Out: one plain dict. Loses: nothing; what cannot be looked at is null.
"""

from __future__ import annotations

import platform
import shutil
import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agentsight_auto._clock import iso_from_us
from agentsight_auto._version import __version__
from agentsight_auto.deliver.losses import read_losses, total_lost
from agentsight_auto.deliver.overview import look_into
from agentsight_auto.deliver.rejected import Rejected
from agentsight_auto.query.store_facts import store_facts
from agentsight_auto.store.database import Database

_MOST_REASONS = 20
_LONGEST_REASON = 300


def examine_health(database: Database, agent_id: int, *, outbox: Path | None = None) -> dict[str, Any]:
    """Return versions, the store, the outbox beside it, what was lost by all its processes, and the balance.

    ``balance`` adds up: ``captured`` is what was ``delivered`` into the store by whatever way, what is ``waiting``,
    what was ``rejected`` and what was ``lost``.
    """
    facts = store_facts(database, agent_id)
    waits = None if outbox is None else _outbox(outbox)
    lost = _lost(outbox)
    parts = {
        "delivered": facts["store"]["entries"],
        "waiting": 0 if waits is None else waits["events"],
        "rejected": 0 if waits is None else sum(waits["rejected"].values()),
        "lost": sum(lost["by_reason"].values()),
    }
    with suppress(OSError):
        facts["store"]["free_bytes"] = shutil.disk_usage(database.path.parent).free
    return {
        "version": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **facts,
        "outbox": waits,
        "lost": lost,
        "balance": {"captured": sum(parts.values()), **parts},
    }


def _outbox(outbox: Path) -> dict[str, Any] | None:
    with suppress(OSError):
        found = look_into(outbox, None, 0)
        reasons = Counter(event.reason[:_LONGEST_REASON] for event in Rejected(outbox).list())
        return {
            "events": found.events,
            "size_bytes": found.size_bytes,
            "oldest_age_s": found.oldest_age_s,
            "shares": msgspec.to_builtins(found.shares),
            "rejected": dict(reasons.most_common()),
            "damaged": found.damaged,
            "newer": found.newer,
        }
    return None


def _lost(outbox: Path | None) -> dict[str, Any]:
    notes = [] if outbox is None else read_losses(outbox)
    last_at_us = max((note.at_us for note in notes), default=None)
    return {"by_reason": total_lost(notes), "last_at": None if last_at_us is None else iso_from_us(last_at_us)}
