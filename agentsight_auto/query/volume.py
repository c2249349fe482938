"""How many conversations began when.

In: filters, and how far the reader's clock is from UTC. Out: counts in buckets of one length.
Loses: nothing; a bucket in which nothing began is there with 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import func, select

from agentsight_auto.query.filters import parse_filters
from agentsight_auto.query.plan import plan_all
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import conversations

_MINUTE_US = 60_000_000
_STEPS_MIN = (1, 5, 15, 60, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 30 * 1440, 90 * 1440, 365 * 1440)
_MOST_BUCKETS = 96
_columns = conversations.c


class Volume(NamedTuple):
    """Counts per bucket: bucket n begins at ``begin_us + n * step_us``, both in microseconds."""

    begin_us: int
    step_us: int
    counts: list[int]


def count_over_time(
    database: Database, agent_id: int, filters: Mapping[str, Any], *, offset_us: int = 0
) -> Volume | None:
    """Return the conversations that match over time, in at most 96 buckets; None where there are none.

    `offset_us` moves the buckets so that days begin at the reader's midnight.

    Raises:
        InvalidQueryException: a filter that cannot be read.
    """
    wanted = parse_filters(filters, agent_id=agent_id)
    with database.read() as connection:
        conditions = plan_all(connection, wanted.asked)
        span = select(func.min(_columns.started_at_us), func.max(_columns.started_at_us)).where(*conditions)
        first_us, last_us = connection.execute(span).one()
        if first_us is None:
            return None
        step_us = _step_us(last_us - first_us)
        bucket = ((_columns.started_at_us + offset_us) // step_us).label("bucket")
        rows = connection.execute(select(bucket, func.count()).where(*conditions).group_by(bucket)).all()
    counted = {int(number): int(count) for number, count in rows}
    first, last = min(counted), max(counted)
    return Volume(first * step_us - offset_us, step_us, [counted.get(number, 0) for number in range(first, last + 1)])


def _step_us(span_us: int) -> int:
    """Return the shortest step that needs no more buckets than there may be."""
    steps = (minutes * _MINUTE_US for minutes in _STEPS_MIN)
    return next((step for step in steps if span_us // step + 2 <= _MOST_BUCKETS), span_us // (_MOST_BUCKETS - 2) + 1)
