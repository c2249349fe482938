"""Find conversations by what is in them: messages, actions, feedback, metadata.

In: parameters, and a connection. Out: subqueries of conversation ids, and conditions made of them.
Loses: nothing. A subquery that finds few conversations is replaced by their ids, so that the database starts from them;
else it would try every conversation. Nothing is ever asked row by row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, or_, select

from agentsight_auto.query import parameters
from agentsight_auto.query.edit_values import SENTIMENTS
from agentsight_auto.query.filter_values import FEEDBACK_SOURCES
from agentsight_auto.query.metadata_terms import parse_metadata_terms
from agentsight_auto.store.metadata_index import value_texts
from agentsight_auto.store.schema import action_logs, conversations, feedbacks, messages, metadata_values

Condition: TypeAlias = ColumnElement[bool]
Members: TypeAlias = Select[Any]
"""A subquery of database ids of conversations; one may come several times."""

_FEW = 500
_LONGEST_LIKE = 200
"""Longer parts are looked for with `instr`: SQLite refuses LIKE patterns of 50,000 bytes and is slow with long ones."""
_FRACTION = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100}(?:[eE][+-]?[0-9]{1,2})?|[eE][+-]?[0-9]{1,2})")
"""A number that has more than one spelling; a whole number in digits alone is found as it is."""
_HAS: Mapping[str, Table] = {"has_messages": messages, "has_action": action_logs, "has_feedback": feedbacks}

MEMBER_FILTERS = (
    *_HAS, "message_contains", "action_name", "feedback_sentiment", "feedback_source",
    "metadata", "metadata_key", "metadata_value", "search",
)  # fmt: skip


def contains(column: ColumnElement[Any], needle: str) -> Condition:
    """Return the condition that `column` holds `needle` whatever the case; ``%``, ``_``, backslash mean themselves."""
    if not needle.isascii():
        return func.instr(func.casefold(column), needle.casefold()) > 0
    if len(needle) > _LONGEST_LIKE:
        return func.instr(func.lower(column), needle.lower()) > 0
    escaped = needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(f"%{escaped}%", escape="\\")


def narrow(connection: Connection, members: Sequence[Members]) -> list[Condition]:
    """Return the conditions that a conversation is in all of `members`."""
    conditions: list[Condition] = []
    few: set[int] | None = None
    for subquery in members:
        found = connection.execute(subquery.limit(_FEW + 1)).scalars().all()
        if len(found) > _FEW:
            conditions.append(conversations.c.id.in_(subquery))
        else:
            few = set(found) if few is None else few.intersection(found)
        if few is not None and not few:
            break
    return conditions if few is None else [conversations.c.id.in_(sorted(few)), *conditions]


def read_members(given: Mapping[str, Any], agent_id: int) -> list[Members]:
    """Read the filters whose subqueries can be tried one by one: texts, feedback and metadata values."""
    members = []
    if "message_contains" in given:
        needle = parameters.read_text("message_contains", given["message_contains"])
        members.append(_saying(needle))
    if "action_name" in given:
        members.append(_performing(agent_id, parameters.read_text("action_name", given["action_name"])))
    return members + _judged(given) + _described(given, agent_id)


def read_conditions(given: Mapping[str, Any], agent_id: int) -> list[Condition]:
    """Read the filters that an index answers row by row, or that join several places."""
    conditions: list[Condition] = []
    for name, table in _HAS.items():
        if name in given:
            has = conversations.c.id.in_(select(table.c.conversation_pk))
            conditions.append(has if parameters.read_flag(name, given[name]) else ~has)
    if "metadata_key" in given and given.get("metadata_value") is None:
        conditions.append(_has_key(agent_id, parameters.read_text("metadata_key", given["metadata_key"]).strip()))
    if "search" in given:
        needle = parameters.read_text("search", given["search"])
        fields = (conversations.c.name, conversations.c.conversation_id, conversations.c.customer_id)
        said = conversations.c.id.in_(_saying(needle))
        conditions.append(or_(*(contains(column, needle) for column in fields), said))
    return conditions


def _saying(needle: str) -> Members:
    return select(messages.c.conversation_pk).where(contains(messages.c.content, needle))


def _performing(agent_id: int, needle: str) -> Members:
    """Look for the names first: there are few, and an index holds them and leads to the messages."""
    column, of_agent = messages.c.action_name, messages.c.agent_id == agent_id
    names = select(column).where(of_agent, column.is_not(None), contains(column, needle)).distinct()
    return select(messages.c.conversation_pk).where(of_agent, column.in_(names))


def _judged(given: Mapping[str, Any]) -> list[Members]:
    """Return at most one subquery, so that one and the same feedback has the sentiment and the source."""
    wanted = []
    for name, column, choices in (
        ("feedback_sentiment", feedbacks.c.sentiment, SENTIMENTS),
        ("feedback_source", feedbacks.c.source, FEEDBACK_SOURCES),
    ):
        if name in given:
            wanted.append(column == parameters.read_choice(name, given[name], choices))
    return [select(feedbacks.c.conversation_pk).where(*wanted)] if wanted else []


def _described(given: Mapping[str, Any], agent_id: int) -> list[Members]:
    terms = parse_metadata_terms(given["metadata"]) if "metadata" in given else []
    if "metadata_value" in given:
        if "metadata_key" not in given:
            raise parameters.unreadable("metadata_value", given["metadata_value"], "metadata_key with it")
        path = parameters.read_text("metadata_key", given["metadata_key"]).strip()
        terms.append((path, parameters.read_text("metadata_value", given["metadata_value"])))
    values = metadata_values.c
    return [
        select(values.conversation_pk).where(
            values.agent_id == agent_id, values.path == path, values.value_text.in_(sorted(_metadata_texts(text)))
        )
        for path, text in terms
    ]


def _metadata_texts(value: str) -> set[str]:
    """Return the texts under which the index keeps what a filter's value means: itself, and the number it writes."""
    word = value.strip()
    texts = {value, word}
    if _FRACTION.fullmatch(word):
        texts.update(value_texts(float(word)))
    return texts


def _has_key(agent_id: int, path: str) -> Condition:
    """Return the condition that the key is there, or nested ones below it: ``.`` is followed by ``/``."""
    column = metadata_values.c.path
    below = and_(column > f"{path}.", column < f"{path}/")
    of_agent = select(metadata_values.c.conversation_pk).where(metadata_values.c.agent_id == agent_id)
    return or_(*(conversations.c.id.in_(of_agent.where(place)) for place in (column == path, below)))
