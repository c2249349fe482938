"""Fetch the ids of one page, on the way that finds them soonest.

In: the ways that `plan` offers, an ordering, a place or a number of rows before. Out: ids in their order.
Loses: nothing; every way gives the same rows.

What is common is soon met by walking through the conversations in their order. A walk that may meet too few is bounded;
where it has met too few, all members, or all candidates, are looked up and sorted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from agentsight_auto.query.expressions import known_ids
from agentsight_auto.query.ordering import Ordering, Place
from agentsight_auto.query.plan import WINDOW, Ways
from agentsight_auto.store.schema import conversations

_FEW = 500
"""So many candidates are always looked up and sorted."""
_SORTED = 20
"""Looking up and sorting one candidate takes as long as walking past so many conversations."""
_SAMPLE = 200
"""So many rows are asked to tell how soon others are met."""
_PROBE = 1.8
"""What asking one row costs more than looking for it in a set, in ids that are put into the set meanwhile."""

Bound = list[ColumnElement[bool]]


def page_ids(
    connection: Connection, ways: Ways, ordering: Ordering, *, place: Place | None, first: int, most: int
) -> Sequence[int]:
    """Return at most `most` ids: beyond a place, or after the `first` rows."""
    backwards = place is not None and place.backwards
    beyond = [] if place is None else [ordering.beyond(place.value, place.row_id, backwards=backwards)]
    query = select(conversations.c.id).where(*beyond).order_by(*ordering.clauses(backwards=backwards))
    is_down = ordering.is_descending is not backwards
    bound: Bound | None = []
    if ways.ids is not None:
        bound = _to_candidates(connection, ways.ids, ordering, place, first + most, is_down=is_down)
    elif first and ways.skip is not None and not _is_met_sooner(connection, query, ways, first):
        return _fetched(connection, query.where(*ways.skip), first, most)
    elif not first and ways.gather is not None:
        bound = _to_window(connection, query, ways, ordering, is_down=is_down)
    if bound is not None:
        found = _fetched(connection, query.where(*ways.walk, *bound), first, most)
        if not bound or len(found) == most:
            return found
    gathered = query.where(*(ways.gather or ()))
    if ways.ids is None or not ways.probes:
        return _fetched(connection, gathered, first, most)
    if first:
        return _fetched(connection, gathered.where(*ways.probes), first, most)
    return _looked_into(connection, gathered, ways, most)


def _fetched(connection: Connection, query: Select[Any], first: int, most: int) -> Sequence[int]:
    return connection.execute(query.offset(first).limit(most)).scalars().all()


def _to_window(connection: Connection, query: Select[Any], ways: Ways, ordering: Ordering, *, is_down: bool) -> Bound:
    """Return the condition that ends a walk after `WINDOW` conversations; none where it ends before by itself."""
    if ordering.has_nulls:
        return []
    last = query.with_only_columns(ordering.column).where(*ways.own).offset(WINDOW).limit(1)
    place = connection.execute(last).scalar_one_or_none()
    if place is None:
        return []
    return [ordering.column >= place if is_down else ordering.column <= place]


def _to_candidates(
    connection: Connection, ids: Sequence[int], ordering: Ordering, place: Place | None, most: int, *, is_down: bool
) -> Bound | None:
    """Return the condition that ends a walk where half as many candidates again are met as are wanted.

    None where that is far, and sorting all of them takes less. How far it is their ids tell: most conversations get
    theirs in the order in which they begin.
    """
    if ordering.name != "started_at" or len(ids) <= _FEW:
        return None
    if place is not None:
        start = place.row_id
    else:
        start = int(connection.execute(select(func.max(conversations.c.id))).scalar() or 0) if is_down else 0
    ahead = ids[: bisect_left(ids, start + (place is None))][::-1] if is_down else ids[bisect_right(ids, start) :]
    enough = most + most // 2
    if len(ahead) < enough or abs(start - ahead[enough - 1]) > _SORTED * len(ids):
        return None
    column = ordering.column
    last = select(column).where(conversations.c.id == ahead[enough - 1]).correlate(None).scalar_subquery()
    return [column >= last if is_down else column <= last]


def _looked_into(connection: Connection, candidates: Select[Any], ways: Ways, most: int) -> list[int]:
    """Return the first ids of candidates, which are sorted, and looked into until there are enough."""
    found: list[int] = []
    start, number = 0, 4 * most
    while len(found) < most:
        portion = _fetched(connection, candidates, start, number)
        asked = select(conversations.c.id).where(conversations.c.id.in_(known_ids(portion)), *ways.probes)
        passed = set(connection.execute(asked).scalars().all())
        found += [row_id for row_id in portion if row_id in passed]
        if len(portion) < number:
            break
        start, number = start + number, 8 * number
    return found[:most]


def _is_met_sooner(connection: Connection, query: Select[Any], ways: Ways, first: int) -> bool:
    """Tell whether asking each row until `first` are met takes less than a set of all members, told from some rows."""
    has_all = and_(*ways.probes).label("has_all")
    some = query.with_only_columns(has_all).where(*ways.own).limit(_SAMPLE).subquery()
    share = float(connection.execute(select(func.avg(some.c.has_all))).scalar() or 0.0)
    number = int(connection.execute(select(func.max(conversations.c.id))).scalar() or 0)
    return _PROBE * first < share * share * number  # first / share rows are asked, share * number are in the set
