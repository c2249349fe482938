"""How a conversation stands: open, idle, resolved, escalated or abandoned; and the lists behind the numbers.

In: `Rules`, a moment. Out: SQL expressions over `conversations` joined with `insights`. Loses: nothing.
Nothing here is stored: as time passes, or when a rule is changed, the next question is answered by the new rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, case, false, func, literal_column, not_, or_, select, union_all

from agentsight_auto.events import ESCALATED_BY, RESOLVED_BY
from agentsight_auto.query.expressions import unindexed
from agentsight_auto.query.parameters import unreadable
from agentsight_auto.store.schema import conversation_actions, conversations
from agentsight_auto.store.schema_insights import ending_actions, insights

Condition = ColumnElement[bool]

STATUSES = ("open", "idle", "resolved", "escalated", "abandoned")
DEFAULT_IDLE_MINUTES = 30.0

_MINUTE_US = 60_000_000
_columns = insights.c


class Rules(msgspec.Struct, frozen=True):
    """What moves a conversation: names of actions, and idle minutes, by source where they differ."""

    escalation_actions: tuple[str, ...] = ("fallback_to_human", "open_ticket", "ticket", "contact_human")
    resolution_actions: tuple[str, ...] = (RESOLVED_BY,)
    idle_after: tuple[str, ...] = ("30",)

    @property
    def escalating(self) -> list[str]:
        """The names that hand over, that of `escalate` always among them."""
        return sorted({*self.escalation_actions, ESCALATED_BY})

    @property
    def resolving(self) -> list[str]:
        """The names that resolve, that of `resolve` always among them."""
        return sorted({*self.resolution_actions, RESOLVED_BY})

    @property
    def idle_us(self) -> tuple[int, dict[str, int]]:
        """Return the idle time in microseconds: of every source, and of those that have their own."""
        general, by_source = DEFAULT_IDLE_MINUTES, {}
        for part in self.idle_after:
            source, has_source, minutes = part.rpartition("=")
            if has_source:
                by_source[source.strip()] = int(float(minutes) * _MINUTE_US)
            else:
                general = float(minutes)
        return int(general * _MINUTE_US), by_source


class Lifecycle:
    """The rules as SQL, for one agent at one moment; statements must join `conversations` with `insights`."""

    def __init__(self, rules: Rules, agent_id: int, now_us: int | None = None) -> None:
        """Read the clock unless `now_us` is given."""
        self.rules = rules
        self.agent_id = agent_id
        self.now_us = time.time_ns() // 1000 if now_us is None else now_us
        self.is_resolved = and_(self._ended_by(rules.resolving), not_(self._is_handed_over_after()))
        self.is_escalated = and_(not_(self.is_resolved), self._ended_by(rules.escalating))
        self.is_settled = self._ended_by([*rules.resolving, *rules.escalating])  # handed over after all is settled, too
        self.was_escalated = _columns.conversation_pk.in_(self._performed(rules.escalating))
        self.is_quiet = self._is_quiet(conversations.c.source)
        self.gave_up = or_(_is("is_left"), _is("is_failed_last"))
        general, by_source = rules.idle_us
        self._latest_quiet_us = self.now_us - max([general, *by_source.values()])
        self._own = _columns.agent_id == agent_id
        self._checked_own = unindexed(_columns.agent_id) == agent_id

    def status(self, source: ColumnElement[Any] = conversations.c.source) -> ColumnElement[Any]:
        """Return the expression of the status, one of `STATUSES`; `source` is where the statement has the source."""
        return case(
            (self.is_settled, case((self.is_resolved, "resolved"), else_="escalated")),
            (not_(self._is_quiet(source)), "open"),
            (self.gave_up, "abandoned"),
            else_="idle",
        )

    def has_status(self, status: str) -> Condition:
        """Return the condition of one status, in a form that the right index begins with: the rarest of it leads."""
        unsettled = not_(self.is_settled)
        conditions: Mapping[str, Condition] = {
            "resolved": and_(self._checked_own, self.is_resolved),
            "escalated": and_(self._checked_own, self.is_escalated),
            "open": and_(self._own, _columns.last_at_us > self._latest_quiet_us, not_(self.is_quiet), unsettled),
            "abandoned": and_(self._checked_own, self._is_among_given_up(), self.is_quiet, unsettled),
            "idle": and_(self._own, self.is_quiet, not_(self.gave_up), unsettled),
        }
        return conditions[status]

    def in_list(self, name: str) -> Condition:
        """Return the condition of one of `LISTS`."""
        if name == "abandoned":
            return self.has_status(name)
        if name in _LED_BY_IDS:
            return and_(self._checked_own, LISTS[name](self))
        return and_(self._own, _columns.conversation_pk > 0, LISTS[name](self))  # the whole key of the partial indexes

    def _is_among_given_up(self) -> Condition:
        """Return the condition by which both partial indexes lead."""
        other = insights.alias("given_up").c
        ids = (
            select(other.conversation_pk).where(
                other.agent_id == self.agent_id, other.conversation_pk > 0, literal_column(f"given_up.{flag} = 1")
            )
            for flag in ("is_left", "is_failed_last")
        )
        return _columns.conversation_pk.in_(union_all(*ids))

    def _ended_by(self, names: Sequence[str]) -> Condition:
        column = ending_actions.c
        ended = select(column.conversation_pk).where(column.agent_id == self.agent_id, column.action_name.in_(names))
        return _columns.conversation_pk.in_(ended) if names else false()

    def _is_handed_over_after(self) -> Condition:
        """Return the condition that it was resolved first and handed over then."""
        resolved, handed = ending_actions.alias("resolved").c, ending_actions.alias("handed").c
        both = select(handed.conversation_pk).where(
            resolved.conversation_pk == handed.conversation_pk,
            *(column.agent_id == self.agent_id for column in (resolved, handed)),
            resolved.action_name.in_(self.rules.resolving),
            handed.action_name.in_(self.rules.escalating),
            handed.at_us > resolved.at_us,
        )
        return _columns.conversation_pk.in_(both)

    def _performed(self, names: Sequence[str]) -> Select[Any]:
        column = conversation_actions.c
        return select(column.conversation_pk).where(column.agent_id == self.agent_id, column.action_name.in_(names))

    def _is_quiet(self, source: ColumnElement[Any]) -> Condition:
        general, by_source = self.rules.idle_us
        idle_us = case(by_source, value=source, else_=general) if by_source else general
        return unindexed(_columns.last_at_us) <= self.now_us - idle_us  # nearly all are


def _is(name: str) -> Condition:
    """Return a flag in the words of its index."""
    return literal_column(f"insights.{name} = 1")


_talked = _columns.human_count > 0
_GENERATED, _BEYOND = "conv_", "conv`"  # the character after the underscore
_GENERATED_LENGTH = 17
_id = conversations.c.conversation_id
has_generated_id: Condition = and_(_id >= _GENERATED, _id < _BEYOND, func.length(_id) == _GENERATED_LENGTH)
"""Whether nobody named the conversation, so that its id was made here."""

LISTS: Mapping[str, Callable[[Lifecycle], Condition]] = {
    "used": lambda life: _is("is_used"),
    "visited": lambda life: literal_column("insights.is_used = 0"),
    "talked": lambda life: _talked,
    "answered": lambda life: _columns.response_count > 0,
    "escalated": lambda life: and_(_is("is_used"), life.was_escalated),
    "contained": lambda life: and_(_talked, _columns.agent_count > 0, not_(life.was_escalated), not_(_is("is_left"))),
    "resolved": lambda life: life.is_resolved,
    "abandoned": lambda life: and_(life.gave_up, life.is_quiet, not_(life.is_settled)),
    "abandoned_after_failure": lambda life: and_(_is("is_failed_last"), life.is_quiet, not_(life.is_settled)),
    "unanswered": lambda life: _is("is_unanswered"),
    "left_asking": lambda life: _is("is_left"),
    "repeated": lambda life: literal_column("insights.repeated_count > 0"),
    "looped": lambda life: _is("is_looped"),
    "acted": lambda life: _columns.action_count > 0,
    "failed": lambda life: literal_column("insights.error_count > 0"),
    "judged": lambda life: _columns.positive_count + _columns.neutral_count + _columns.negative_count > 0,
    "satisfied": lambda life: literal_column("insights.positive_count > 0"),
    "dissatisfied": lambda life: literal_column("insights.negative_count > 0"),
    "priced": lambda life: _columns.priced_count > 0,
    "unpriced": lambda life: literal_column("insights.unpriced_count > 0"),
    "metered": lambda life: _columns.total_tokens > 0,
    "implicit": lambda life: has_generated_id,
}
"""The lists that the filter `insight` opens."""
_LED_BY_IDS = frozenset({"escalated", "resolved"})
"""Lists that begin with the ids of another table."""
UNCOUNTED = frozenset({"implicit"})
"""Lists that no metric counts: what they look at is in no index that the metrics go through."""


def read_list(name: str, value: object) -> str:
    """Read the name of a list.

    Raises:
        InvalidQueryException: there is no such list.
    """
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in LISTS:
        raise unreadable(name, value, f"one of {', '.join(LISTS)}")
    return word
