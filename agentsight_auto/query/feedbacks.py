"""Read feedback of all kinds: on conversations, on messages, and on the agent.

In: filters of a URL. Out: the documented shapes. Loses: nothing.
Feedback on conversations is in a table of its own, that of the older clients; ids mean one feedback in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)

from agentsight_auto._clock import iso_from_us
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query import parameters
from agentsight_auto.query.conversations import Shape
from agentsight_auto.query.edit_values import SENTIMENTS
from agentsight_auto.query.lists import Listed, Place, between, fetch_rows, read_order, read_row_id
from agentsight_auto.query.served_shapes import environment_id
from agentsight_auto.query.texts import contains
from agentsight_auto.store.bulk import in_slices
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import Big, conversations, feedbacks
from agentsight_auto.store.schema_spans import further_feedbacks

FILTERS = (
    "agent", "category", "comment_contains", "conversation", "conversation_id", "created_at_after",
    "created_at_before", "env", "environment", "has_comment", "kind", "message", "ordering", "reason", "search",
    "sentiment", "topic", "user",
)  # fmt: skip
KINDS = ("conversation", "agent", "message")


def _halves(agent_id: int) -> tuple[Select[Any], Select[Any]]:
    """Return what both tables hold, in the same columns."""
    no_text, no_id = cast(null(), Text), cast(null(), Big)
    of_conversation = feedbacks.c
    judged = (
        select(
            of_conversation.id, of_conversation.agent_id, literal("conversation").label("kind"),
            of_conversation.conversation_pk, conversations.c.conversation_id, no_id.label("message_id"),
            conversations.c.environment, conversations.c.is_deleted, of_conversation.sentiment, of_conversation.comment,
            no_text.label("topic"), no_text.label("reason"), of_conversation.created_at_us,
        )
        .join(conversations, conversations.c.id == of_conversation.conversation_pk)
        .where(of_conversation.agent_id == agent_id)
    )  # fmt: skip
    further = further_feedbacks.c
    others = (
        select(
            further.id, further.agent_id, further.kind, further.conversation_pk, conversations.c.conversation_id,
            further.message_id, func.coalesce(conversations.c.environment, further.environment).label("environment"),
            func.coalesce(conversations.c.is_deleted, false()).label("is_deleted"), further.sentiment, further.comment,
            further.topic, further.reason, further.created_at_us,
        )
        .outerjoin(conversations, conversations.c.id == further.conversation_pk)
        .where(further.agent_id == agent_id)
    )  # fmt: skip
    return judged, others


def list_feedbacks(database: Database, agent_id: int, given: Mapping[str, str], place: Place) -> Listed:
    """Return one page of feedback, the newest first.

    Raises:
        InvalidQueryException: a filter that cannot be read.
        NotFoundException: there is no such page.
    """
    every = union_all(*_halves(agent_id)).subquery("every")
    columns: Any = every.c
    query = select(every).where(columns.is_deleted.is_(False), *_conditions(columns, agent_id, given))
    orderable = {"created_at": columns.created_at_us, "category": columns.id}
    orderable |= {name: columns[name] for name in ("id", "kind", "sentiment")}
    order = read_order(given, orderable, columns.id, "-created_at")
    with database.read() as connection:
        rows, total = fetch_rows(connection, query, order, place)
    return Listed([_shape(row) for row in rows], total)


def fetch_feedback(database: Database, agent_id: int, feedback_id: int) -> Shape:
    """Return one feedback of any kind.

    Raises:
        NotFoundException: this agent has no such feedback.
    """
    judged, others = _halves(agent_id)
    with database.read() as connection:
        row = connection.execute(judged.where(feedbacks.c.id == feedback_id)).one_or_none()
        row = row or connection.execute(others.where(further_feedbacks.c.id == feedback_id)).one_or_none()
    if row is None:
        raise NotFoundException(f"There is no feedback {feedback_id}.")
    return _shape(row)


def votes(connection: Connection, agent_id: int, message_ids: Sequence[int]) -> dict[int, Shape]:
    """Return the feedback on these messages, by message."""
    _, others = _halves(agent_id)
    rows = in_slices(connection, others, further_feedbacks.c.message_id, message_ids)
    return {row.message_id: _shape(row) for row in rows}


def _conditions(columns: Any, agent_id: int, given: Mapping[str, str]) -> list[ColumnElement[bool]]:
    readers = _readers(columns, agent_id)
    conditions = [read(name, given[name]) for name, read in readers.items() if name in given]
    return [*conditions, *between(given, "created_at", columns.created_at_us)]


def _readers(columns: Any, agent_id: int) -> Mapping[str, Callable[[str, str], ColumnElement[bool]]]:
    """Return how each filter is read, but for the moments."""

    def exact(column: ColumnElement[Any]) -> Callable[[str, str], ColumnElement[bool]]:
        return lambda name, value: column == value

    def row(column: ColumnElement[Any]) -> Callable[[str, str], ColumnElement[bool]]:
        return lambda name, value: column == read_row_id(name, value)

    def choice(column: ColumnElement[Any], choices: Sequence[str]) -> Callable[[str, str], ColumnElement[bool]]:
        return lambda name, value: column == parameters.read_choice(name, value, choices)

    def environment(name: str, value: str) -> ColumnElement[bool]:
        found: ColumnElement[bool] = columns.environment == parameters.read_environment(name, value)
        return found

    def has_comment(name: str, value: str) -> ColumnElement[bool]:
        has = func.coalesce(columns.comment, "") != ""
        return has if parameters.read_flag(name, value) else ~has

    def nobody(name: str, value: str) -> ColumnElement[bool]:
        """Feedback has no category here, and keys are no users."""
        return false() if value else true()

    return {
        **{name: exact(columns[name]) for name in ("conversation_id", "topic", "reason")},
        "conversation": row(columns.conversation_pk),
        "message": row(columns.message_id),
        "agent": row(literal(agent_id)),
        "kind": choice(columns.kind, KINDS),
        "sentiment": choice(columns.sentiment, SENTIMENTS),
        "env": environment,
        "environment": environment,
        "category": nobody,
        "user": nobody,
        "has_comment": has_comment,
        "comment_contains": lambda name, value: contains(columns.comment, value),
        "search": lambda name, value: or_(contains(columns.comment, value), contains(columns.conversation_id, value)),
    }


def _shape(row: Row[Any]) -> Shape:
    return {
        "id": row.id,
        "kind": row.kind,
        "agent": row.agent_id,
        "conversation": row.conversation_pk,
        "conversation_id": row.conversation_id,
        "message": row.message_id,
        "user": None,
        "environment": row.environment,
        "environment_id": environment_id(row.environment),
        "sentiment": row.sentiment,
        "category": None,
        "comment": row.comment,
        "topic": row.topic,
        "reason": row.reason,
        "created_at": iso_from_us(row.created_at_us),
    }
