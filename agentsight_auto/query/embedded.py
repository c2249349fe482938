"""Answer the documented calls from the embedded store: read, count, judge and edit conversations.

In: parameters as the documented clients give them. Out: plain JSON-ready values in the documented shapes.
Loses: nothing; what cannot be read or is not there is one of the documented exceptions, before anything is changed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from agentsight_auto.events import Action, Answer, AnyEvent, Feedback, lifecycle_metadata
from agentsight_auto.exceptions import (
    InvalidConversationDataException,
    NotFoundException,
)
from agentsight_auto.query import conversations as shapes
from agentsight_auto.query import pages, parameters
from agentsight_auto.query.counts import Counts
from agentsight_auto.query.edit_values import check_changes, check_judgement, check_name
from agentsight_auto.query.filter_values import Reader
from agentsight_auto.query.filters import Filters, parse_filters
from agentsight_auto.query.insight_filters import INSIGHT_READERS
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.query.metrics import ESCALATION_ACTIONS, compute_stats
from agentsight_auto.query.plan import plan_all, plan_page
from agentsight_auto.store import edit, erasure
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.geo import GeoLookup
from agentsight_auto.store.ingest import ingest
from agentsight_auto.store.insights import settle
from agentsight_auto.store.schema import conversations, feedbacks, messages

_EXPORT_CHUNK = 50
_IDS_PER_STATEMENT = 500
_ERASE_WAIT_S = 5.0


class EmbeddedBackend:
    """The documented reads and edits, over one store file and for one agent."""

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

    # -- reading -------------------------------------------------------------------------------------------------

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
        place = None if cursor is None else pages.parse_cursor(cursor, wanted.ordering)
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
        return self._export(self._parse(filters))

    def _export(self, wanted: Filters) -> Iterator[dict[str, Any]]:
        oldest_first = pages.Ordering(is_descending=False).clauses()
        with self._database.read() as connection:
            statement = select(conversations.c.id).where(*plan_all(connection, wanted.asked)).order_by(*oldest_first)
            keys = array("q", connection.execute(statement.execution_options(yield_per=1000)).scalars())
        for start in range(0, len(keys), _EXPORT_CHUNK):
            chunk = keys[start : start + _EXPORT_CHUNK].tolist()
            with self._database.read() as connection:
                rows = connection.execute(select(conversations).where(conversations.c.id.in_(chunk))).all()
                by_key = {row.id: row for row in rows}  # one that was erased meanwhile is missing
                rows = [by_key[key] for key in chunk if key in by_key]
                portion = shapes.load_conversations(connection, rows, self._link, for_export=True)
            yield from portion

    def export_selected(self, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the whole conversations of these database ids, as `export_conversations` does; others are left out."""
        for start in range(0, len(keys), _EXPORT_CHUNK):
            own = (
                conversations.c.agent_id == self._agent_id,
                conversations.c.id.in_(keys[start : start + _EXPORT_CHUNK]),
            )
            with self._database.read() as connection:
                rows = connection.execute(select(conversations).where(*own).order_by(conversations.c.id)).all()
                portion = shapes.load_conversations(connection, rows, self._link, for_export=True)
            yield from portion

    def known_event_ids(self, event_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return, for those events that are stored as messages, the message's id and its conversation's database id."""
        wanted = {raw: text for text in event_ids if (raw := _event_bytes(text)) is not None}
        raws = list(wanted)
        known: dict[str, dict[str, Any]] = {}
        agent_id = self._agent_id
        with self._database.read() as connection:
            for start in range(0, len(raws), _IDS_PER_STATEMENT):
                statement = select(messages.c.event_id, messages.c.id, messages.c.conversation_pk).where(
                    messages.c.agent_id == agent_id,
                    messages.c.event_id.in_(raws[start : start + _IDS_PER_STATEMENT]),
                )
                for raw, row_id, conversation_pk in connection.execute(statement):
                    known[wanted[raw]] = {"id": row_id, "conversation": conversation_pk}
        return known

    def known_conversation(self, conversation_id: str) -> dict[str, Any]:
        """Return ``{"id", "conversation_id"}`` of a conversation; empty if there is none."""
        with self._database.read() as connection:
            try:
                key = edit.resolve(connection, self._agent_id, conversation_id)
            except NotFoundException:
                return {}
        return {"id": key, "conversation_id": conversation_id}

    # -- writing ------------------------------------------------------------------------------------------------

    def ingest(self, events: Sequence[AnyEvent]) -> list[Answer]:
        """Let events into the store for this backend's agent; an event twice changes nothing."""
        return ingest(self._database, events, agent=self._agent, geo=self._geo)

    def end_conversation(
        self, conversation_id: int | str, action_name: str, note: str | None, *, event_id: str, at_us: int
    ) -> dict[str, Any]:
        """Record that the conversation was resolved or handed over, as the action that says so.

        Returns ``{"id", "conversation_id", "action_name"}``.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is no such conversation.
        """
        with self._database.read() as connection:
            row = self.row(connection, conversation_id)
        metadata = lifecycle_metadata(action_name, note)
        told = Action(event_id, row.conversation_id, at_us, action_name, at_us, at_us, 0.0, metadata=metadata)
        (answer,) = self.ingest([told])
        if answer.status == "rejected":
            raise InvalidConversationDataException(f"This cannot be stored: {answer.reason}.")
        return {"id": row.id, "conversation_id": row.conversation_id, "action_name": action_name}

    def submit_feedback(
        self,
        conversation_id: int | str,
        sentiment: str,
        comment: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        event_id: str,
        at_us: int,
    ) -> dict[str, Any]:
        """Store a customer's feedback and return it; the same `event_id` a second time changes nothing.

        Raises:
            InvalidQueryException: an empty id, an unknown sentiment, or metadata that is not JSON.
            InvalidConversationDataException: a comment of more than 5,000 characters.
            NotFoundException: there is no such conversation.
        """
        judged, text, document = check_judgement(sentiment, comment, metadata)
        with self._database.read() as connection:
            row = self.row(connection, conversation_id)
        event = Feedback(event_id, row.conversation_id, at_us, judged, "customer", text, document)
        (answer,) = self.ingest([event])
        if answer.status == "rejected":
            raise InvalidConversationDataException(f"The feedback was not stored: {answer.reason}")
        agent_id, raw = self._agent_id, bytes.fromhex(event_id)
        with self._database.read() as connection:
            by_event = select(feedbacks).where(feedbacks.c.agent_id == agent_id, feedbacks.c.event_id == raw)
            stored = connection.execute(by_event).one()
        return {**shapes.feedback_shape(stored), "conversation": stored.conversation_pk}

    def rename_conversation(self, conversation_id: int | str, name: str) -> dict[str, Any]:
        """Set the name, 1 to 255 characters without the spaces around it.

        Raises:
            InvalidQueryException: an empty id.
            InvalidConversationDataException: the name is blank or too long.
            NotFoundException: there is no such conversation.
        """
        trimmed = check_name(name)
        return edit.rename_conversation(self._database, self._agent_id, self._key(conversation_id), trimmed)

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> dict[str, Any]:
        """Set or clear the mark.

        Raises:
            InvalidQueryException: an empty id, or not a yes or no.
            NotFoundException: there is no such conversation.
        """
        flag = parameters.read_flag("is_marked", is_marked)
        return edit.mark_conversation(self._database, self._agent_id, self._key(conversation_id), flag)

    def delete_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Hide the conversation from lists and metrics; deleting it again changes nothing.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is no such conversation.
        """
        return edit.delete_conversation(self._database, self._agent_id, self._key(conversation_id))

    def update_conversation(
        self,
        conversation_id: int | str,
        *,
        name: str | None = None,
        is_marked: bool | None = None,
        customer_id: str | None = None,
        device: str | None = None,
        language: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Overwrite the given fields; `metadata` replaces the whole document, and None leaves a field as it is.

        Raises:
            InvalidQueryException: an empty id, nothing to update, or a value that cannot be read.
            InvalidConversationDataException: a text that is too long, or a blank name.
            NotFoundException: there is no such conversation.
        """
        fields = check_changes(
            name=name,
            is_marked=is_marked,
            customer_id=customer_id,
            device=device,
            language=language,
            metadata=metadata,
        )
        return edit.update_conversation(self._database, self._agent_id, self._key(conversation_id), fields)

    # -- erasing -------------------------------------------------------------------------------------------------

    def erase(
        self, *, conversation_id: int | str | None = None, customer_id: str | None = None, at_us: int
    ) -> dict[str, Any]:
        """Remove a conversation, or all of a customer, to the last byte; see `store.erasure`.

        Returns:
            The receipt, with the text ids of the conversations and the digests of their attachments.

        Raises:
            InvalidQueryException: not exactly one of the two ids, or an empty one.
            NotFoundException: there is no conversation with this integer id.
        """
        wanted, customer = parameters.read_subject(conversation_id, customer_id)
        database, agent_id = self._database, self._agent_id
        erasure.resume(database, lambda *_: self._folder, wait_s=0.0)
        if customer is not None:
            asked = erasure.request_customer(database, agent_id, customer, at_us)
        else:
            if isinstance(wanted, int):
                with database.read() as connection:
                    wanted = self.row(connection, wanted).conversation_id
            asked = erasure.request_conversation(database, agent_id, str(wanted), at_us)
        receipt = erasure.run(database, asked.number, lambda *_: self._folder, wait_s=_ERASE_WAIT_S)
        return {**receipt.shape(), "conversation_ids": asked.conversation_ids, "attachment_sha256": asked.digests}

    def erasures(self) -> list[dict[str, Any]]:
        """Return the latest receipts, newest first, at most 100."""
        return [receipt.shape() for receipt in erasure.receipts(self._database, self._agent_id)]

    def forget_contents(self, digests: Sequence[str], at_us: int) -> None:
        """Remove attachments that no conversation has, written before `at_us`."""
        with self._database.write() as connection:
            lone = erasure.unreferenced(connection, self._agent_id, digests)
            erasure.remove_files(self._folder, lone, at_us)

    def tidy(self, retention_days: float | None, *, wait_s: float) -> list[dict[str, Any]]:
        """Go on with unfinished erasures and erase what has expired, for about `wait_s` seconds; return receipts."""
        done = erasure.resume(self._database, self._folder.of_agent, wait_s=wait_s)
        if retention_days is not None:
            done += erasure.expire(self._database, retention_days, self._folder.of_agent, wait_s=wait_s)
        return [receipt.shape() for receipt in done]

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens new ones."""
        self._database.close()

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


def _event_bytes(text: object) -> bytes | None:
    """Return the 16 bytes of an event id, or None for what is none."""
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return raw if len(raw) == 16 else None
