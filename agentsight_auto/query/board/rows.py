"""What the list says of each conversation: first and last words, status, counts, the hit of a search.

In: filters and a place. Out: rows, and cursors of the pages around them. Loses: counting stops at `MOST_COUNTED`, or
where it would take long, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query import ordering, pages, parameters
from agentsight_auto.query.board.scope import count_listed, count_up_to
from agentsight_auto.query.filters import parse_filters
from agentsight_auto.query.lifecycle import LISTS, Lifecycle, Rules
from agentsight_auto.query.plan import plan_page
from agentsight_auto.query.texts import contains
from agentsight_auto.store.schema import conversations, messages
from agentsight_auto.store.schema_insights import insights

MOST_COUNTED = 10_000
MOST_NEW = 100
_WORDS = 200
_AROUND = 80
_TOLD = ("repeated", "looped", "left_asking", "abandoned_after_failure", "failed", "escalated")
"""The lists that a row names where the conversation is in them."""
_said = and_(messages.c.kind == "message", messages.c.sender.in_(("end_user", "agent")))


def fetch_rows(
    connection: Connection,
    filters: Mapping[str, Any],
    *,
    agent_id: int,
    rules: Rules,
    page_size: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Return one page of the list; see `Board.conversations`.

    Raises:
        InvalidQueryException: a filter or a cursor that cannot be read.
    """
    wanted = parse_filters(filters, agent_id=agent_id, rules=rules)
    place = None if cursor is None else ordering.parse_cursor(cursor, wanted.ordering)
    ways = plan_page(connection, wanted.asked)
    size = parameters.clamp_page_size(page_size)
    page = pages.fetch_page(connection, ways, ordering=wanted.ordering, number=1, size=size, place=place)
    if place is None and page.next is None:
        count, is_exact = len(page.rows), True
    else:
        count, is_exact = count_listed(connection, wanted.asked, ways, MOST_COUNTED)
    needle = wanted.parameters.get("message_contains") or wanted.parameters.get("search")
    newest = page.rows[0] if page.rows else None
    return {
        "count": count,
        "count_is_exact": is_exact,
        "next": None if page.next is None else page.next.token(),
        "previous": None if page.previous is None else page.previous.token(),
        "newest": None if newest is None else {"started_at": iso_from_us(newest.started_at_us), "id": newest.id},
        "results": shape_rows(connection, page.rows, Lifecycle(rules, agent_id), needle),
    }


def count_newer(
    connection: Connection, filters: Mapping[str, Any], *, agent_id: int, rules: Rules, marker: Mapping[str, Any]
) -> int:
    """Count the conversations that match and stand before the marker in the list, up to `MOST_NEW`."""
    at_us = parameters.read_moment_us("started_at", marker.get("started_at"))
    row_id = min(parameters.read_whole_number("id", marker.get("id")), 2**63 - 1)
    conditions = plan_page(connection, parse_filters(filters, agent_id=agent_id, rules=rules).asked).walk
    started = conversations.c.started_at_us
    is_newer = and_(started >= at_us, or_(started > at_us, conversations.c.id > row_id))
    return count_up_to(connection, [*conditions, is_newer], MOST_NEW)


def shape_rows(
    connection: Connection, rows: Sequence[Row[Any]], life: Lifecycle, needle: str | None = None
) -> list[dict[str, Any]]:
    """Return what the list says of these conversations."""
    found = _found_out(connection, [row.id for row in rows], life)
    return [_shape(connection, row, found.get(row.id), needle) for row in rows]


def _found_out(connection: Connection, pks: Sequence[int], life: Lifecycle) -> dict[int, Any]:
    lists = [LISTS[name](life).label(name) for name in _TOLD]
    column = insights.c
    wanted = (column.conversation_pk, column.cost_usd, column.unpriced_count, life.status().label("status"), *lists)
    joined = insights.join(conversations, conversations.c.id == column.conversation_pk)
    statement = select(*wanted).select_from(joined).where(column.conversation_pk.in_(pks))
    return {row.conversation_pk: row for row in connection.execute(statement)}


def _shape(connection: Connection, row: Row[Any], found: Any, needle: str | None) -> dict[str, Any]:
    first, last = _words_at(connection, row, min), _words_at(connection, row, max)
    until_us = row.started_at_us if row.last_entry_at_us is None else row.last_entry_at_us
    return {
        **{name: getattr(row, name) for name in ("id", "conversation_id", "name", "customer_id", "environment")},
        **{name: getattr(row, name) for name in ("source", "device", "language")},
        "country": row.geo_country,
        "started_at": iso_from_us(row.started_at_us),
        "ended_at": iso_from_us(row.ended_at_us),
        "duration_ms": max(until_us - row.started_at_us, 0) / 1000,
        "status": "open" if found is None else found.status,
        **{name: bool(getattr(row, name)) for name in ("is_marked", "is_deleted", "is_used")},
        "messages": row.message_count,
        "human_messages": row.human_message_count,
        "agent_messages": row.agent_message_count,
        "actions": row.action_count,
        "action_errors": row.action_error_count,
        "total_tokens": row.total_tokens,
        "cost_usd": None if found is None else found.cost_usd,
        "unpriced_calls": 0 if found is None else found.unpriced_count,
        "feedback": {name: getattr(row, f"{name}_count") for name in ("positive", "neutral", "negative")},
        "first_words": first[1],
        "last_words": last[1],
        "last_sender": last[0],
        "hit": _hit(connection, row.id, needle) if needle else None,
        "insights": [] if found is None else [name for name in _TOLD if getattr(found, name)],
    }


def _words_at(connection: Connection, row: Row[Any], which: Any) -> tuple[str | None, str]:
    """Return sender and words of the first or the last that was said."""
    ends = "first" if which is min else "last"
    moments = [getattr(row, f"{ends}_{who}_at_us") for who in ("human", "agent")]
    known = [at_us for at_us in moments if at_us is not None]
    if not known:
        return None, ""
    there = (messages.c.conversation_pk == row.id, messages.c.at_us == which(known))
    order = messages.c.event_id.asc() if which is min else messages.c.event_id.desc()
    words = func.substr(messages.c.content, 1, _WORDS)
    said = connection.execute(select(messages.c.sender, words).where(*there, _said).order_by(order).limit(1)).one()
    return said[0], said[1]


def _hit(connection: Connection, pk: int, needle: str) -> dict[str, Any] | None:
    """Return the first place where the conversation says it, with the words around it."""
    column = messages.c
    found = (
        select(column.id, column.sender, column.content)
        .where(column.conversation_pk == pk, contains(column.content, needle))
        .order_by(column.at_us, column.event_id)
        .limit(1)
    )
    row = connection.execute(found).one_or_none()
    if row is None:
        return None
    start = max(row.content.casefold().find(needle.casefold()), 0)
    end = start + len(needle)
    return {
        "before": row.content[max(start - _AROUND, 0) : start],
        "match": row.content[start:end],
        "after": row.content[end : end + _AROUND],
        "sender": row.sender,
        "message_id": row.id,
    }
