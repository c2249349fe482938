"""Keep the insights: ingest notes which conversations changed, whoever asks for numbers has them examined.

In: database ids of conversations. Out: rows of `insights` and `ending_actions`. Loses: nothing; what was not examined
yet is due, and counted by `count_due`.

Examining reads a whole transcript. It is kept out of the transaction that stores events, which it would slow down.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, case, delete, func, select

from agentsight_auto.store.bulk import driver, insert_rows
from agentsight_auto.store.insight import Entry, Insight, derive
from agentsight_auto.store.metadata_index import encode_json
from agentsight_auto.store.schema import action_logs, conversations, messages, token_usages
from agentsight_auto.store.schema_insights import ending_actions, insights, insights_due
from agentsight_auto.store.sqlite import LOCK_WAIT_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentsight_auto.store.database import Database

_AT_ONCE = 200
"""Conversations examined in one transaction."""
_ENTRIES_AT_ONCE = 1_000
"""Entries of transcripts read in one, more only where one conversation has more: nobody else can write meanwhile."""
_PAUSE_S = 0.001
"""Between two transactions, for those who wait to write: a lock that is taken again at once goes to none of them."""
_due_pk = insights_due.c.conversation_pk
_MARK = (  # a statement for all: triggers and keys make one for each take twice as long
    "INSERT OR IGNORE INTO insights_due (conversation_pk, agent_id) SELECT value, ? FROM json_each(?)"
)
_READ_CHARACTERS = 4000
"""Of a message or of arguments; what follows changes none of the numbers by much."""
_READ = (
    "id", "agent_id", "started_at_us", "last_entry_at_us", "geo_country", "is_used", "human_message_count",
    "agent_message_count", "action_count", "action_error_count", "positive_count", "neutral_count", "negative_count",
    "total_tokens",
)  # fmt: skip


def mark_due(connection: Connection, agent_id: int, pks: Iterable[int]) -> None:
    """Note that these conversations have changed, inside a `write` block."""
    driver(connection).execute(_MARK, (agent_id, encode_json(list(pks)).decode()))


def count_due(connection: Connection, *, most: int = 1_000_000) -> int:
    """Return how many conversations wait to be examined, counting up to `most`."""
    return connection.execute(
        select(func.count()).select_from(select(insights_due).limit(most).subquery())
    ).scalar_one()


def settle(database: Database, *, most: int = 2000, wait_s: float = LOCK_WAIT_S) -> int:
    """Examine the newest conversations that are due, up to `most`, and return how many are still due.

    The oldest of them comes first: rows that are stored in order fill their pages.

    Raises:
        StoreException: somebody else has held the store's lock for `wait_s`, or it cannot be written to.
    """
    with database.read() as connection:
        newest = select(_due_pk).order_by(_due_pk.desc()).limit(most).subquery()
        first = connection.execute(select(func.min(newest.c.conversation_pk))).scalar()
    while first is not None and most > 0:
        with database.write(wait_s=wait_s) as connection:
            pks, first = _take_due(connection, first, min(most, _AT_ONCE))
            examine(connection, pks)
        most -= len(pks)
        if first is not None:
            time.sleep(_PAUSE_S)
    with database.read() as connection:
        return count_due(connection)


def _take_due(connection: Connection, first: int, most: int) -> tuple[list[int], int | None]:
    """Return the conversations of the next transaction, which are due no more, and where the one after it begins."""
    due = select(_due_pk, conversations.c.transcript_count).join(conversations, conversations.c.id == _due_pk)
    pks: list[int] = []
    entries, following = 0, None
    for pk, number in connection.execute(due.where(_due_pk >= first).order_by(_due_pk).limit(most + 1)).all():
        entries += number
        if len(pks) == most or (pks and entries > _ENTRIES_AT_ONCE):
            following = pk
            break
        pks.append(pk)
    connection.execute(delete(insights_due).where(_due_pk.in_(pks)))
    return pks, following


def examine(connection: Connection, pks: Sequence[int]) -> None:
    """Make the insights of these conversations anew from their rows, inside a `write` block."""
    rows = connection.execute(
        select(*(conversations.c[name] for name in _READ)).where(conversations.c.id.in_(pks))
    ).all()
    entries, costs = _entries(connection, pks), _costs(connection, pks)
    found: list[tuple[Any, ...]] = []
    endings: list[tuple[Any, ...]] = []
    for row in rows:
        insight = derive(entries[row.id])
        found.append(_values(row, insight, costs.get(row.id, (None, 0, 0))))
        endings += [(row.agent_id, name, row.id, at_us) for name, at_us in sorted(insight.ending_actions.items())]
    for table in (insights, ending_actions):
        connection.execute(delete(table).where(table.c.conversation_pk.in_(pks)))
    insert_rows(connection, insights, found)
    insert_rows(connection, ending_actions, endings)


def _entries(connection: Connection, pks: Sequence[int]) -> defaultdict[int, list[Entry]]:
    grouped: defaultdict[int, list[Entry]] = defaultdict(list)
    query = (
        select(
            messages.c.conversation_pk,
            messages.c.kind,
            messages.c.sender,
            func.substr(messages.c.content, 1, _READ_CHARACTERS),
            messages.c.at_us,
            messages.c.action_name,
            func.substr(action_logs.c.error_message, 1, 1),
            func.substr(action_logs.c.tools_used, 1, _READ_CHARACTERS),
        )
        .outerjoin(action_logs, action_logs.c.message_id == messages.c.id)
        .where(messages.c.conversation_pk.in_(pks))
        .order_by(messages.c.conversation_pk, messages.c.at_us, messages.c.event_id)
    )
    for pk, *entry in connection.execute(query):
        grouped[pk].append(Entry(*entry))
    return grouped


def _costs(connection: Connection, pks: Sequence[int]) -> dict[int, tuple[float | None, int, int]]:
    """Return, by conversation: the sum of what its priced calls cost, how many those are, how many have no price."""
    cost = func.json_extract(token_usages.c.metadata, "$.cost_usd")
    model = func.json_extract(token_usages.c.metadata, "$.model")
    query = (
        select(
            token_usages.c.conversation_pk,
            func.sum(cost),
            func.count(cost),
            func.count(case((cost.is_(None), model))),
        )
        .where(token_usages.c.conversation_pk.in_(pks), token_usages.c.metadata.is_not(None))
        .group_by(token_usages.c.conversation_pk)
    )
    return {pk: (total, priced, unpriced) for pk, total, priced, unpriced in connection.execute(query)}


def _values(row: Any, insight: Insight, cost: tuple[float | None, int, int]) -> tuple[Any, ...]:
    waits = insight.responses_ms
    packed = waits[:]
    if sys.byteorder == "big":
        packed.byteswap()
    responses = (
        len(waits),
        sum(waits),
        waits[0] if waits else None,
        max(waits, default=None),
        packed.tobytes() if waits else None,
    )
    flags = (insight.is_looped, insight.is_unanswered, insight.is_left, insight.is_failed_last)
    last_at_us = row.started_at_us if row.last_entry_at_us is None else row.last_entry_at_us
    return (
        row.id, row.agent_id, row.started_at_us, last_at_us, row.geo_country, row.is_used, row.human_message_count,
        row.agent_message_count, row.action_count, row.action_error_count, *responses, insight.repeated_count, *flags,
        row.positive_count, row.neutral_count, row.negative_count, row.total_tokens, *cost,
    )  # fmt: skip
