"""How the actions of a period went: calls, errors, durations, trend, the slowest, the most frequent errors.

In: filters. Out: one plain dict. Loses: beyond the newest `MOST_COUNTED` calls nothing is counted, and it says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.board.scope import read_period, scan
from agentsight_auto.query.board.times import quantile
from agentsight_auto.query.filters import parse_filters
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.store.schema import action_logs, conversations, messages

MOST_COUNTED = 50_000
_TREND = 30
_SLOWEST = 20
_ERRORS = 20
_ERROR_CHARACTERS = 300


def examine_actions(
    connection: Connection, filters: Mapping[str, Any], *, agent_id: int, rules: Rules, now_us: int
) -> dict[str, Any]:
    """Return how the actions in the conversations that match went; see `Board.actions`.

    Raises:
        InvalidQueryException: a filter that cannot be read.
    """
    conditions = scan(connection, parse_filters(filters, agent_id=agent_id, rules=rules))
    scope = select(conversations.c.id).where(*conditions)
    wanted = (
        messages.c.action_name, messages.c.at_us, action_logs.c.duration_ms, messages.c.conversation_pk,
        messages.c.id, func.nullif(func.substr(action_logs.c.error_message, 1, _ERROR_CHARACTERS), "").label("error"),
    )  # fmt: skip
    statement = (
        select(*wanted)
        .join(messages, messages.c.id == action_logs.c.message_id)
        .where(messages.c.agent_id == agent_id, action_logs.c.conversation_pk.in_(scope))
        .order_by(action_logs.c.id.desc())
        .limit(MOST_COUNTED)
    )
    calls = connection.execute(statement).all()
    from_us, until_us = read_period(filters, now_us)
    if calls:
        from_us = min(row.at_us for row in calls) if from_us is None else from_us
        until_us = max(until_us if filters.get("started_at_before") else 0, *(row.at_us for row in calls))
    slowest = sorted((row for row in calls if row.duration_ms is not None), key=lambda row: -row.duration_ms)[:_SLOWEST]
    errors = _errors(calls)
    names = _text_ids(connection, {row.conversation_pk for row in slowest} | {error[1] for error in errors.values()})
    return {
        "counted": len(calls),
        "is_complete": len(calls) < MOST_COUNTED,
        "actions": _by_name(calls, from_us or until_us, until_us),
        "slowest": [
            {"action_name": row.action_name, "duration_ms": row.duration_ms, "id": row.conversation_pk,
             "conversation_id": names[row.conversation_pk], "message_id": row.id, "at": iso_from_us(row.at_us)}
            for row in slowest
        ],
        "errors": [
            {"action_name": name, "error": text, "count": count, "id": pk, "conversation_id": names[pk],
             "message_id": message_id, "last_at": iso_from_us(at_us)}
            for (name, text), (count, pk, message_id, at_us) in errors.items()
        ],
    }  # fmt: skip


def _by_name(calls: Any, from_us: int, until_us: int) -> list[dict[str, Any]]:
    grouped = defaultdict(list)
    for row in calls:
        grouped[row.action_name].append(row)
    width_us = max((until_us - from_us) / _TREND, 1)
    rows = []
    for name, own in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0] or "")):
        took = sorted(row.duration_ms for row in own if row.duration_ms is not None)
        failed = sum(row.error is not None for row in own)
        trend, error_trend = [0] * _TREND, [0] * _TREND
        for row in own:
            place = min(max(int((row.at_us - from_us) / width_us), 0), _TREND - 1)
            trend[place] += 1
            error_trend[place] += row.error is not None
        rows.append(
            {"action_name": name, "calls": len(own), "errors": failed, "error_rate": failed / len(own),
             "p50_ms": quantile(took, 0.5), "p95_ms": quantile(took, 0.95),
             "conversations": len({row.conversation_pk for row in own}), "trend": trend, "error_trend": error_trend}
        )  # fmt: skip
    return rows


def _errors(calls: Any) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """Return the most frequent error texts by action, with the newest place of each."""
    counts = Counter((row.action_name, row.error) for row in calls if row.error is not None)
    newest: dict[tuple[str, str], Any] = {}
    for row in calls:
        newest.setdefault((row.action_name, row.error), row)
    return {
        key: (count, newest[key].conversation_pk, newest[key].id, newest[key].at_us)
        for key, count in counts.most_common(_ERRORS)
    }


def _text_ids(connection: Connection, pks: set[int]) -> dict[int, str]:
    query = select(conversations.c.id, conversations.c.conversation_id).where(conversations.c.id.in_(pks))
    return {row[0]: row[1] for row in connection.execute(query)}
