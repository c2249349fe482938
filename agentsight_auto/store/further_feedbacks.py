"""Write feedback by its id: on a message or the agent, and changes to feedback of any kind.

In: an agent, judged values. Out: the id of the row.
Loses: what was judged before, when a judgement is changed or removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, delete, select, update

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.store.bulk import insert_rows
from agentsight_auto.store.schema import feedbacks, messages
from agentsight_auto.store.schema_spans import further_feedbacks
from agentsight_auto.store.summaries import rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentsight_auto.store.database import Database

_WRITTEN = ("sentiment", "comment", "topic", "reason", "environment")


def judge_agent(database: Database, agent_id: int, judged: Mapping[str, Any], *, event_id: str, at_us: int) -> int:
    """Store feedback on the agent; the same `event_id` again changes nothing.

    `judged`: sentiment, comment, environment.
    """
    raw = bytes.fromhex(event_id)
    with database.write() as connection:
        known = _by_event(connection, agent_id, raw)
        if known is None:
            insert_rows(connection, further_feedbacks, [_row(agent_id, None, None, raw, "agent", judged, at_us)])
        return known or int(_by_event(connection, agent_id, raw) or 0)


def judge_message(
    database: Database, agent_id: int, message_id: int, judged: Mapping[str, Any], *, event_id: str, at_us: int
) -> tuple[int, bool]:
    """Store feedback on a message, or change the one that it has; return its id, and whether it is new.

    `judged`: sentiment, comment, topic, reason; what is not in it stays as it is.

    Raises:
        NotFoundException: this agent has no such message.
    """
    own = (messages.c.agent_id == agent_id, messages.c.id == message_id)
    vote = select(further_feedbacks.c.id).where(further_feedbacks.c.message_id == message_id)
    with database.write() as connection:
        conversation_pk = connection.execute(select(messages.c.conversation_pk).where(*own)).scalar()
        if conversation_pk is None:
            raise NotFoundException(f"Message {message_id} not found")
        known = connection.execute(vote).scalar()
        if known is not None:
            of_vote = further_feedbacks.c.id == known
            connection.execute(update(further_feedbacks).where(of_vote).values(dict(judged)))
            return int(known), False
        raw = bytes.fromhex(event_id)
        row = _row(agent_id, conversation_pk, message_id, raw, "message", judged, at_us)
        insert_rows(connection, further_feedbacks, [row])
        return int(connection.execute(vote).scalar_one()), True


def change_feedback(database: Database, agent_id: int, feedback_id: int, changes: Mapping[str, Any]) -> None:
    """Set what is given of a feedback of any kind.

    Raises:
        NotFoundException: this agent has no such feedback.
    """
    with database.write() as connection:
        table = _table(connection, agent_id, feedback_id)
        if changes:
            of_feedback = table.c.id == feedback_id
            connection.execute(update(table).where(of_feedback).values(dict(changes)))
            rebuild(connection, connection.execute(select(table.c.conversation_pk).where(of_feedback)).scalars().all())


def delete_feedback(database: Database, agent_id: int, feedback_id: int) -> None:
    """Remove a feedback of any kind for ever.

    Raises:
        NotFoundException: this agent has no such feedback.
    """
    with database.write() as connection:
        table = _table(connection, agent_id, feedback_id)
        of_feedback = table.c.id == feedback_id
        judged = connection.execute(select(table.c.conversation_pk).where(of_feedback)).scalars().all()
        connection.execute(delete(table).where(of_feedback))
        rebuild(connection, judged)


def _row(
    agent_id: int, pk: int | None, message_id: int | None, event_id: bytes, kind: str, judged: Mapping[str, Any],
    at_us: int,
) -> tuple[Any, ...]:  # fmt: skip
    return (agent_id, pk, message_id, event_id, kind, *(judged.get(name) for name in _WRITTEN), at_us)


def _by_event(connection: Connection, agent_id: int, event_id: bytes) -> int | None:
    own = (further_feedbacks.c.agent_id == agent_id, further_feedbacks.c.event_id == event_id)
    return connection.execute(select(further_feedbacks.c.id).where(*own)).scalar()


def _table(connection: Connection, agent_id: int, feedback_id: int) -> Table:
    for table in (feedbacks, further_feedbacks):
        own = (table.c.agent_id == agent_id, table.c.id == feedback_id)
        if connection.execute(select(table.c.id).where(*own)).scalar() is not None:
            return table
    raise NotFoundException(f"There is no feedback {feedback_id}.")
