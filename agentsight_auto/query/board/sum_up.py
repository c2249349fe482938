"""Sum up whole days, for `days` to answer from.

In: a database, a period. Out: rows of `day_numbers`. Loses: nothing; a day is summed up only once all its conversations
are examined and quiet.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, case, delete, func, select

from agentsight_auto.query.board.days import DAY_US, WHOLE, Period, rules_key
from agentsight_auto.query.board.parts import gather, gather_quarters
from agentsight_auto.query.board.scope import EXAMINED
from agentsight_auto.query.expressions import known_ids
from agentsight_auto.query.lifecycle import Lifecycle, Rules
from agentsight_auto.store.database import Database
from agentsight_auto.store.insights import count_due
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.schema_insights import day_numbers, insights

_columns = day_numbers.c


def sum_up(database: Database, agent_id: int, rules: Rules, period: Period, *, wait_s: float) -> int:
    """Sum up days of the period that are not summed up yet, the newest first, for about `wait_s` seconds.

    Nothing is summed up while conversations wait to be examined. Returns how many days were.

    Raises:
        StoreException: somebody else has held the store's lock for `wait_s`, or it cannot be written to.
    """
    deadline, done = time.monotonic() + wait_s, 0
    life = Lifecycle(rules, agent_id)
    with database.read() as connection:
        missing = _missing(connection, life, period)
    while missing and time.monotonic() < deadline:
        with database.write(wait_s=wait_s) as connection:
            if count_due(connection, most=1):
                break
            day = missing.pop()
            empty = _empty_since(connection, life, day)
            if empty <= day:  # nothing began from then on: all those days at once
                _mark(connection, life, [day, *(other for other in missing if other >= empty)])
                missing = [other for other in missing if other < empty]
            else:
                done += _sum_up_day(connection, life, day)
    return done


def _empty_since(connection: Connection, life: Lifecycle, day: int) -> int:
    """Return the first of the days up to this one in which no conversation began; the day after it if one did in it."""
    started = conversations.c.started_at_us
    before = (conversations.c.agent_id == life.agent_id, started < (day + 1) * DAY_US)
    latest = connection.execute(select(started).where(*before).order_by(started.desc()).limit(1)).scalar()
    return 0 if latest is None else latest // DAY_US + 1


def _mark(connection: Connection, life: Lifecycle, days: Sequence[int]) -> None:
    """Store that these days are summed up, and nothing of them yet."""
    head = {"agent_id": life.agent_id, "environment": WHOLE, "rules": rules_key(life.rules), "quiet_at_us": 0}
    connection.execute(delete(day_numbers).where(_columns.agent_id == life.agent_id, _columns.day.in_(known_ids(days))))
    connection.execute(day_numbers.insert(), [{**head, "day": day, "quarters": b"", "document": b""} for day in days])


def _missing(connection: Connection, life: Lifecycle, period: Period) -> list[int]:
    started = conversations.c.started_at_us
    own = select(started).where(conversations.c.agent_id == life.agent_id)
    first = connection.execute(own.order_by(started).limit(1)).scalar()
    if first is None:
        return []
    days = period.days(life.now_us)
    known = select(_columns.day).where(
        _columns.agent_id == life.agent_id,
        _columns.environment == WHOLE,
        _columns.rules == rules_key(life.rules),
        _columns.day.between(days.start, days.stop - 1),
    )
    there = set(connection.execute(known).scalars())
    return [day for day in days if day >= first // DAY_US and day not in there]


def _sum_up_day(connection: Connection, life: Lifecycle, day: int) -> bool:
    """Sum up one day inside a `write` block; False if some of its conversations are not quiet yet."""
    column = conversations.c
    own = [column.agent_id == life.agent_id, column.started_at_us >= day * DAY_US]
    own += [column.started_at_us < (day + 1) * DAY_US, column.is_deleted.is_(False)]
    general, by_source = life.rules.idle_us
    idle_us = case(by_source, value=column.source, else_=general) if by_source else general
    quiet = select(func.max(insights.c.last_at_us + idle_us)).select_from(EXAMINED).where(*own)
    quiet_at_us = connection.execute(quiet).scalar() or 0
    if quiet_at_us > life.now_us:
        return False
    head = {"agent_id": life.agent_id, "day": day, "rules": rules_key(life.rules), "quiet_at_us": quiet_at_us}
    rows = [{**head, "environment": WHOLE, "quarters": b"", "document": b""}]
    for environment in connection.execute(select(column.environment).where(*own).distinct()).scalars().all():
        there = [*own, column.environment == environment]
        quarters = msgspec.msgpack.encode(gather_quarters(connection, there, life))
        document = msgspec.msgpack.encode(gather(connection, there, life))
        rows.append({**head, "environment": environment, "quarters": quarters, "document": document})
    connection.execute(delete(day_numbers).where(_columns.agent_id == life.agent_id, _columns.day == day))
    connection.execute(day_numbers.insert(), rows)
    return True
