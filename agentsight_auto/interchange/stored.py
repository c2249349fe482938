"""What the store knows of the conversations of a batch, and what no event can tell it.

In: conversations on their way in. Out: their rows and messages in the store; marks, deletions and places.
Loses: nothing; a mark or a deletion is only ever added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agentsight_auto.events import Action, AnyEvent, Attachments, Button, Message
from agentsight_auto.interchange.incoming import Incoming
from agentsight_auto.store.database import Database
from agentsight_auto.store.event_rows import id_bytes
from agentsight_auto.store.schema import conversations, messages

_VALUES_A_STATEMENT = 500
_COMPARED = 100


class Stored:
    """Look up and complete conversations of one agent in one store."""

    def __init__(self, database: Database, *, agent: str = "default") -> None:
        self._database = database
        self.agent = agent

    def rows(self, conversation_ids: Sequence[str]) -> dict[str, Any]:
        """Return the rows of those conversations that are stored, by conversation id."""
        agent_id = self._database.agent_id(self.agent)
        found = {}
        with self._database.read() as connection:
            for part in _parts(conversation_ids):
                columns = conversations.c
                query = conversations.select().where(columns.agent_id == agent_id, columns.conversation_id.in_(part))
                found.update({row.conversation_id: row for row in connection.execute(query)})
        return found

    def messages(self, event_ids: Sequence[str]) -> dict[str, Any]:
        """Return the rows of those messages and actions that are stored, by event id."""
        agent_id = self._database.agent_id(self.agent)
        found = {}
        with self._database.read() as connection:
            for part in _parts([id_bytes(event_id) for event_id in event_ids]):
                query = messages.select().where(messages.c.agent_id == agent_id, messages.c.event_id.in_(part))
                found.update({row.event_id.hex(): row for row in connection.execute(query)})
        return found

    def differing(self, known: Sequence[AnyEvent]) -> set[str]:
        """Return the ids of those stored messages and actions that say something else, or elsewhere, than these events.

        Only the beginning of a text is compared: limits may have been others when it was stored.
        """
        told = [event for event in known if isinstance(event, Message | Action)]
        rows = self.rows(list({event.conversation_id for event in told}))
        stored = self.messages([event.id for event in told])
        return {
            event.id
            for event in told
            if (row := stored.get(event.id)) is not None
            and (row.conversation_pk != rows[event.conversation_id].id or not _says(row, event))
        }

    def complete(self, incoming: Sequence[Incoming]) -> None:
        """Add marks, deletions and places where the store has none."""
        told = {item.conversation_id: item for item in incoming if item.is_marked or item.deleted_at_us or item.place}
        rows = self.rows(list(told)) if told else {}
        changes = {row.id: values for key, row in rows.items() if (values := _missing(row, told[key]))}
        if not changes:
            return
        with self._database.write() as connection:
            for row_id, values in changes.items():
                connection.execute(conversations.update().where(conversations.c.id == row_id).values(values))


def first_of_its_own(events: Sequence[AnyEvent]) -> AnyEvent | None:
    """Return the first event that the store keeps under its id as a message."""
    return next((event for event in events if isinstance(event, Message | Action | Button | Attachments)), None)


def _says(row: Any, event: Message | Action) -> bool:
    if isinstance(event, Action):
        return bool(row.action_name == event.action_name)
    return bool(row.action_name is None and row.content[:_COMPARED] == event.content[:_COMPARED])


def _missing(row: Any, incoming: Incoming) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if incoming.is_marked and not row.is_marked:
        values["is_marked"] = True
    if incoming.deleted_at_us is not None and not row.is_deleted:
        values |= {"is_deleted": True, "deleted_at_us": incoming.deleted_at_us}
    if incoming.place is not None and row.geo_city is row.geo_country is row.geo_timezone is None:
        values |= dict(zip(("geo_city", "geo_country", "geo_timezone"), incoming.place, strict=True))
    return values


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _VALUES_A_STATEMENT):
        yield values[start : start + _VALUES_A_STATEMENT]
