"""Answer the documented reads from the embedded store: pages, whole conversations, counts, exports.

In: parameters as the documented clients give them. Out: plain JSON-ready values in the documented shapes.
Loses: nothing; what cannot be read or is not there is one of the documented exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from agentsight_auto.exceptions import (
    NotFoundException,
)
from agentsight_auto.query import conversations as shapes
from agentsight_auto.query import exports, ordering, pages, parameters
from agentsight_auto.query.counts import Counts
from agentsight_auto.query.filter_values import Reader
from agentsight_auto.query.filters import Filters, parse_filters
from agentsight_auto.query.insight_filters import INSIGHT_READERS
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.query.metrics import ESCALATION_ACTIONS, compute_stats
from agentsight_auto.query.plan import plan_all, plan_page
from agentsight_auto.store import edit
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.geo import GeoLookup
from agentsight_auto.store.insights import settle
from agentsight_auto.store.schema import conversations


class EmbeddedReads:
    """The documented reads, over one store file and for one agent."""

    def __init__(
        self,
        database: Database,
        attachments: AttachmentFolder,
        *,
        agent: str = "default",
        geo: GeoLookup | None = None,
        escalation_actions: Sequence[str] = ESCALATION_ACTIONS,
        rules: Rules | None = None,
        link: shapes.Link | None = None,
    ) -> None:
        """Remember where things are; `link` makes the URLs of attachments, by default ``file://`` ones."""
        self._database = database
        self._folder = attachments
        self._link = link or shapes.file_link(attachments)
        self._agent = agent
        self._geo = geo
        self._counts = Counts()
        self._escalation_actions = escalation_actions
        self.rules = rules or Rules(escalation_actions=tuple(escalation_actions))

    @property
    def database(self) -> Database:
        """The store behind it."""
        return self._database

    @property
    def agent(self) -> str:
        """The name of the agent whose conversations these are."""
        return self._agent

    @property
    def agent_row_id(self) -> int:
        """The agent's id in the store."""
        return self._agent_id

    def fetch_conversations(
        self,
        *,
        page: int = 1,
        page_size: int = 10,
        cursor: str | None = None,
        count: bool = True,
        full: bool = True,
        filters: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return one page of conversations: ``count``, ``next``, ``previous`` and ``results``.

        `count` False answers ``count: null`` without counting, `full` False leaves out what was said in them. With a
        `cursor` the page begins where the cursor says and `page` is only its label.

        Raises:
            InvalidQueryException: a parameter that cannot be read.
            NotFoundException: page 0, or beyond the last one.
        """
        number = parameters.read_whole_number("page", page)
        size = parameters.clamp_page_size(parameters.read_whole_number("page_size", page_size))
        wanted = self._parse(filters)
        place = None if cursor is None else ordering.parse_cursor(cursor, wanted.ordering)
        with self._database.read() as connection:
            ways = plan_page(connection, wanted.asked)
            found = pages.fetch_page(connection, ways, ordering=wanted.ordering, number=number, size=size, place=place)
            total = self._counts.count(connection, wanted, found) if count else None
            results = self._load(connection, found.rows, full=full)
        next_url, previous_url = pages.neighbour_urls(found, wanted.parameters)
        return {"count": total, "next": next_url, "previous": previous_url, "results": results}

    def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation with everything, also a deleted one; an int is the database id, text the text id.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is none.
        """
        with self._database.read() as connection:
            row = self.row(connection, conversation_id)
            return self._load(connection, [row], full=True)[0]

    def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return a conversation's attachments, by message and flat.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is no such conversation.
        """
        with self._database.read() as connection:
            row = self.row(connection, conversation_id)
            return shapes.load_attachments(connection, row, self._link)

    def stats(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics of the conversations that match (see `metrics`).

        Besides the filters: `include_development` (else development is left out when production conversations match,
        unless a filter names an environment) and `escalation_actions`, names of actions that hand over to a human.
        """
        options = {"include_development": parameters.read_flag, "escalation_actions": parameters.read_names}
        wanted = self._parse(filters, options)
        with self._database.read() as connection:
            return compute_stats(
                connection,
                plan_all(connection, wanted.asked),
                all_environments=wanted.names_environment or wanted.options.get("include_development", False),
                escalation_actions=wanted.options.get("escalation_actions", self._escalation_actions),
            )

    def export_conversations(self, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Return an iterator over whole conversations, the oldest first, with all that an import needs.

        Which conversations there are and their order is settled at the first step (8 bytes are kept of each); what is
        in them is read in small portions, so that no transaction stays open while the caller works.
        """
        return exports.export_matching(self._database, self._parse(filters).asked, self._link)

    def export_selected(self, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Return the whole conversations of these database ids, as `export_conversations` does; others are left out."""
        return exports.export_selected(self._database, self._agent_id, keys, self._link)

    def known_event_ids(self, event_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return, for those events that are stored as messages, the message's id and its conversation's database id."""
        return exports.known_event_ids(self._database, self._agent_id, event_ids)

    def known_conversation(self, conversation_id: str) -> dict[str, Any]:
        """Return ``{"id", "conversation_id"}`` of a conversation; empty if there is none."""
        with self._database.read() as connection:
            try:
                key = edit.resolve(connection, self._agent_id, conversation_id)
            except NotFoundException:
                return {}
        return {"id": key, "conversation_id": conversation_id}

    def _load(self, connection: Connection, rows: Sequence[Row[Any]], *, full: bool) -> list[shapes.Shape]:
        if full:
            return shapes.load_conversations(connection, rows, self._link)
        return [shapes.conversation_fields(row) for row in rows]

    def _parse(self, filters: Mapping[str, Any], options: Mapping[str, Reader] | None = None) -> Filters:
        """Read the filters; those that ask what was found out first have what changed examined."""
        if any(filters.get(name) is not None for name in INSIGHT_READERS):
            settle(self._database)
        return parse_filters(filters, agent_id=self._agent_id, options=options, rules=self.rules)

    # -- which row -----------------------------------------------------------------------------------------------

    @property
    def _agent_id(self) -> int:
        return self._database.agent_id(self._agent)

    def row(self, connection: Connection, conversation_id: int | str) -> Row[Any]:
        """Return the row of one conversation; an int is the database id, text the text id.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: this agent has no such conversation.
        """
        column = conversations.c.conversation_id if isinstance(conversation_id, str) else conversations.c.id
        wanted = parameters.read_id(conversation_id)
        statement = select(conversations).where(conversations.c.agent_id == self._agent_id, column == wanted)
        row = connection.execute(statement).one_or_none()
        if row is None:
            raise NotFoundException(f"There is no conversation with the id {parameters.shown(conversation_id)}.")
        return row

    def _key(self, conversation_id: int | str) -> int:
        with self._database.read() as connection:
            return int(self.row(connection, conversation_id).id)
