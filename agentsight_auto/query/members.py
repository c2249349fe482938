"""Find conversations by what is in them: messages, actions, feedback, metadata, parts of names.

In: parameters. Out: `Members`, the same condition in the forms that suit a list, a count and the index.
Loses: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, or_, select, union, union_all

from agentsight_auto.query import parameters
from agentsight_auto.query.edit_values import SENTIMENTS
from agentsight_auto.query.expressions import read_ids
from agentsight_auto.query.filter_values import FEEDBACK_SOURCES
from agentsight_auto.query.metadata_terms import parse_metadata_terms
from agentsight_auto.query.search import candidates_by_action, candidates_by_name, candidates_by_words
from agentsight_auto.query.texts import contains
from agentsight_auto.store.metadata_index import value_texts
from agentsight_auto.store.schema import (
    conversation_actions,
    conversations,
    feedbacks,
    messages,
    metadata_values,
)
from agentsight_auto.store.schema_spans import actions

Condition: TypeAlias = ColumnElement[bool]
Find: TypeAlias = Callable[[Connection, int], "set[int] | None"]
"""Takes the most candidates wanted; returns database ids that hold all members, or None where there may be more."""

_FRACTION = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100}(?:[eE][+-]?[0-9]{1,2})?|[eE][+-]?[0-9]{1,2})")
"""A number that has more than one spelling; a whole number in digits alone is found as it is."""

MEMBER_FILTERS = (
    "message_contains", "action_name", "feedback_sentiment", "feedback_source", "metadata", "metadata_key",
    "metadata_value", "search",
)  # fmt: skip


@dataclass(frozen=True)
class Members:
    """The conversations that fulfil one condition.

    `probe` asks it of the row at hand, for walking through a list; `find` gives the few that can be members, from an
    index; `subquery` gives all database ids. `is_exact` says that an index has those, and what `find` gives needs no
    look at the row; `is_distinct` that no id comes twice in `subquery`.
    """

    probe: Condition
    find: Find
    subquery: Select[Any]
    is_exact: bool = True
    is_distinct: bool = False


def read_members(given: Mapping[str, Any], agent_id: int) -> list[Members]:
    """Read the filters that look at more than the row of a conversation, and those for parts of its texts.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    members = []
    for name, column in (("name", "name"), ("customer_id__icontains", "customer_id")):
        if name in given:
            members.append(_named(agent_id, [column], parameters.read_text(name, given[name])))
    if "message_contains" in given:
        members.append(_saying(agent_id, parameters.read_text("message_contains", given["message_contains"])))
    if "action_name" in given:
        members.append(_performing(agent_id, given["action_name"]))
    if "search" in given:
        members.append(_anywhere(agent_id, parameters.read_text("search", given["search"])))
    if "metadata_key" in given and given.get("metadata_value") is None:
        members.append(_has_key(agent_id, parameters.read_text("metadata_key", given["metadata_key"]).strip()))
    members += _judged(given, agent_id) + _described(given, agent_id)
    return sorted(members, key=lambda member: not member.is_exact)  # texts, which are slow to look into, come last


def by_subquery(subquery: Select[Any]) -> Find:
    """Return what finds members by the subquery itself."""

    def find(connection: Connection, most: int) -> set[int] | None:
        if connection.execute(subquery.offset(most).limit(1)).first() is not None:
            return None
        return read_ids(connection, subquery)

    return find


def _named(agent_id: int, columns: Sequence[str], needle: str) -> Members:
    has = or_(*(contains(conversations.c[column], needle) for column in columns))
    subquery = select(conversations.c.id).where(conversations.c.agent_id == agent_id, has)
    find: Find = lambda connection, most: candidates_by_name(connection, agent_id, columns, needle, most)  # noqa: E731
    return Members(has, find, subquery, is_exact=False)


def _saying(agent_id: int, needle: str) -> Members:
    said = contains(messages.c.content, needle)
    probe = exists().where(messages.c.conversation_pk == conversations.c.id, said)
    subquery = select(messages.c.conversation_pk).where(messages.c.agent_id == agent_id, said)

    def find(connection: Connection, most: int) -> set[int] | None:
        by_words = candidates_by_words(connection, agent_id, needle, most)
        return (
            None if by_words is None else _together(by_words, candidates_by_action(connection, agent_id, needle, most))
        )

    return Members(probe, find, subquery, is_exact=False)


def _anywhere(agent_id: int, needle: str) -> Members:
    columns = ("name", "conversation_id", "customer_id")
    named, saying = _named(agent_id, columns, needle), _saying(agent_id, needle)

    def find(connection: Connection, most: int) -> set[int] | None:
        by_name = named.find(connection, most)
        return None if by_name is None else _together(by_name, saying.find(connection, most))

    every = select(union(named.subquery, saying.subquery).subquery())
    return Members(or_(named.probe, saying.probe), find, every, is_exact=False)


def _together(one: set[int], other: set[int] | None) -> set[int] | None:
    return None if other is None else one | other


def _performing(agent_id: int, value: object) -> Members:
    """Look for the names first: there are few. `AnyOf` are whole names."""
    names: Any = [parameters.read_text("action_name", name) for name in parameters.each(value)]
    if not isinstance(value, parameters.AnyOf):
        names = select(actions.c.name).where(actions.c.agent_id == agent_id, contains(actions.c.name, *names))
    performed = conversation_actions.c
    of_agent = (performed.agent_id == agent_id, performed.action_name.in_(names))
    subquery = select(performed.conversation_pk).where(*of_agent)
    probe = exists().where(*of_agent, performed.conversation_pk == conversations.c.id)
    return Members(probe, by_subquery(subquery), subquery)


def _judged(given: Mapping[str, Any], agent_id: int) -> list[Members]:
    """Return at most one, so that one and the same feedback has the sentiment and the source."""
    if "feedback_sentiment" not in given and "feedback_source" not in given:
        return []
    columns, sources = feedbacks.c, list(FEEDBACK_SOURCES)
    if "feedback_source" in given:
        sources = [parameters.read_choice("feedback_source", given["feedback_source"], FEEDBACK_SOURCES)]
    wanted = [columns.agent_id == agent_id, columns.source.in_(sources)]
    if "feedback_sentiment" in given:
        told = parameters.each(given["feedback_sentiment"])
        sentiments = [parameters.read_choice("feedback_sentiment", value, SENTIMENTS) for value in told]
        wanted.append(columns.sentiment.in_(sentiments))
    subquery = select(columns.conversation_pk).where(*wanted)
    probe = exists().where(columns.conversation_pk == conversations.c.id, *wanted[1:])
    return [Members(probe, by_subquery(subquery), subquery)]


def _described(given: Mapping[str, Any], agent_id: int) -> list[Members]:
    terms = parse_metadata_terms(given["metadata"]) if "metadata" in given else []
    if "metadata_value" in given:
        if "metadata_key" not in given:
            raise parameters.unreadable("metadata_value", given["metadata_value"], "metadata_key with it")
        path = parameters.read_text("metadata_key", given["metadata_key"]).strip()
        terms.append((path, parameters.read_text("metadata_value", given["metadata_value"])))
    return [_valued(agent_id, path, sorted(_metadata_texts(text))) for path, text in terms]


def _valued(agent_id: int, path: str, texts: list[str]) -> Members:
    values = metadata_values.c
    wanted = (values.agent_id == agent_id, values.path == path, values.value_text.in_(texts))
    subquery = select(values.conversation_pk).where(*wanted)
    probe = exists().where(*wanted, values.conversation_pk == conversations.c.id)
    return Members(probe, by_subquery(subquery), subquery, is_distinct=len(texts) == 1)


def _metadata_texts(value: str) -> set[str]:
    """Return the texts under which the index keeps what a filter's value means: itself, and the number it writes."""
    word = value.strip()
    texts = {value, word}
    if _FRACTION.fullmatch(word):
        texts.update(value_texts(float(word)))
    return texts


def _has_key(agent_id: int, path: str) -> Members:
    """Return the conversations that have the key, or nested ones below it: ``.`` is followed by ``/``."""
    values = metadata_values.c
    here, below = values.path == path, and_(values.path > f"{path}.", values.path < f"{path}/")
    ids = select(values.conversation_pk).where(values.agent_id == agent_id)
    subquery = select(union_all(ids.where(here), ids.where(below)).subquery())
    probe = exists().where(values.conversation_pk == conversations.c.id, or_(here, below))
    return Members(probe, by_subquery(subquery), subquery)
