"""Count what happened: the documented metrics of the conversations that match some filters.

In: conditions. Out: one plain dict; numbers carry their unit in the name, days and hours are UTC.
Loses: nothing; which environments were counted and which were left out is part of the answer.

Messages, response times and peak hours use only what a person or the agent said: actions, buttons and system messages
are no messages here. Only feedback whose source is ``customer`` counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Select, and_, case, cast, func, select

from agentsight_auto.query.conversations import TOKEN_COUNTERS
from agentsight_auto.store.schema import action_logs, conversations, feedbacks, messages, token_usages

ESCALATION_ACTIONS = ("fallback_to_human", "open_ticket", "ticket", "contact_human")
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LONGEST_BREAKDOWN = 100
_columns = conversations.c
_said = and_(messages.c.kind == "message", messages.c.sender.in_(("end_user", "agent")))

Condition = ColumnElement[bool]


def compute_stats(
    connection: Connection,
    conditions: Sequence[Condition],
    *,
    all_environments: bool,
    escalation_actions: Sequence[str] = ESCALATION_ACTIONS,
) -> dict[str, Any]:
    """Return the metrics of the conversations that match.

    Unless `all_environments`, development is left out when production conversations match too.
    """
    found = _breakdown(connection, select(_columns.environment).where(*conditions))
    left_out = ["development"] if "production" in found and "development" in found and not all_environments else []
    counted = and_(*conditions, _columns.environment.not_in(left_out)) if left_out else and_(*conditions)
    scope = select(_columns.id).where(counted)
    return {
        "environments": {"counted": sorted(found.keys() - set(left_out)), "left_out": left_out},
        **_conversation_metrics(connection, counted),
        **_message_metrics(connection, scope),
        **_action_metrics(connection, scope),
        **_escalation_metrics(connection, counted, escalation_actions),
        "average_response_ms": _average_response_ms(connection, scope),
        "tokens": _tokens(connection, scope),
        "feedbacks": _feedbacks(connection, scope),
    }


def _conversation_metrics(connection: Connection, counted: Condition) -> dict[str, Any]:
    """Count conversations: used ones, those that were only opened, their days, customers and origins."""
    # Until the last thing that happened in it: feedback that comes a day later does not make it a day long.
    last_at_us = select(func.max(messages.c.at_us)).where(messages.c.conversation_pk == _columns.id).scalar_subquery()
    ended_at_us = func.coalesce(last_at_us, _columns.started_at_us)
    lasted_us = case((_columns.is_used, ended_at_us - _columns.started_at_us))
    statement = select(
        func.count().label("conversations"),
        func.count(case((_columns.is_used, 1))).label("used"),
        func.count(_columns.customer_id.distinct()).label("customers"),
        func.avg(lasted_us).label("lasted_us"),
    ).where(counted)
    row = connection.execute(statement).one()
    day = (_columns.started_at_us // _DAY_US).label("day")
    days = connection.execute(select(day, func.count()).where(counted).group_by(day).order_by(day))
    return {
        "conversations": row.conversations,
        "used_conversations": row.used,
        "visited_only_conversations": row.conversations - row.used,
        "customers": row.customers,
        "average_conversation_ms": _milliseconds(row.lasted_us),
        "conversations_per_day": [{"date": _date(day), "conversations": count} for day, count in days],
        **{
            f"by_{name}": [
                {name: value, "conversations": count}
                for value, count in _breakdown(connection, select(column).where(counted)).items()
            ]
            for name, column in _ORIGINS.items()
        },
    }


_ORIGINS: Mapping[str, ColumnElement[Any]] = {
    "device": _columns.device,
    "source": _columns.source,
    "language": _columns.language,
    "country": _columns.geo_country,
}


def _message_metrics(connection: Connection, scope: Select[Any]) -> dict[str, Any]:
    """Count messages by sender, by day, and by weekday and hour."""
    hour = (messages.c.at_us // _HOUR_US).label("hour")
    statement = (
        select(hour, messages.c.sender, func.count())
        .where(_said, messages.c.conversation_pk.in_(scope))
        .group_by(hour, messages.c.sender)
    )
    by_sender: Counter[str] = Counter()
    by_day: Counter[tuple[int, str]] = Counter()
    by_hour: Counter[tuple[int, int]] = Counter()
    for hours, sender, count in connection.execute(statement):
        by_sender[sender] += count
        by_day[hours // 24, sender] += count
        by_hour[(hours // 24 + _EPOCH.weekday()) % 7, hours % 24] += count
    return {
        "messages": by_sender.total(),
        "human_messages": by_sender["end_user"],
        "agent_messages": by_sender["agent"],
        "messages_per_day": [
            {"date": _date(day), "human_messages": by_day[day, "end_user"], "agent_messages": by_day[day, "agent"]}
            for day in sorted({day for day, _ in by_day})
        ],
        "peak_hours": [
            {"weekday": weekday, "hour": hour, "messages": by_hour[weekday, hour]} for weekday, hour in sorted(by_hour)
        ],
    }


def _action_metrics(connection: Connection, scope: Select[Any]) -> dict[str, Any]:
    """Count calls and errors and average the duration, by action name."""
    statement = (
        select(
            messages.c.action_name,
            func.count().label("calls"),
            func.count(func.nullif(action_logs.c.error_message, "")).label("errors"),
            func.avg(action_logs.c.duration_ms).label("average_duration_ms"),
        )
        .join(messages, messages.c.id == action_logs.c.message_id)
        .where(action_logs.c.conversation_pk.in_(scope))
        .group_by(messages.c.action_name)
        .order_by(func.count().desc(), messages.c.action_name)
    )
    actions = [dict(row._mapping) for row in connection.execute(statement)]
    return {
        "action_calls": sum(action["calls"] for action in actions),
        "action_errors": sum(action["errors"] for action in actions),
        "actions": actions,
    }


def _escalation_metrics(connection: Connection, counted: Condition, names: Sequence[str]) -> dict[str, Any]:
    """Count conversations that were handed to a human; the rate is that among the used ones, from 0 to 1."""
    escalated = select(messages.c.conversation_pk).where(messages.c.action_name.in_(names))
    statement = select(func.count(), func.count(case((_columns.id.in_(escalated), 1)))).where(counted, _columns.is_used)
    used, handed_over = connection.execute(statement).one()
    return {
        "escalation_actions": list(names),
        "escalated_conversations": handed_over,
        "escalation_rate": handed_over / used if used else None,
    }


def _average_response_ms(connection: Connection, scope: Select[Any]) -> float | None:
    """Average the time from each message of a person to the agent's next one; unanswered messages do not count."""
    answered_at_us = func.min(case((messages.c.sender == "agent", messages.c.at_us))).over(
        partition_by=messages.c.conversation_pk,
        order_by=(messages.c.at_us.desc(), messages.c.event_id.desc()),
        rows=(None, -1),
    )
    said = (
        select(messages.c.sender, messages.c.at_us, answered_at_us.label("answered_at_us"))
        .where(_said, messages.c.conversation_pk.in_(scope))
        .subquery()
    )
    waited_us = func.avg(said.c.answered_at_us - said.c.at_us)
    return _milliseconds(connection.scalar(select(waited_us).where(said.c.sender == "end_user")))


def _tokens(connection: Connection, scope: Select[Any]) -> dict[str, int]:
    """Sum the tokens, as floating point: a sum of 64-bit integers may not fit in 64 bits."""
    sums = [func.sum(cast(token_usages.c[counter], Float)).label(counter) for counter in TOKEN_COUNTERS]
    row = connection.execute(select(*sums).where(token_usages.c.conversation_pk.in_(scope))).one()
    return {counter: int(getattr(row, counter) or 0) for counter in TOKEN_COUNTERS}


def _feedbacks(connection: Connection, scope: Select[Any]) -> dict[str, int]:
    """Count the customers' feedback by sentiment."""
    statement = select(feedbacks.c.sentiment).where(
        feedbacks.c.source == "customer", feedbacks.c.conversation_pk.in_(scope)
    )
    return {"positive": 0, "neutral": 0, "negative": 0, **_breakdown(connection, statement)}


def _breakdown(connection: Connection, statement: Select[Any]) -> dict[Any, int]:
    """Count the rows of a one-column statement by value, the most frequent first, at most 100 values."""
    column = statement.selected_columns[0]
    counts = statement.add_columns(func.count().label("count")).group_by(column)
    ordered = counts.order_by(func.count().desc(), column).limit(_LONGEST_BREAKDOWN)
    return {row[0]: row[1] for row in connection.execute(ordered)}


def _milliseconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else float(microseconds) / 1000


def _date(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day):%Y-%m-%d}"
