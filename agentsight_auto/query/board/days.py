"""Whole days, summed up once: metrics and volume of a long period are made of them.

In: a database, a scope. Out: parts. Loses: nothing; a day that has not been summed up is read from its conversations.

A row of `day_numbers` is right as long as it is there: triggers remove it in the transaction in which a conversation of
its day changes (see migration 12). It holds sums by the rules at that moment, and of conversations that had all become
quiet by `quiet_at_us`: time changes nothing of it any more. The row without an environment says that the day is whole.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, select

from agentsight_auto.query.board.parts import Part, Quarters, gather, gather_quarters, names_of
from agentsight_auto.query.board.scope import Scope
from agentsight_auto.query.lifecycle import Condition, Lifecycle, Rules
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import day_numbers

DAY_US = 86_400_000_000
_EDITION = 1
"""Goes up when a sum of the same name begins to mean something else."""
_PLAIN = frozenset({"started_at_after", "started_at_before", "environment", "env"})
"""The filters that whole days can answer."""
WHOLE = " "
"""No environment is called so: they are stored without the spaces around them."""
_columns = day_numbers.c


class Period(NamedTuple):
    """From and until, both inclusive, in microseconds; None where there is no bound."""

    from_us: int | None
    until_us: int | None

    def days(self, now_us: int) -> range:
        """Return the days that lie in it wholly, those to come left out."""
        end_us = now_us if self.until_us is None else min(self.until_us, now_us)
        return range(-(-(self.from_us or 0) // DAY_US), (end_us + 1) // DAY_US)


def is_plain(scope: Scope) -> bool:
    """Tell whether whole days can answer what the scope asks for."""
    return set(scope.filters.parameters) <= _PLAIN


def gather_days(connection: Connection, scope: Scope, period: Period) -> Iterator[Part]:
    """Yield parts that together are the scope; the days that were summed up are not read again."""
    if not is_plain(scope):
        yield gather(connection, scope.conditions, scope.life)
        return
    known = _known(connection, scope, period, _columns.document)
    for row in known:
        if row.environment != WHOLE and _counts(scope, row.environment):
            yield msgspec.msgpack.decode(row.document, type=Part)
    for conditions in _between(scope, period, known):
        yield gather(connection, conditions, scope.life)


def gather_days_by_quarter(connection: Connection, scope: Scope, period: Period) -> Quarters:
    """Return the sums by quarter of an hour of the whole scope."""
    if not is_plain(scope):
        return gather_quarters(connection, scope.conditions, scope.life)
    known = _known(connection, scope, period, _columns.quarters)
    found: Quarters = {}
    for row in known:
        if row.environment != WHOLE and _counts(scope, row.environment):
            _add(found, msgspec.msgpack.decode(row.quarters, type=Quarters))
    for conditions in _between(scope, period, known):
        _add(found, gather_quarters(connection, conditions, scope.life))
    return found


def count_by_quarter(
    connection: Connection, scope: Scope, period: Period
) -> tuple[dict[int, int], list[list[Condition]]]:
    """Return how many conversations began in each quarter of an hour of the known days, and conditions of the rest."""
    counts: dict[int, int] = {}
    known = _known(connection, scope, period, _columns.quarters)
    for row in known:
        if row.environment != WHOLE and _counts(scope, row.environment):
            for quarter, values in msgspec.msgpack.decode(row.quarters, type=Quarters).items():
                counts[quarter] = counts.get(quarter, 0) + int(values[0])
    return counts, list(_between(scope, period, known))


def _add(total: Quarters, more: Quarters) -> None:
    for quarter, values in more.items():
        there = total.get(quarter)
        total[quarter] = values if there is None else [a + b for a, b in zip(there, values, strict=True)]


def _known(connection: Connection, scope: Scope, period: Period, column: Any) -> Sequence[Row[Any]]:
    """Return the rows of the days in the period that are summed up by these rules, in order."""
    days = period.days(scope.life.now_us)
    usable = (
        _columns.agent_id == scope.life.agent_id,
        _columns.day.between(days.start, days.stop - 1),
        _columns.rules == rules_key(scope.life.rules),
        _columns.quiet_at_us <= scope.life.now_us,
    )
    ordered = select(_columns.day, _columns.environment, column).where(*usable).order_by(_columns.day)
    return connection.execute(ordered).all()


def _counts(scope: Scope, environment: str) -> bool:
    named = all(environment in exact.values for exact in scope.filters.asked.exacts)
    return named and environment not in scope.left_out


def _between(scope: Scope, period: Period, known: Sequence[Row[Any]]) -> Iterator[list[Condition]]:
    """Yield the conditions of each stretch between the days that are known."""
    start_us = period.from_us
    for day in dict.fromkeys(row.day for row in known):
        if start_us is None or start_us < day * DAY_US:
            yield _stretch(scope, start_us, day * DAY_US - 1)
        start_us = (day + 1) * DAY_US
    if period.until_us is None or start_us is None or start_us <= period.until_us:
        yield _stretch(scope, start_us, period.until_us)


def _stretch(scope: Scope, from_us: int | None, until_us: int | None) -> list[Condition]:
    column = conversations.c
    conditions = [column.agent_id == scope.life.agent_id, column.is_deleted.is_(False)]
    conditions += [exact.checked() for exact in scope.filters.asked.exacts]
    if scope.left_out:
        conditions.append(column.environment.not_in(scope.left_out))
    if from_us is not None:
        conditions.append(column.started_at_us >= from_us)
    if until_us is not None:
        conditions.append(column.started_at_us <= until_us)
    return conditions


def rules_key(rules: Rules) -> str:
    """Return what tells sums apart that other rules, or another edition of this module, have made."""
    told = [
        _EDITION,
        sys.byteorder,
        names_of(Lifecycle(rules, 0, 0)),
        rules.escalating,
        rules.resolving,
        *rules.idle_us,
    ]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]
