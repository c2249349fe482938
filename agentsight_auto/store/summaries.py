"""The summaries of conversations in the store: the actions and hours beside them, and all of it anew from the rows.

In: events that were just stored, or database ids. Out: rows of `conversation_actions` and `conversation_hours`, the
summary columns of `conversations`. Loses: nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, select

from agentsight_auto.store import insights
from agentsight_auto.store.bulk import add_rows, insert_rows, update_rows
from agentsight_auto.store.schema import (
    action_logs,
    conversation_actions,
    conversation_hours,
    conversations,
    feedbacks,
    messages,
    token_usages,
)
from agentsight_auto.store.summary import COLUMNS, FLAGS, HOUR_US, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Tally:
    """Counts of actions and hours, by conversation, that become rows."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._hours: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self._actions: defaultdict[tuple[str, int], list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])

    def add_said(self, pk: int, sender: str, at_us: int) -> None:
        """Count what a person or the agent said."""
        self._hours[pk, at_us // HOUR_US][sender == "agent"] += 1

    def add_action(self, pk: int, name: str, duration_ms: float | None, *, failed: bool) -> None:
        """Count one call of an action."""
        counts = self._actions[name, pk]
        counts[0] += 1
        counts[1] += failed
        if duration_ms is not None:
            counts[2] += 1
            counts[3] += duration_ms

    def hour_rows(self, agent_id: int) -> list[tuple[Any, ...]]:
        """Return the rows of `conversation_hours`."""
        return [(agent_id, *key, *counts) for key, counts in self._hours.items()]

    def action_rows(self, agent_id: int) -> list[tuple[Any, ...]]:
        """Return the rows of `conversation_actions`."""
        return [(agent_id, *key, *counts) for key, counts in self._actions.items()]


def add_events(
    connection: Connection, agent_id: int, said: Iterable[Any], performed: Iterable[Any], pks: Mapping[str, int]
) -> None:
    """Add messages and actions that are new to the actions and hours of their conversations."""
    tally = Tally()
    for message in said:
        if message.sender != "system":
            tally.add_said(pks[message.conversation_id], message.sender, message.at_us)
    for action in performed:
        failed = bool(action.error_msg)
        tally.add_action(pks[action.conversation_id], action.action_name, action.duration_ms, failed=failed)
    add_rows(connection, conversation_hours, tally.hour_rows(agent_id))
    add_rows(connection, conversation_actions, tally.action_rows(agent_id))


def rebuild(connection: Connection, conversation_pks: Iterable[int | None]) -> None:
    """Make the summaries of these conversations anew from their rows, inside a `write` block."""
    for pk in conversation_pks:
        if pk is None:  # feedback on the agent belongs to no conversation
            continue
        summary, tally = Summary(), Tally()
        _count_transcript(connection, pk, summary, tally)
        _count_others(connection, pk, summary)
        values = [*summary.values(), *summary.flags(), pk]
        update_rows(connection, conversations, (*COLUMNS, *FLAGS), [tuple(values)])
        agent_id = connection.execute(select(conversations.c.agent_id).where(conversations.c.id == pk)).scalar()
        for table in (conversation_hours, conversation_actions):
            connection.execute(delete(table).where(table.c.conversation_pk == pk))
        if agent_id is not None:
            insights.mark_due(connection, agent_id, [pk])
            insert_rows(connection, conversation_hours, tally.hour_rows(agent_id))
            insert_rows(connection, conversation_actions, tally.action_rows(agent_id))


def _count_transcript(connection: Connection, pk: int, summary: Summary, tally: Tally) -> None:
    query = (
        select(messages.c.kind, messages.c.sender, messages.c.at_us, messages.c.action_name)
        .add_columns(action_logs.c.duration_ms, action_logs.c.error_message)
        .outerjoin(action_logs, action_logs.c.message_id == messages.c.id)
        .where(messages.c.conversation_pk == pk)
        .order_by(messages.c.at_us, messages.c.event_id)
    )
    for kind, sender, at_us, action_name, duration_ms, error in connection.execute(query):
        summary.add_entry(at_us)
        if kind == "action":
            summary.action_count += 1
            summary.action_error_count += bool(error)
            tally.add_action(pk, action_name, duration_ms, failed=bool(error))
        elif kind == "message" and sender != "system":
            count = summary.add_agent if sender == "agent" else summary.add_human
            count(at_us, in_order=True)
            tally.add_said(pk, sender, at_us)


def _count_others(connection: Connection, pk: int, summary: Summary) -> None:
    judged = select(feedbacks.c.sentiment, feedbacks.c.source).where(feedbacks.c.conversation_pk == pk)
    for sentiment, source in connection.execute(judged):
        summary.add_feedback(sentiment, source)
    counters = (token_usages.c[f"{name}_tokens"] for name in ("prompt", "completion", "total", "embedding"))
    for counts in connection.execute(select(*counters).where(token_usages.c.conversation_pk == pk)):
        summary.add_tokens(*counts)
