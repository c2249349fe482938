"""Turn the documented filters into SQL conditions on conversations.

In: parameters as a caller or a URL gave them. Out: conditions, an ordering, and the parameters as text for URLs.
Loses: a parameter that is not known, which is warned of once per name.

An exact filter compares as it is. A part is found whatever its case: in an ASCII part the ASCII letters are folded, as
LIKE does it; in any other all letters, with the store's ``casefold`` function.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query import parameters
from agentsight_auto.query.metadata_terms import parse_metadata_terms
from agentsight_auto.query.pages import Ordering, parse_ordering
from agentsight_auto.store.metadata_index import value_texts
from agentsight_auto.store.schema import action_logs, conversations, feedbacks, messages, metadata_values

logger = logging.getLogger("agentsight_auto.query")

SENTIMENTS = ("positive", "neutral", "negative")
FEEDBACK_SOURCES = ("customer", "platform")
_LONGEST_LIKE = 200
"""Longer parts are looked for with `instr`: SQLite refuses LIKE patterns of 50,000 bytes and is slow with long ones."""
_MOST_WARNINGS = 1000
_FRACTION = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100}(?:[eE][+-]?[0-9]{1,2})?|[eE][+-]?[0-9]{1,2})")
"""A number that has more than one spelling; a whole number in digits alone is found as it is."""

Condition = ColumnElement[bool]
_columns = conversations.c
_warned: set[str] = set()


@dataclass(frozen=True)
class Filters:
    """What a query asks for."""

    conditions: Sequence[Condition]
    ordering: Ordering
    parameters: Mapping[str, str]
    """The filters as text, in the order given, for `next` and `previous`."""
    names_environment: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values of the extra parameters that the caller of `parse_filters` named."""


def contains(column: ColumnElement[Any], needle: str) -> Condition:
    """Return the condition that `column` holds `needle` whatever the case; ``%``, ``_``, backslash mean themselves."""
    if not needle.isascii():
        return func.instr(func.casefold(column), needle.casefold()) > 0
    if len(needle) > _LONGEST_LIKE:
        return func.instr(func.lower(column), needle.lower()) > 0
    escaped = needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(f"%{escaped}%", escape="\\")


def _exact(column: ColumnElement[Any]) -> Callable[[str, Any], Condition]:
    return lambda name, value: column == parameters.read_text(name, value)


def _part(column: ColumnElement[Any]) -> Callable[[str, Any], Condition]:
    return lambda name, value: contains(column, parameters.read_text(name, value))


def _environment(name: str, value: Any) -> Condition:
    return _columns.environment == parameters.read_environment(name, value)


def _is_marked(name: str, value: Any) -> Condition:
    return _columns.is_marked == parameters.read_flag(name, value)


def _started_after(name: str, value: Any) -> Condition:
    return _columns.started_at_us >= parameters.read_moment_us(name, value)


def _started_before(name: str, value: Any) -> Condition:
    return _columns.started_at_us <= parameters.read_moment_us(name, value)


def _among(column: ColumnElement[Any], *conditions: Condition) -> Condition:
    return _columns.id.in_(select(column).where(*conditions))


def _has(column: ColumnElement[Any]) -> Callable[[str, Any], Condition]:
    def condition(name: str, value: Any) -> Condition:
        among = _among(column)
        return among if parameters.read_flag(name, value) else ~among

    return condition


def _message_contains(name: str, value: Any) -> Condition:
    return _among(messages.c.conversation_pk, contains(messages.c.content, parameters.read_text(name, value)))


def _action_name(name: str, value: Any) -> Condition:
    return _among(messages.c.conversation_pk, contains(messages.c.action_name, parameters.read_text(name, value)))


def _search(name: str, value: Any) -> Condition:
    needle = parameters.read_text(name, value)
    said = _among(messages.c.conversation_pk, contains(messages.c.content, needle))
    fields = (_columns.name, _columns.conversation_id, _columns.customer_id)
    return or_(*(contains(column, needle) for column in fields), said)


_CONDITIONS: Mapping[str, Callable[[str, Any], Condition]] = {
    "conversation_id": _exact(_columns.conversation_id),
    "customer_id": _exact(_columns.customer_id),
    "customer_id__icontains": _part(_columns.customer_id),
    "name": _part(_columns.name),
    "device": _exact(_columns.device),
    "source": _exact(_columns.source),
    "language": _exact(_columns.language),
    "customer_ip_address": _exact(_columns.customer_ip_address),
    "environment": _environment,
    "env": _environment,
    "is_marked": _is_marked,
    "started_at_after": _started_after,
    "started_at_before": _started_before,
    "has_messages": _has(messages.c.conversation_pk),
    "has_action": _has(action_logs.c.conversation_pk),
    "has_feedback": _has(feedbacks.c.conversation_pk),
    "message_contains": _message_contains,
    "action_name": _action_name,
    "search": _search,
}
_JOINT = ("include_deleted", "feedback_sentiment", "feedback_source", "metadata", "metadata_key", "metadata_value")
KNOWN_FILTERS = (*_CONDITIONS, *_JOINT, "ordering")
_KNOWN_PARAMETERS = (*KNOWN_FILTERS, "page", "page_size", "cursor")


def parse_filters(
    filters: Mapping[str, Any], *, agent_id: int, options: Mapping[str, Callable[[str, Any], Any]] | None = None
) -> Filters:
    """Read all filters; None counts as not given. `options` reads further parameters that are no conditions.

    What is found belongs to the agent, and is not deleted unless `include_deleted` says otherwise.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    readers = options or {}
    conditions: list[Condition] = [_columns.agent_id == agent_id]
    if not parameters.read_flag("include_deleted", given.get("include_deleted", False)):
        conditions.append(_columns.is_deleted.is_(False))
    conditions += [read(name, given[name]) for name, read in _CONDITIONS.items() if name in given]
    conditions += _feedback_conditions(given) + _metadata_conditions(given, agent_id)
    ordering = parse_ordering(given["ordering"]) if "ordering" in given else Ordering()
    for name in given.keys() - set(KNOWN_FILTERS) - readers.keys():
        _warn_of_unknown(name)
    return Filters(
        conditions=conditions,
        ordering=ordering,
        parameters={name: _as_text(name, value) for name, value in given.items() if name in KNOWN_FILTERS},
        names_environment="environment" in given or "env" in given,
        options={name: read(name, given[name]) for name, read in readers.items() if name in given},
    )


def _feedback_conditions(given: Mapping[str, Any]) -> list[Condition]:
    """Return at most one condition, so that one and the same feedback has the sentiment and the source."""
    wanted = []
    for name, column, choices in (
        ("feedback_sentiment", feedbacks.c.sentiment, SENTIMENTS),
        ("feedback_source", feedbacks.c.source, FEEDBACK_SOURCES),
    ):
        if name in given:
            wanted.append(column == parameters.read_choice(name, given[name], choices))
    return [_among(feedbacks.c.conversation_pk, *wanted)] if wanted else []


def _metadata_conditions(given: Mapping[str, Any], agent_id: int) -> list[Condition]:
    terms: list[tuple[str, str | None]] = []
    if "metadata" in given:
        terms += parse_metadata_terms(given["metadata"])
    if "metadata_key" in given:
        value = given.get("metadata_value")
        path = parameters.read_text("metadata_key", given["metadata_key"]).strip()
        terms.append((path, None if value is None else parameters.read_text("metadata_value", value)))
    elif "metadata_value" in given:
        raise parameters.unreadable("metadata_value", given["metadata_value"], "metadata_key with it")
    return [_metadata_term(agent_id, path, value) for path, value in terms]


def _metadata_term(agent_id: int, path: str, value: str | None) -> Condition:
    column = metadata_values.c.path
    if value is None:  # the key itself, or nested ones below it: "." is followed by "/"
        place = or_(column == path, and_(column > f"{path}.", column < f"{path}/"))
    else:
        place = and_(column == path, metadata_values.c.value_text.in_(sorted(_metadata_texts(value))))
    return _among(metadata_values.c.conversation_pk, metadata_values.c.agent_id == agent_id, place)


def _metadata_texts(value: str) -> set[str]:
    """Return the texts under which the index keeps what a filter's value means: itself, and the number it writes."""
    word = value.strip()
    texts = {value, word}
    if _FRACTION.fullmatch(word):
        texts.update(value_texts(float(word)))
    return texts


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if name in {"started_at_after", "started_at_before"}:
        return iso_from_us(parameters.read_moment_us(name, value))
    return parameters.read_text(name, value)


def _warn_of_unknown(name: str) -> None:
    if name in _warned or len(_warned) >= _MOST_WARNINGS:
        return
    _warned.add(name)
    nearest = difflib.get_close_matches(name, _KNOWN_PARAMETERS, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the filters are {', '.join(KNOWN_FILTERS)}"
    logger.warning("The filter %s is not known and was ignored; %s.", parameters.shown(name), hint)
