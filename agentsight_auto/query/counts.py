"""Count what matches, exactly, and remember it until something is written.

In: what is asked for. Out: a number. Loses: nothing; every write of whatever process makes what was remembered void.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from agentsight_auto.query.expressions import known_ids
from agentsight_auto.query.filters import Filters
from agentsight_auto.query.members import Members
from agentsight_auto.query.pages import Page
from agentsight_auto.query.plan import plan_all
from agentsight_auto.store.schema import agents, conversations

_MOST_REMEMBERED = 256
_DELETED = "SELECT id FROM conversations INDEXED BY ix_conversations_deleted WHERE agent_id = ? AND is_deleted = 1"


class Counts:
    """How many conversations match, for one store."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, tuple[tuple[str, str], ...]], tuple[int, int]] = OrderedDict()

    def count(self, connection: Connection, wanted: Filters, page: Page | None = None) -> int:
        """Count what matches; where the last page is at hand its rows say so."""
        if page is not None and page.offset is not None and page.next is None:
            return page.offset + len(page.rows)
        agent_id = wanted.asked.agent_id
        writes = connection.execute(select(agents.c.writes).where(agents.c.id == agent_id)).scalar() or 0
        key = agent_id, _normal(wanted.parameters)
        with self._lock:
            remembered = self._known.get(key)
        if remembered is not None and remembered[0] == writes:
            return remembered[1]
        total = _count(connection, wanted)
        with self._lock:
            self._known[key] = writes, total
            self._known.move_to_end(key)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return total


def _normal(parameters: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in parameters.items() if name != "ordering"))


def _count(connection: Connection, wanted: Filters) -> int:
    asked = wanted.asked
    if len(asked.members) == 1 and not asked.exacts and wanted.only_hides_deleted and asked.members[0].is_exact:
        return _count_members(connection, asked.agent_id, asked.members[0])
    query = select(func.count()).select_from(conversations).where(*plan_all(connection, asked))
    return int(connection.execute(query).scalar_one())


def _count_members(connection: Connection, agent_id: int, members: Members) -> int:
    """Count members without a look at each one's row: all there are, without the deleted ones among them."""
    ids = members.subquery.subquery()
    if not members.is_distinct:
        ids = select(ids.c[0]).group_by(ids.c[0]).subquery()  # sorts them: less than a set, which DISTINCT makes
    all_of_them = int(connection.execute(select(func.count()).select_from(ids)).scalar_one())
    deleted = connection.exec_driver_sql(_DELETED, (agent_id,)).scalars().all()
    among = select(func.count()).select_from(conversations)
    hidden = among.where(conversations.c.id.in_(known_ids(deleted)), members.probe)
    return all_of_them - int(connection.execute(hidden).scalar_one())
