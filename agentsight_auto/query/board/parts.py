"""What the metrics of some conversations are made of, in a form in which stretches of time can be added up.

In: conditions. Out: a `Part`. Loses: nothing.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection, func, select

from agentsight_auto.query.board.scope import EXAMINED
from agentsight_auto.query.board.times import ORIGIN_COLUMNS, QUARTER_US
from agentsight_auto.query.definitions import sums
from agentsight_auto.query.lifecycle import Condition, Lifecycle
from agentsight_auto.store.schema import conversation_hours, conversations
from agentsight_auto.store.schema_insights import insights

PER_HOUR = (
    "conversations", "used_conversations", "talked_conversations", "escalated_conversations", "contained_conversations",
    "messages", "responses", "responses_ms",
)  # fmt: skip
"""The sums that are also made by the time of day."""

Values: TypeAlias = "tuple[str | None, ...]"
"""Of source, device, language and country, see `times.ORIGINS`."""


class Part(msgspec.Struct, array_like=True):
    """Sums over some conversations."""

    groups: list[tuple[Values, list[float]]]
    """By origin: every sum of `definitions.sums`, in its order."""
    hours: dict[int, int]
    """Messages by the hour (since 1970, UTC) in which they were said."""
    first_ms: bytes
    """How long the first answer of each conversation took: 32 bits each, in the byte order of the machine."""
    each_ms: bytes
    """The same of every answer."""


Quarters: TypeAlias = dict[int, list[float]]
"""The sums of `PER_HOUR`, by the quarter of an hour (since 1970, UTC) in which conversations began."""


def gather(connection: Connection, conditions: Sequence[Condition], life: Lifecycle) -> Part:
    """Sum over the conversations that fulfil the conditions, but by the time at which they began."""
    dimensions = list(ORIGIN_COLUMNS.values())
    size = len(dimensions)
    named = select(*dimensions, *sums(life).values()).select_from(EXAMINED).where(*conditions).group_by(*dimensions)
    groups = [(tuple(row[:size]), [value or 0 for value in row[size:]]) for row in connection.execute(named)]
    said = func.sum(conversation_hours.c.human_message_count + conversation_hours.c.agent_message_count)
    joined = EXAMINED.join(conversation_hours, conversation_hours.c.conversation_pk == conversations.c.id)
    hour = conversation_hours.c.hour
    spoken = select(hour, said).select_from(joined).where(*conditions).group_by(hour)
    hours = {row[0]: row[1] for row in connection.execute(spoken) if row[1]}
    return Part(groups, hours, *_times(connection, conditions))


def gather_quarters(connection: Connection, conditions: Sequence[Condition], life: Lifecycle) -> Quarters:
    """Sum by the quarter of an hour in which the conversations began: every time zone's hours are made of these."""
    named = sums(life)
    quarter = (conversations.c.started_at_us // QUARTER_US).label("quarter")
    statement = select(quarter, *(named[name] for name in PER_HOUR)).select_from(EXAMINED).where(*conditions)
    return {row[0]: [value or 0 for value in row[1:]] for row in connection.execute(statement.group_by(quarter))}


def _times(connection: Connection, conditions: Sequence[Condition]) -> tuple[bytes, bytes]:
    first, each = array("I"), array("I")
    statement = select(insights.c.first_response_ms, insights.c.responses_ms).select_from(EXAMINED)
    for first_ms, packed in connection.execute(statement.where(*conditions, insights.c.response_count > 0)):
        first.append(first_ms)
        each.frombytes(packed)
    if sys.byteorder == "big":
        each.byteswap()
    return _in_order(first), _in_order(each)


def _in_order(times: array[int]) -> bytes:
    return array("I", sorted(times)).tobytes()


def times_of(parts: Sequence[Part]) -> dict[str, list[int]]:
    """Return the response times of all parts in order: of each conversation the first, and each of all."""
    times: dict[str, list[int]] = {}
    for name in ("first", "each"):
        together = array("I")
        for part in parts:
            together.frombytes(getattr(part, f"{name}_ms"))
        times[name] = sorted(together)  # sorted runs already: they are only merged
    return times


def names_of(life: Lifecycle) -> tuple[str, ...]:
    """Return the names of the sums of a group, in order."""
    return tuple(sums(life))


def fold_groups(parts: Sequence[Part], names: Sequence[str]) -> list[tuple[Values, Mapping[str, float]]]:
    """Return the sums of all parts, by origin and name."""
    folded: dict[Values, list[float]] = {}
    for part in parts:
        for values, told in part.groups:
            there = folded.get(values)
            folded[values] = told if there is None else [a + b for a, b in zip(there, told, strict=True)]
    return [(values, dict(zip(names, told, strict=True))) for values, told in folded.items()]
