"""Ask the search index which conversations can hold a text.

In: a part of a text. Out: the database ids of all conversations that can hold it, or None where they would be many, or
the index cannot tell: a part of fewer than three characters, a SQLite without FTS5.
Loses: nothing; it may give conversations that do not hold the text, never too few.

A part is found by its rarest trigrams. How rare each is, its newest documents say: how far back one has to go for them.
Those that have all its letters are asked first, the others where none of them is rare.
What the index does not know yet (`search_index.TAIL`) is read through.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, literal, or_, select

from agentsight_auto.query.expressions import unindexed
from agentsight_auto.query.texts import contains
from agentsight_auto.store.schema import conversation_actions, conversations, messages
from agentsight_auto.store.schema_spans import actions
from agentsight_auto.store.search_tables import NAME_TABLES, read_extent

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIGRAMS = 3
"""How many are looked for together: more make fewer candidates, but take longer."""
_MOST_COMPARED = 24
_RARE = 2_000
"""Where one is in so few documents, no rarer one is looked for."""
_ALIKE = 50
"""One that is so many times more common than the rarest takes longer to read than it saves."""
_SAMPLE = 48

_NEWEST = "SELECT {1}, total(1), min(rowid) FROM (SELECT rowid FROM {0} WHERE {0} MATCH ? ORDER BY rowid DESC LIMIT ?)"
_FOUND = {
    "message_search": "SELECT d.conversation_pk AS pk FROM message_search AS s "
    "JOIN search_documents AS d ON d.id = s.rowid WHERE s.message_search MATCH ? LIMIT ?",
    **{table: f"SELECT rowid AS pk FROM {table} WHERE {table} MATCH ? LIMIT ?" for table in NAME_TABLES},  # noqa: S608
}


def candidates_by_words(connection: Connection, agent_id: int, needle: str, most: int) -> set[int] | None:
    """Return the conversations in which `needle` can be said, at most `most`; what actions say is not among it."""
    extent = read_extent(connection, agent_id)
    if extent is None:
        return None
    found = _candidates(connection, "message_search", extent.last_document, needle, most)
    if found is None:
        return None
    column = messages.c
    said = (column.id > extent.message_id, contains(column.content, needle))
    tail = select(column.conversation_pk).where(*said, unindexed(column.agent_id) == agent_id)
    return _at_most(found.union(connection.execute(tail).scalars()), most)


def candidates_by_name(
    connection: Connection, agent_id: int, columns: Sequence[str], needle: str, most: int
) -> set[int] | None:
    """Return the conversations of which one of these columns can hold `needle`, at most `most`."""
    extent = read_extent(connection, agent_id)
    if extent is None:
        return None
    found: set[int] = set()
    for table in (table for table, column in NAME_TABLES.items() if column in columns):
        more = _candidates(connection, table, extent.last_conversation, needle, most)
        if more is None:
            return None
        found |= more
    column = conversations.c
    named = or_(*(contains(column[name], needle) for name in columns))
    own = (column.id > extent.conversation_pk, unindexed(column.agent_id) == agent_id)
    return _at_most(found.union(connection.execute(select(column.id).where(*own, named)).scalars()), most)


def _at_most(found: set[int], most: int) -> set[int] | None:
    return None if len(found) > most else found


def candidates_by_action(connection: Connection, agent_id: int, needle: str, most: int) -> set[int] | None:
    """Return the conversations with an action whose message, ``Action <name> performed``, holds `needle`."""
    message = literal("Action ") + actions.c.name + literal(" performed")
    names = connection.execute(
        select(actions.c.name).where(actions.c.agent_id == agent_id, contains(message, needle))
    ).scalars().all()  # fmt: skip
    if not names:
        return set()
    performed = conversation_actions.c
    query = select(performed.conversation_pk).where(performed.agent_id == agent_id, performed.action_name.in_(names))
    found = connection.execute(query.limit(most + 1)).scalars().all()
    return None if len(found) > most else set(found)


def _candidates(connection: Connection, table: str, highest: int, needle: str, most: int) -> set[int] | None:
    folded = needle.casefold()
    trigrams = list(dict.fromkeys(folded[place : place + 3] for place in range(len(folded) - 2)))[:_MOST_COMPARED]
    if not trigrams or "\0" in needle:
        return None
    numbers: dict[str, float] = {}
    for some in (trigrams[::3], trigrams):  # the first have all letters but the last few
        others = [trigram for trigram in some if trigram not in numbers]
        if others and min(numbers.values(), default=math.inf) > _RARE:
            told = _numbers(connection, table, [_match([trigram]) for trigram in others], highest)
            numbers.update(zip(others, told, strict=True))
    if 0.0 in numbers.values():
        return set()
    rarest = sorted(numbers, key=numbers.__getitem__)[:_TRIGRAMS]
    match = _match([trigram for trigram in rarest if numbers[trigram] <= _ALIKE * numbers[rarest[0]]])
    if min(numbers.values()) > most and _numbers(connection, table, [match], highest)[0] > most:
        return None
    together = f"SELECT json_group_array(pk) FROM ({_FOUND[table]})"  # noqa: S608 - one text instead of many rows
    found = msgspec.json.decode(connection.exec_driver_sql(together, (match, most + 1)).scalar_one(), type=list[int])
    return None if len(found) > most else set(found)


def _numbers(connection: Connection, table: str, matches: Sequence[str], highest: int) -> list[float]:
    """Return how many documents match each, told from the newest that do, with one statement."""
    together = " UNION ALL ".join(_NEWEST.format(table, place) for place in range(len(matches)))
    told = connection.exec_driver_sql(together, tuple(value for match in matches for value in (match, _SAMPLE)))
    return [
        number if number < _SAMPLE else number * highest / max(highest - oldest + 1, 1)
        for _, number, oldest in sorted(told.all())
    ]


def _match(trigrams: Sequence[str]) -> str:
    return "(" + " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in trigrams) + ")"
