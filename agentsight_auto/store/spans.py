"""Archive spans and let in what they tell, one conversation in one transaction, any number of times.

In: what is told of one conversation (`Told`), its spans with the events and model calls made from them.
Out: how many spans were new. Loses: nothing; a span that is archived already changes nothing, in whatever order a turn
and what belongs to it arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from agentsight_auto._ids import derived_id
from agentsight_auto.events import AnyEvent, ConversationEnded, ConversationStarted
from agentsight_auto.store import edit
from agentsight_auto.store.bulk import in_slices, insert_rows
from agentsight_auto.store.database import Database, agent_row_id
from agentsight_auto.store.event_rows import json_text
from agentsight_auto.store.ingest import ingest_within
from agentsight_auto.store.model_usages import ModelCall, count_calls, mark_incomplete
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_spans import spans
from agentsight_auto.store.tombstones import is_buried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentsight_auto.events import Answer
    from agentsight_auto.store.geo import GeoLookup


@dataclass(frozen=True)
class Span:
    """A span as it is archived, and what becomes of it elsewhere; moments in microseconds (UTC)."""

    span_id: str
    trace_id: str
    parent_span_id: str | None
    kind: str
    name: str
    started_at_us: int
    ended_at_us: int | None
    duration_ms: float | None
    status: str
    attributes: dict[str, Any]
    events: list[Any]
    rest: dict[str, Any]
    facts: Sequence[AnyEvent] = ()
    call: ModelCall | None = None
    incomplete_reason: str | None = None
    """Why a turn did not come to its end; None for one that did, and for what is no turn."""


@dataclass(frozen=True)
class Told:
    """What one request tells of one conversation.

    `fields` overwrite what is known, ``metadata`` the whole document. `environment` is for a conversation that is new.
    """

    conversation_id: str
    at_us: int
    environment: str
    fields: dict[str, Any] = field(default_factory=dict)
    spans: Sequence[Span] = ()
    is_used: bool = False


@dataclass(frozen=True)
class Archived:
    """How many of the spans were new, and what the store answered for the events made from those."""

    new: int
    answers: Sequence[Answer] = ()


def archive(database: Database, told: Told, *, agent: str, geo: GeoLookup | None = None) -> Archived:
    """Store all of it, or nothing.

    A request whose spans are all known is one that was sent again: its fields are not applied a second time.

    Raises:
        StoreException: the store cannot be written to.
    """
    with database.write() as connection:
        agent_id = agent_row_id(connection, agent)
        newest_us = max((span.ended_at_us or span.started_at_us for span in told.spans), default=told.at_us)
        if is_buried(connection, agent_id, told.conversation_id, newest_us):
            return Archived(0)
        pk = _conversation(connection, agent_id, told, geo)
        news = _unknown(connection, agent_id, pk, told.spans)
        insert_rows(connection, spans, [_row(agent_id, pk, span) for span in news])
        facts = [fact for span in news for fact in span.facts]
        answers = ingest_within(connection, agent_id, [*facts, *_seen(told, news)], geo)[: len(facts)]
        count_calls(connection, agent_id, pk, told.conversation_id, [span.call for span in news if span.call])
        incomplete = {span.span_id: span.incomplete_reason for span in news if span.incomplete_reason is not None}
        mark_incomplete(connection, pk, incomplete)
        if news or not told.spans:
            _overwrite(connection, agent_id, pk, told, geo)
    return Archived(len(news), answers)


def _conversation(connection: Connection, agent_id: int, told: Told, geo: GeoLookup | None) -> int:
    own = (conversations.c.agent_id == agent_id, conversations.c.conversation_id == told.conversation_id)
    found = connection.execute(select(conversations.c.id).where(*own)).scalar()
    if found is None:
        at_us = min((span.started_at_us for span in told.spans), default=told.at_us)
        head = derived_id(at_us, "spans", told.conversation_id), told.conversation_id, at_us
        ingest_within(
            connection, agent_id, [ConversationStarted(*head, environment=told.environment, is_used=False)], geo
        )
        found = connection.execute(select(conversations.c.id).where(*own)).scalar_one()
    return int(found)


def _unknown(connection: Connection, agent_id: int, pk: int, sent: Sequence[Span]) -> list[Span]:
    """Return the spans that are not archived, each once."""
    by_id = {span.span_id: span for span in reversed(sent)}
    query = select(spans.c.span_id).where(spans.c.agent_id == agent_id, spans.c.conversation_pk == pk)
    known = {row.span_id for row in in_slices(connection, query, spans.c.span_id, list(by_id))}
    return [span for span in sent if span.span_id not in known and by_id[span.span_id] is span]


def _row(agent_id: int, pk: int, span: Span) -> tuple[Any, ...]:
    ids = (span.span_id, span.trace_id, span.parent_span_id)
    moments = (span.started_at_us, span.ended_at_us, span.duration_ms)
    documents = (json_text(span.attributes), json_text(span.events), json_text(span.rest))
    return (agent_id, pk, *ids, span.kind, span.name, *moments, span.status, *documents)


def _seen(told: Told, news: Sequence[Span]) -> list[AnyEvent]:
    """Return events that say from when to when the conversation went on, and whether it is more than a visit."""
    if not news:
        return []
    first = min(span.started_at_us for span in news)
    last = max(max(span.started_at_us, span.ended_at_us or 0) for span in news)
    ids = [derived_id(at_us, "spans", told.conversation_id) for at_us in (first, last)]
    begun = ConversationStarted(ids[0], told.conversation_id, first, is_used=told.is_used)
    if told.is_used:
        return [begun, ConversationEnded(ids[1], told.conversation_id, last)]
    return [begun, ConversationStarted(ids[1], told.conversation_id, last, is_used=False)]


def _overwrite(connection: Connection, agent_id: int, pk: int, told: Told, geo: GeoLookup | None) -> None:
    row = connection.execute(select(conversations).where(conversations.c.id == pk)).one()
    changes = {
        name: value
        for name, value in told.fields.items()
        if (json_text(value) if name == "metadata" else value) != getattr(row, name)
    }
    place: dict[str, Any] = {}
    if "customer_ip_address" in changes:
        found = None if geo is None else geo.find(changes["customer_ip_address"])
        names = ("city", "country", "timezone")
        place = {f"geo_{name}": None if found is None else getattr(found, name) for name in names}
    if changes:
        edit.overwrite(connection, agent_id, pk, changes, place)
