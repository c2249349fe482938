"""Read archived spans: a list, one with its payload, a trace as a tree.

In: filters of a URL. Out: the documented shapes.
Loses: nothing; a trace of more than `MOST_IN_TRACE` spans says that it was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.conversations import Shape, json_value
from agentsight_auto.query.lists import Listed, Place, between, fetch_rows, of_conversation, read_order
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_spans import spans

FILTERS = (
    "conversation", "conversation_id", "environment", "kind", "name", "ordering", "parent_span_id", "span_id",
    "started_at_after", "started_at_before", "status", "trace_id",
)  # fmt: skip
MOST_IN_TRACE = 5000
DEEPEST = 100
"""Deeper spans of a trace are shown as roots, so that every client can read the JSON."""

_EXACT = ("kind", "name", "parent_span_id", "span_id", "status", "trace_id")
_ORDERABLE = {
    "started_at": spans.c.started_at_us,
    "ended_at": spans.c.ended_at_us,
    "duration_ms": spans.c.duration_ms,
    "id": spans.c.id,
}


def list_spans(database: Database, agent_id: int, given: Mapping[str, str], place: Place) -> Listed:
    """Return one page of spans, the newest first, without their payload.

    Raises:
        InvalidQueryException: a filter that cannot be read.
        NotFoundException: there is no such page.
    """
    conditions = [*of_conversation(given), *between(given, "started_at", spans.c.started_at_us)]
    conditions += [spans.c[name] == given[name] for name in _EXACT if name in given]
    order = read_order(given, _ORDERABLE, spans.c.id, "-started_at")
    with database.read() as connection:
        rows, total = fetch_rows(connection, _query(agent_id).where(*conditions), order, place)
    return Listed([_shape(row) for row in rows], total)


def fetch_span(database: Database, agent_id: int, row_id: int, *, payload: bool) -> Shape:
    """Return one span, with `payload` as it was sent.

    Raises:
        NotFoundException: this agent has no such span.
    """
    with database.read() as connection:
        row = connection.execute(_query(agent_id).where(spans.c.id == row_id)).one_or_none()
    if row is None:
        raise NotFoundException(f"There is no span {row_id}.")
    shape = _shape(row)
    if payload:
        documents = {"attributes": shape["attributes"], "events": shape["events"]}
        shape["payload"] = {**json_value(row.rest), **documents}
    return shape


def fetch_trace(database: Database, agent_id: int, trace_id: str) -> Shape:
    """Return a trace as a tree, the oldest spans first; a span whose parent is not there is a root.

    Raises:
        NotFoundException: this agent has no span of such a trace.
    """
    query = _query(agent_id).where(spans.c.trace_id == trace_id)
    with database.read() as connection:
        rows = connection.execute(query.order_by(spans.c.started_at_us, spans.c.id).limit(MOST_IN_TRACE + 1)).all()
    if not rows:
        raise NotFoundException(f"There is no trace {trace_id[:64]}.")
    shown = rows[:MOST_IN_TRACE]
    return {
        "trace_id": trace_id,
        "span_count": len(shown),
        "truncated": len(rows) > MOST_IN_TRACE,
        "roots": _tree(shown),
    }


def _tree(rows: Sequence[Row[Any]]) -> list[Shape]:
    """Hang each span below its parent; where that would be a circle, or deeper than `DEEPEST`, it is a root."""
    nodes = {(row.conversation_pk, row.span_id): {**_shape(row), "children": []} for row in rows}
    parents = {key: (key[0], node["parent_span_id"]) for key, node in nodes.items()}
    depths: dict[tuple[int, str], int] = {}
    roots: list[Shape] = []
    for key in nodes:
        _settle_depths(key, parents, nodes, depths)
    for key, node in nodes.items():
        if depths[key]:
            nodes[parents[key]]["children"].append(node)
        else:
            roots.append(node)
    return roots


def _settle_depths(
    key: tuple[int, str],
    parents: Mapping[tuple[int, str], tuple[int, Any]],
    nodes: Mapping[tuple[int, str], Shape],
    depths: dict[tuple[int, str], int],
) -> None:
    """Give this span and those above it their depth: 0 for a root, else one more than the parent's."""
    path: list[tuple[int, str]] = []
    above: tuple[int, Any] = key
    on_path = set()
    while above in nodes and above not in depths and above not in on_path:
        path.append(above)
        on_path.add(above)
        above = parents[above]
    depth = depths.get(above, -1)
    for below in reversed(path):
        depth = depth + 1 if depth + 1 < DEEPEST else 0
        depths[below] = depth


def _query(agent_id: int) -> Select[Any]:
    of_span = conversations.c.id == spans.c.conversation_pk
    return (
        select(spans, conversations.c.conversation_id).join(conversations, of_span).where(spans.c.agent_id == agent_id)
    )


def _shape(row: Row[Any]) -> Shape:
    return {
        "id": row.id,
        "conversation": row.conversation_pk,
        "conversation_id": row.conversation_id,
        "trace_id": row.trace_id,
        "span_id": row.span_id,
        "parent_span_id": row.parent_span_id,
        "kind": row.kind,
        "name": row.name,
        "started_at": iso_from_us(row.started_at_us),
        "ended_at": None if row.ended_at_us is None else iso_from_us(row.ended_at_us),
        "duration_ms": row.duration_ms,
        "status": row.status,
        "attributes": json_value(row.attributes),
        "events": json_value(row.events),
    }
