"""Let events into the store, in any order and any number of times.

In: events as they were captured. Out: an answer for each: stored, duplicate, or rejected with a reason.
Loses: nothing silently; an event that cannot be stored is answered with ``rejected`` and harms no other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from msgspec import MsgspecError
from sqlalchemy import Connection, Table, exc

from agentsight_auto.events import Action, Answer, AnyEvent, Attachments, Button, Feedback, Message, TokenUsage
from agentsight_auto.store import event_rows, insights, search_index, summaries
from agentsight_auto.store.action_names import name_actions
from agentsight_auto.store.bulk import driver, insert_rows, next_id, rows_among
from agentsight_auto.store.conversation_rows import load_states, write_states
from agentsight_auto.store.conversation_state import ConversationState
from agentsight_auto.store.database import Database, agent_row_id
from agentsight_auto.store.schema import action_logs, attachments, buttons, feedbacks, messages, token_usages
from agentsight_auto.store.summary import Summary
from agentsight_auto.store.tombstones import erased_among

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentsight_auto.store.geo import GeoLookup

_UNSTORABLE = (ValueError, TypeError, OverflowError, AttributeError, RecursionError, MsgspecError)
"""What a value that is not what its type says leads to, here and in the driver (UnicodeEncodeError is a ValueError)."""

_UNSTORED = (*_UNSTORABLE, exc.DBAPIError, sqlite3.Error)

_TABLES: dict[type, Table] = {
    Message: messages,
    Action: messages,
    Button: messages,
    Attachments: messages,
    TokenUsage: token_usages,
    Feedback: feedbacks,
}
"""Where the event ids of a kind are kept. Events about the conversation itself change nothing the second time."""

_OTHERS: tuple[tuple[type, Table, Callable[..., event_rows.Row]], ...] = (
    (TokenUsage, token_usages, event_rows.token_usage_row),
    (Feedback, feedbacks, event_rows.feedback_row),
)
_Checked: TypeAlias = "tuple[bytes, AnyEvent]"
"""An event that can be stored, after its id."""
_Store: TypeAlias = "Callable[[_Batch, list[_Checked]], list[Answer]]"


def ingest(
    database: Database, events: Sequence[AnyEvent], *, agent: str = "default", geo: GeoLookup | None = None
) -> list[Answer]:
    """Store the events in one transaction and answer each, in the order given.

    If one of them cannot be stored the transaction is taken back, and in a second one each is stored by itself.

    Raises:
        StoreException: the store cannot be written to; then nothing of this call is stored.
    """
    settled, checked = _checked(events)
    if not checked:
        return _whole(settled)
    try:
        return _ingest(database, agent, geo, settled, checked, _Batch.store)
    except _UNSTORED as error:
        _reason(error)
    return _ingest(database, agent, geo, settled, checked, _Batch.store_each)


def _ingest(
    database: Database, agent: str, geo: GeoLookup | None, settled: list[Answer | None], checked: list[_Checked],
    store: _Store,
) -> list[Answer]:  # fmt: skip
    with database.write() as connection:
        answers = _answer(_Batch(connection, agent_row_id(connection, agent), geo), settled, checked, store)
        search_index.catch_up(connection)
    return answers


def ingest_within(
    connection: Connection, agent_id: int, events: Sequence[AnyEvent], geo: GeoLookup | None = None
) -> list[Answer]:
    """Store the events in a transaction that the caller has begun with `Database.write`; see `ingest`."""
    settled, checked = _checked(events)
    if not checked:
        return _whole(settled)
    batch = _Batch(connection, agent_id, geo)
    try:
        with connection.begin_nested():
            answers = _answer(batch, settled, checked, _Batch.store)
    except _UNSTORED as error:
        _reason(error)
        answers = _answer(batch, settled, checked, _Batch.store_each)
    search_index.catch_up(connection)
    return answers


def _checked(events: Sequence[AnyEvent]) -> tuple[list[Answer | None], list[_Checked]]:
    """Return the answers that are settled already, and the events that can be stored, with their ids."""
    answers: list[Answer | None] = [None] * len(events)
    checked: list[_Checked] = []
    for index, event in enumerate(events):
        try:
            checked.append((event_rows.check(event), event))
        except _UNSTORABLE as error:
            answers[index] = Answer(event.id, "rejected", _reason(error))
    return answers, checked


def _answer(batch: _Batch, settled: list[Answer | None], checked: list[_Checked], store: _Store) -> list[Answer]:
    """Store the events and return all answers: those that are settled, and theirs in the places that have none."""
    erased = erased_among(batch.connection, batch.agent_id, [event for _, event in checked])
    if not erased and len(checked) == len(settled):
        return store(batch, checked)
    answers = settled[:]
    places = [index for index, answer in enumerate(answers) if answer is None]
    for place in erased:
        answers[places[place]] = Answer(checked[place][1].id, "duplicate")  # settled: nobody must keep it
    if erased:
        places = [index for place, index in enumerate(places) if place not in erased]
        checked = [entry for place, entry in enumerate(checked) if place not in erased]
    for index, answer in zip(places, store(batch, checked), strict=True):
        answers[index] = answer
    return _whole(answers)


def _whole(answers: list[Answer | None]) -> list[Answer]:
    return [answer for answer in answers if answer is not None]


def _reason(error: Exception) -> str:
    """Say why an event cannot be stored; raises the error again if the store, not the event, is to blame."""
    if isinstance(error, (exc.DBAPIError, sqlite3.Error)):
        original = error.orig if isinstance(error, exc.DBAPIError) else error
        is_about_values = isinstance(original, (sqlite3.IntegrityError, sqlite3.DataError))
        if not is_about_values and "binding parameter" not in str(original):
            raise error
        return f"{type(original).__name__}: {original}"
    return str(error) if isinstance(error, event_rows.RejectedEvent) else f"{type(error).__name__}: {error}"


class _Batch:
    """What the events of one call share: the connection, the agent and the lookup of places."""

    def __init__(self, connection: Connection, agent_id: int, geo: GeoLookup | None) -> None:
        self.connection = connection
        self.agent_id = agent_id
        self._geo = geo

    def store(self, events: Sequence[_Checked]) -> list[Answer]:
        """Store all of them, or raise; to take back what was written until then is left to the caller.

        There is no savepoint here: SQLite would keep a copy of every page that changes, a tenth of the whole time.
        """
        answers, news = self._tell_apart(events)
        states = self._update_conversations([event for _, event in news])
        pks = {conversation_id: state.pk for conversation_id, state in states.items()}
        by_kind: dict[type, list[_Checked]] = {}
        for checked in news:
            by_kind.setdefault(type(checked[1]), []).append(checked)
        self._insert_messages(news, pks)
        self._insert_others(by_kind, pks)
        said = (event for _, event in by_kind.get(Message, ()))
        performed = (event for _, event in by_kind.get(Action, ()))
        summaries.add_events(self.connection, self.agent_id, said, performed, pks)
        summaries.rebuild(self.connection, [state.pk for state in states.values() if state.summary.is_stale])
        insights.mark_due(self.connection, self.agent_id, pks.values())
        return answers

    def store_each(self, events: Sequence[_Checked]) -> list[Answer]:
        """Store each alone, and answer those that cannot be stored with the reason."""
        return [self._store_alone(checked) for checked in events]

    def _store_alone(self, checked: _Checked) -> Answer:
        try:
            with self.connection.begin_nested():
                return self.store([checked])[0]
        except _UNSTORED as error:
            return Answer(checked[1].id, "rejected", _reason(error))

    def _tell_apart(self, events: Sequence[_Checked]) -> tuple[list[Answer], list[_Checked]]:
        """Answer each event, and return those that are new."""
        tables = {_TABLES[kind] for kind in {type(event) for _, event in events} if kind in _TABLES}
        latest = {table: self._latest_id(table) for table in tables}
        ids = {event_id for event_id, _ in events}
        if len(ids) == len(events) and min(ids, default=b"") > max(latest.values(), default=b""):  # ids grow with time
            return [Answer(event.id, "stored") for _, event in events], list(events)
        return self._tell_apart_one_by_one(events, latest)

    def _tell_apart_one_by_one(
        self, events: Sequence[_Checked], latest: dict[Table, bytes]
    ) -> tuple[list[Answer], list[_Checked]]:
        seen = self._stored_already(events, latest)
        news: list[_Checked] = []
        answers = []
        for checked in events:
            event_id, event = checked
            table = _TABLES.get(type(event))
            if table is not None:
                known = seen[table]
                if event_id in known:
                    answers.append(Answer(event.id, "duplicate"))
                    continue
                known.add(event_id)
            news.append(checked)
            answers.append(Answer(event.id, "stored"))
        return answers, news

    def _latest_id(self, table: Table) -> bytes:
        query = f"SELECT max(event_id) FROM {table.name} WHERE agent_id = ?"  # noqa: S608
        (latest,) = driver(self.connection).execute(query, (self.agent_id,)).fetchone()
        return latest or b""

    def _stored_already(self, events: Sequence[_Checked], latest: dict[Table, bytes]) -> dict[Table, set[bytes]]:
        """Return the ids that are stored; those above the latest are not looked up."""
        asked: dict[Table, list[bytes]] = {table: [] for table in latest}
        for event_id, event in events:
            table = _TABLES.get(type(event))
            if table is not None and event_id <= latest[table]:
                asked[table].append(event_id)
        return {table: self._known_among(table, event_ids) for table, event_ids in asked.items()}

    def _known_among(self, table: Table, event_ids: Sequence[bytes]) -> set[bytes]:
        query = f"SELECT event_id FROM {table.name} WHERE agent_id = ? AND event_id IN {{}}"  # noqa: S608
        return {row[0] for row in rows_among(self.connection, query, (self.agent_id,), event_ids)}

    def _update_conversations(self, events: Sequence[AnyEvent]) -> dict[str, ConversationState]:
        """Bring the conversations of these events up to date; return them with their database ids."""
        wanted = list({event.conversation_id: None for event in events})
        states = load_states(self.connection, self.agent_id, wanted)
        for event in events:
            state = states.get(event.conversation_id)
            if state is None:
                state = ConversationState(event.conversation_id, None, event.at_us, Summary())
                states[event.conversation_id] = state
            state.add(event)
        write_states(self.connection, self.agent_id, states.values(), self._geo)
        return states

    def _insert_messages(self, events: Sequence[_Checked], pks: dict[str, int]) -> None:
        agent_id = self.agent_id
        rows: list[event_rows.Row] = []
        actions: set[str] = set()
        children: dict[Table, list[event_rows.Row]] = {action_logs: [], buttons: [], attachments: []}
        row_id = max(next_id(self.connection, messages), search_index.progress(self.connection).message_id + 1)
        for event_id, event in events:
            if type(event) is Message:
                pk = pks[event.conversation_id]
                if event.attachments:
                    children[attachments].extend(event_rows.attachment_rows(agent_id, pk, row_id, event))
            elif isinstance(event, Action):
                pk = pks[event.conversation_id]
                children[action_logs].append(event_rows.action_log_row(agent_id, pk, row_id, event_id, event))
                actions.add(event.action_name)
            elif isinstance(event, Button):
                pk = pks[event.conversation_id]
                children[buttons].append(event_rows.button_row(agent_id, pk, row_id, event_id, event))
            elif isinstance(event, Attachments):
                pk = pks[event.conversation_id]
                children[attachments].extend(event_rows.attachment_rows(agent_id, pk, row_id, event))
            else:
                continue
            rows.append(event_rows.message_row(row_id, agent_id, pk, event_id, event))
            row_id += 1
        if rows:
            insert_rows(self.connection, messages, rows, with_id=True)
            name_actions(self.connection, agent_id, actions)
            for table, of_table in children.items():
                insert_rows(self.connection, table, of_table)

    def _insert_others(self, by_kind: dict[type, list[_Checked]], pks: dict[str, int]) -> None:
        agent_id = self.agent_id
        for kind, table, row in _OTHERS:
            told = by_kind.get(kind, ())
            insert_rows(self.connection, table, [row(agent_id, pks[e.conversation_id], raw, e) for raw, e in told])
