"""The rows of `conversations` behind `ConversationState`: read them, write them back.

In: conversation ids, states. Out: states, rows. Loses: nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete

from agentsight_auto.store import search_index
from agentsight_auto.store.bulk import NULL, insert_rows, next_id, rows_among, update_rows
from agentsight_auto.store.conversation_state import FIELDS, ConversationState
from agentsight_auto.store.metadata_index import index_rows
from agentsight_auto.store.schema import conversations, metadata_values
from agentsight_auto.store.summary import COLUMNS, FLAGS, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentsight_auto.store.geo import GeoLookup

_TOUCHED = ("is_used", "ended_at_us", *COLUMNS)
"""What nearly every event changes; none of it is indexed."""

_DESCRIBED = (
    *FIELDS, "metadata", "is_used", "started_at_us", "ended_at_us", "error", "geo_city", "geo_country", "geo_timezone",
    "known_at", *COLUMNS, *FLAGS,
)  # fmt: skip

_READ = (
    "id", "conversation_id", *FIELDS, "metadata", "is_used", "started_at_us", "ended_at_us", "error", "geo_city",
    "geo_country", "geo_timezone", "known_at",
)  # fmt: skip
_STATES = (
    f"SELECT {', '.join((*_READ, *COLUMNS))} FROM conversations "  # noqa: S608
    "WHERE agent_id = ? AND conversation_id IN {}"
)

_NOT_MARKED = _NOT_DELETED = 0
_NOWHERE = (NULL, NULL, NULL)


def load_states(connection: Connection, agent_id: int, conversation_ids: Sequence[str]) -> dict[str, ConversationState]:
    """Return the states of those conversations that are stored, by conversation id."""
    states = {}
    for found in rows_among(connection, _STATES, (agent_id,), conversation_ids):
        values = tuple(found)
        row = dict(zip(_READ, values, strict=False))
        summary = Summary(values[len(_READ) :])
        states[row["conversation_id"]] = ConversationState(row["conversation_id"], row, row["started_at_us"], summary)
    return states


def write_states(
    connection: Connection, agent_id: int, states: Iterable[ConversationState], geo: GeoLookup | None
) -> None:
    """Store what has changed, and give the new ones their database id."""
    changed = [state for state in states if state.is_described or state.is_touched]
    for state in changed:
        state.settle()
        if state.is_address_changed:
            place = geo.find(state.fields["customer_ip_address"]) if geo is not None else None
            state.place = (place.city, place.country, place.timezone) if place is not None else (None, None, None)
    _insert(connection, agent_id, [state for state in changed if state.is_new])
    known = [state for state in changed if not state.is_new]
    described = [(*_described(state), state.pk) for state in known if state.is_described]
    touched = [(*_touched(state), state.pk) for state in known if not state.is_described]
    update_rows(connection, conversations, _DESCRIBED, described)
    update_rows(connection, conversations, _TOUCHED, touched)
    _index_metadata(connection, agent_id, [state for state in changed if state.is_metadata_changed])
    renamed = [(s.pk, s.names, s.searched_names()) for s in known if s.is_described]
    search_index.change_names(connection, agent_id, renamed)


def _index_metadata(connection: Connection, agent_id: int, states: Sequence[ConversationState]) -> None:
    for state in states:
        if not state.is_new:
            connection.execute(delete(metadata_values).where(metadata_values.c.conversation_pk == state.pk))
    rows = [(agent_id, path, text, s.pk) for s in states for path, text in sorted(index_rows(s.metadata or {}))]
    insert_rows(connection, metadata_values, rows)


def write_metadata_values(connection: Connection, agent_id: int, pk: int, document: dict[str, Any] | None) -> None:
    """Make the inverted index of one conversation say what its metadata document says."""
    connection.execute(delete(metadata_values).where(metadata_values.c.conversation_pk == pk))
    insert_rows(
        connection, metadata_values, [(agent_id, path, text, pk) for path, text in sorted(index_rows(document or {}))]
    )


def _insert(connection: Connection, agent_id: int, new: Sequence[ConversationState]) -> None:
    for pk, state in enumerate(new, next_id(connection, conversations) if new else 0):
        state.pk = pk
    insert_rows(connection, conversations, [_new_row(agent_id, state) for state in new], with_id=True)


def _new_row(agent_id: int, s: ConversationState) -> tuple[Any, ...]:
    error = NULL if s.error is None else s.error
    place = s.place if any(s.place) else _NOWHERE
    return (
        s.pk, agent_id, s.conversation_id, *s.fields.values(), s.metadata_json(), _NOT_MARKED, _NOT_DELETED,
        int(s.is_used), s.started_at_us, s.ended_at_us, NULL, error, *place, s.known_at_json(), *s.summary.values(),
        *map(int, s.summary.flags()),
    )  # fmt: skip


def _described(s: ConversationState) -> tuple[Any, ...]:
    fields = (s.fields[name] for name in FIELDS)
    moments = (s.started_at_us, s.ended_at_us)
    rest = (s.error, *s.place, s.known_at_json(), *s.summary.values(), *s.summary.flags())
    return (*fields, s.metadata_json(), s.is_used, *moments, *rest)


def _touched(s: ConversationState) -> tuple[Any, ...]:
    return (s.is_used, s.ended_at_us, *s.summary.values())
