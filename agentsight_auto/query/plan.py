"""Choose how the database gets at what a query asks for: which index leads, and what is looked at row by row.

In: the filters, and a connection to ask how rare things are. Out: conditions that leave the database one good way.
Loses: nothing; every way gives the same rows.

Few candidates (from an index of members, or of one column) are looked up and sorted. More are told apart while walking
through the conversations in the order asked for, which finds a page of what is common soon; one that is not full after
`WINDOW` conversations is fetched anew from the members themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from agentsight_auto.query.expressions import known_ids, unindexed
from agentsight_auto.query.members import Condition, Members, by_subquery
from agentsight_auto.store.schema import conversations

WINDOW = 10_000
"""So many conversations are walked through for a page before another way is taken."""
_FEW = 2_000
"""So many candidates are soon looked up: what else they have no index need tell."""
_SOME_ALONE = 8_000
"""So many candidates are fetched to tell few from many; what has more is soon met by walking."""
_SOME = 20_000
"""The same where several things are asked, and few may have all of them."""
_SOME_TEXTS = 8_000
"""The same for texts."""
_SOME_ROWS = 12_000
"""So many rows of each of several values are fetched: what two columns have in common no index knows."""
_TOGETHER = 100_000
"""So many are fetched of each of several conditions to count what they have in common."""
_RARE_ROWS = (2_000, 20_000)
"""The index of a value that so many rows have may lead; the smaller number is looked for first."""
_COUNTED_TEXTS = 500_000
"""The same for texts that are counted: what more of a million have is sooner met in each conversation by walking."""


class Exact(NamedTuple):
    """A column that has to have a value, or any of several."""

    column: ColumnElement[Any]
    values: Sequence[Any]

    def found(self) -> Condition:
        """Return the condition, for an index to find."""
        return _has_any(self.column, self.values)

    def checked(self) -> Condition:
        """Return the condition, to be checked in rows that something else finds."""
        return _has_any(unindexed(self.column), self.values)


def _has_any(column: ColumnElement[Any], values: Sequence[Any]) -> Condition:
    return column == values[0] if len(values) == 1 else column.in_(values)


class Asked(NamedTuple):
    """What a query asks for, by how it can be found."""

    agent_id: int
    exacts: Sequence[Exact]
    row_conditions: Sequence[Condition]
    """Further conditions on the row itself."""
    members: Sequence[Members]
    hides_deleted: bool = True
    """Whether that is one of the conditions on the row: without it the index of a value has no order of its own."""


class Ways(NamedTuple):
    """The same conditions for each way to a page."""

    own: list[Condition]
    """What the row itself has to fulfil: without the probes."""
    probes: list[Condition]
    """What the members ask of each row that is met."""
    skip: list[Condition] | None = None
    """For walking far, with exact members looked up in sets of all ids; None where there are none."""
    gather: list[Condition] | None = None
    """For looking up and sorting all members or, without the probes, all candidates; None where there are none."""
    ids: Sequence[int] | None = None
    """The candidates, where they are known, the lowest first."""

    @property
    def walk(self) -> list[Condition]:
        """Return all conditions, for walking through the rows and asking each."""
        return [*self.own, *self.probes]


def plan_page(connection: Connection, asked: Asked) -> Ways:
    """Return how to fetch a page."""
    exact = _SOME if _is_several(asked) else _SOME_ALONE
    ids, members = _candidates(connection, asked, _Limits(_SOME_ROWS, exact, _SOME_TEXTS))
    probes = [member.probe for member in members]
    if ids is not None:
        known = known_ids(ids)
        checked = [*asked.row_conditions, *_checked(asked.exacts)]
        own = [conversations.c.agent_id == asked.agent_id, unindexed(conversations.c.id).in_(known), *checked]
        return Ways(own, probes, gather=[conversations.c.id.in_(known), *_checks(asked)], ids=sorted(ids))
    own = _leading(connection, asked)
    if not members:
        return Ways(own, probes)
    skip = _in_sets(own, members) if any(member.is_exact for member in members) else None
    gather = [*_checks(asked), *(conversations.c.id.in_(member.subquery) for member in members)]
    return Ways(own, probes, skip, gather)


def plan_all(connection: Connection, asked: Asked) -> list[Condition]:
    """Return the conditions for all that match, to be counted or gone through."""
    exact = _TOGETHER if _is_several(asked) else _SOME_ALONE
    ids, members = _candidates(connection, asked, _Limits(_TOGETHER, exact, _COUNTED_TEXTS))
    probes = [member.probe for member in members]
    if ids is not None:
        return [conversations.c.id.in_(known_ids(ids)), *_checks(asked), *probes]
    return _in_sets(_leading(connection, asked), members)


def _in_sets(own: Sequence[Condition], members: Sequence[Members]) -> list[Condition]:
    """Return the conditions for going through many rows: each is looked for in sets of all ids that an index has."""
    row_id = unindexed(conversations.c.id)
    return [*own, *(row_id.in_(member.subquery) if member.is_exact else member.probe for member in members)]


def _is_several(asked: Asked) -> bool:
    return len(asked.members) + len(asked.exacts) > 1


class _Limits(NamedTuple):
    """How many candidates are fetched: of a value of a column, of exact members, of texts."""

    rows: int
    exact: int
    texts: int


def _candidates(connection: Connection, asked: Asked, limits: _Limits) -> tuple[set[int] | None, list[Members]]:
    """Return the ids that all conditions that few fulfil leave, and the members that must still be asked.

    Values of columns take part where it is several of them, or one beside members: alone its index is as good.
    """
    ids: set[int] | None = None
    still_asked = []
    for member in asked.members:
        found = member.find(connection, limits.exact if member.is_exact else limits.texts)
        if found is None:
            still_asked.append(member)
            continue
        ids = found if ids is None else ids & found
        if not member.is_exact:
            still_asked.append(member)
        if not ids:
            return ids, still_asked
    if len(asked.exacts) + (ids is not None) < 2 or (ids is not None and len(ids) <= _FEW):
        return ids, still_asked
    found_sets: dict[int, set[int]] = {} if ids is None else {-1: ids}
    for most in dict.fromkeys((_SOME_ROWS, limits.rows)):
        for place, exact in enumerate(asked.exacts):
            of_value = select(conversations.c.id).where(conversations.c.agent_id == asked.agent_id, exact.found())
            rows = None if place in found_sets else by_subquery(of_value)(connection, most)
            if rows is not None:
                found_sets[place] = rows
        if len(found_sets) != 1:  # where one is rare, larger ones are worth it
            break
    return (set.intersection(*found_sets.values()) if len(found_sets) > 1 else ids), still_asked


def _checks(asked: Asked) -> list[Condition]:
    """Return the conditions on the row itself, to be checked in rows that the ids lead to."""
    return [unindexed(conversations.c.agent_id) == asked.agent_id, *asked.row_conditions, *_checked(asked.exacts)]


def _checked(exacts: Sequence[Exact]) -> list[Condition]:
    return [exact.checked() for exact in exacts]


def _leading(connection: Connection, asked: Asked) -> list[Condition]:
    """Let the index of the rarest value lead, or, where several columns have common values, that of all of them.

    Of several values of one column, and of what is deleted and what is not, the index has no common order: it may lead
    only where they are rare.
    """
    rest = [conversations.c.agent_id == asked.agent_id, *asked.row_conditions]
    if asked.hides_deleted and len(asked.exacts) == 1 and len(asked.exacts[0].values) == 1:
        return [*rest, asked.exacts[0].found()]
    for most in (_RARE_ROWS if asked.hides_deleted else _RARE_ROWS[:1]) if asked.exacts else ():
        for exact in asked.exacts:
            of_value = select(conversations.c.id).where(conversations.c.agent_id == asked.agent_id, exact.found())
            if connection.execute(of_value.offset(most).limit(1)).one_or_none() is None:
                if not asked.hides_deleted:
                    return [conversations.c.id.in_(of_value), *_checks(asked)]
                return [*rest, exact.found(), *_checked([other for other in asked.exacts if other is not exact])]
    return [*rest, *_checked(asked.exacts)]
