"""The questions of the dashboard, asked of one agent's store.

In: filters, ids. Out: plain JSON-ready dicts. Loses: nothing; conversations that changed are examined first, up to a
few thousand at a time, and what is still due is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select

from agentsight_auto._ids import IdSource
from agentsight_auto.events import ESCALATED_BY, RESOLVED_BY
from agentsight_auto.exceptions import StoreException
from agentsight_auto.query import ordering, pages
from agentsight_auto.query.board import actions, facets, numbers, rows, timeline
from agentsight_auto.query.board.days import Period
from agentsight_auto.query.board.scope import read_period
from agentsight_auto.query.board.sum_up import sum_up
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.query.filters import parse_filters
from agentsight_auto.query.lifecycle import Lifecycle
from agentsight_auto.query.parameters import unreadable
from agentsight_auto.query.plan import plan_page
from agentsight_auto.store.insights import count_due, settle
from agentsight_auto.store.schema import conversations

Shape = dict[str, Any]
_ids = IdSource()
_PATIENCE_S = 0.25
"""Whoever looks waits no longer for somebody who writes."""
_SUM_UP_S = 0.1


class Board:
    """What the dashboard asks of one agent's conversations; `backend` says whose, and by which rules.

    Each method that takes filters raises `InvalidQueryException` for one that cannot be read; each that takes an id
    raises `NotFoundException` where there is no such conversation.
    """

    def __init__(self, backend: EmbeddedBackend) -> None:
        self._backend = backend
        self._database = backend.database
        self._known: dict[str, Any] = {"agent_id": backend.agent_row_id, "rules": backend.rules}

    # -- the list --------------------------------------------------------------------------------------------------

    def conversations(self, filters: Mapping[str, Any], *, page_size: int = 25, cursor: str | None = None) -> Shape:
        """Return one page: ``count`` (or more, where not ``count_is_exact``), ``next`` and ``previous`` cursors,
        ``newest`` for `newer`, and ``results``, a row a conversation.
        """  # noqa: D205
        self._examine()
        with self._database.read() as connection:
            return rows.fetch_rows(connection, filters, page_size=page_size, cursor=cursor, **self._known)

    def newer(self, filters: Mapping[str, Any], marker: Mapping[str, Any]) -> Shape:
        """Return ``{"count"}`` of those that stand before `marker`, the ``newest`` of a page; at most 100."""
        with self._database.read() as connection:
            return {"count": rows.count_newer(connection, filters, marker=marker, **self._known)}

    def facets(self, filters: Mapping[str, Any]) -> Shape:
        """Return the facets with their counts over the newest 50,000 conversations that match."""
        self._examine()
        with self._database.read() as connection:
            return facets.count_facets(connection, filters, agent=self._backend.agent, **self._known)

    def volume(self, filters: Mapping[str, Any], *, buckets: int = 60, zone: str = "UTC") -> Shape:
        """Return how many conversations began in each stretch of the period, whole hours or days in `zone`."""
        with self._database.read() as connection:
            return facets.count_volume(
                connection, filters, buckets=buckets, zone=read_zone(zone), now_us=_now_us(), **self._known
            )

    # -- one conversation --------------------------------------------------------------------------------------------

    def transcript(self, conversation_id: int | str) -> Shape:
        """Return the whole conversation, with its ``status``, the ``status_reason`` and the list's ``summary``."""
        self._examine()
        shape = self._backend.fetch_conversation(conversation_id)
        with self._database.read() as connection:
            row = connection.execute(select(conversations).where(conversations.c.id == shape["id"])).one()
            summary = rows.shape_rows(connection, [row], self._life())[0]
        return {**shape, "status": summary["status"], "status_reason": _reason(shape), "summary": summary}

    def neighbours(self, conversation_id: int | str, filters: Mapping[str, Any]) -> Shape:
        """Return the ids (``next``, ``previous``) of those that stand around one in the filtered list."""
        wanted = parse_filters(filters, **self._known)
        found: Shape = {}
        with self._database.read() as connection:
            row = self._backend.row(connection, conversation_id)
            ways = plan_page(connection, wanted.asked)
            for name, backwards in (("next", False), ("previous", True)):
                place = ordering.Place(wanted.ordering, backwards, *wanted.ordering.key(row))
                page = pages.fetch_page(connection, ways, ordering=wanted.ordering, number=1, size=1, place=place)
                found[name] = page.rows[0].id if page.rows else None
        return found

    def timeline(self, conversation_id: int | str) -> Shape:
        """Return messages, actions and model calls of one conversation on one axis, and its turns."""
        return timeline.lay_out(self._backend.fetch_conversation(conversation_id))

    def resolve(self, conversation_id: int | str, note: str | None = None) -> Shape:
        """Record that the conversation is resolved; return ``{"id", "conversation_id", "status"}``."""
        return self._end(conversation_id, RESOLVED_BY, note)

    def escalate(self, conversation_id: int | str, reason: str | None = None) -> Shape:
        """Record that the conversation is handed over to a human; return ``{"id", "conversation_id", "status"}``."""
        return self._end(conversation_id, ESCALATED_BY, reason)

    def _end(self, conversation_id: int | str, action_name: str, note: str | None) -> Shape:
        at_us = _now_us()
        ended = self._backend.end_conversation(
            conversation_id, action_name, note, event_id=_ids.next(at_us), at_us=at_us
        )
        self._examine()
        with self._database.read() as connection:
            row = self._backend.row(connection, ended["id"])
            status = rows.shape_rows(connection, [row], self._life())[0]["status"]
        return {"id": ended["id"], "conversation_id": ended["conversation_id"], "status": status}

    # -- numbers -----------------------------------------------------------------------------------------------------

    def metrics(
        self,
        filters: Mapping[str, Any],
        *,
        zone: str = "UTC",
        compare: bool = True,
        include_development: bool = False,
        times_by: str | None = None,
    ) -> Shape:
        """Return the metrics of the conversations that match, beside those of the period before.

        ``metrics`` holds for each its value, that of before, the change, its definition and the filter that opens the
        conversations behind it; ``by`` the same by origin, hour and weekday of `zone`, the quantiles of response times
        only by the one that `times_by` names; ``behind`` counts conversations that changed and were not examined yet.
        """
        self._examine()
        self._sum_up(filters)
        with self._database.read() as connection:
            behind = count_due(connection)
            computed = numbers.compute_metrics(
                connection,
                filters,
                zone=read_zone(zone),
                compare=compare,
                include_development=include_development,
                times_by=times_by,
                now_us=_now_us(),
                **self._known,
            )
        return {**computed, "behind": behind}

    def actions(self, filters: Mapping[str, Any]) -> Shape:
        """Return how actions went in the conversations that match: by name, the slowest, the most frequent errors."""
        with self._database.read() as connection:
            return actions.examine_actions(connection, filters, now_us=_now_us(), **self._known)

    def _examine(self) -> None:
        """Examine what changed; where the store cannot be written to just now, show what is known of it."""
        with suppress(StoreException):
            settle(self._database, wait_s=_PATIENCE_S)

    def _sum_up(self, filters: Mapping[str, Any]) -> None:
        """Sum up some days of the period, so that the next answer comes sooner."""
        period = Period(*read_period(filters, _now_us()))
        with suppress(StoreException):
            sum_up(self._database, self._known["agent_id"], self._known["rules"], period, wait_s=_SUM_UP_S)

    def _life(self) -> Lifecycle:
        return Lifecycle(self._backend.rules, self._backend.agent_row_id)


def read_zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name.

    Raises:
        InvalidQueryException: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise unreadable("zone", name, "an IANA time zone such as Europe/Berlin") from error


def _reason(shape: Shape) -> str | None:
    """Return what whoever last moved the conversation gave as the reason."""
    for message in reversed(shape["messages"]):
        for log in message["action_logs"]:
            told = log["metadata"] or {}
            if "lifecycle" in told:
                return str(told["reason"]) if told.get("reason") is not None else None
    return None


def _now_us() -> int:
    return time.time_ns() // 1000
