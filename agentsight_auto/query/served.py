"""What the HTTP API asks of the store beyond the documented clients: lean lists, one row by id or event, metadata.

In: ids as a URL or a body gave them. Out: plain values in the documented shapes. Loses: nothing.
Everything is asked for one agent: what belongs to another is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Select, select

from agentsight_auto.events import AttachmentRef
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query import conversations as shapes
from agentsight_auto.query import served_details, served_shapes
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store import edit, message_attachments
from agentsight_auto.store.database import Database
from agentsight_auto.store.metadata_index import index_rows
from agentsight_auto.store.schema import (
    agents,
    attachments,
    conversations,
    messages,
    metadata_values,
    token_usages,
)
from agentsight_auto.store.spans import Archived, Told, archive

MOST_NAMES = 200
"""Entries of a list of metadata keys or values."""
_SAMPLE = 1000


class ServedBackend(EmbeddedBackend):
    """The documented reads and edits for one agent, and what else the server's routes need."""

    @property
    def agent_id(self) -> int:
        """The agent's id in the store."""
        return self._agent_id

    @property
    def agent_name(self) -> str:
        """The agent's name."""
        return self._agent

    def _load(self, connection: Connection, rows: Sequence[Row[Any]], *, full: bool) -> list[shapes.Shape]:
        counts = served_shapes.feedback_counts(connection, [row.id for row in rows])
        loaded = super()._load(connection, rows, full=full)
        if full:
            loaded = [served_shapes.dress_contents(shape, row) for shape, row in zip(loaded, rows, strict=True)]
            served_details.fill_conversations(connection, self._agent_id, loaded)
        return [
            served_shapes.dress_summary(shape, row, counts.get(row.id, 0))
            for shape, row in zip(loaded, rows, strict=True)
        ]

    def fetch_summary(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation without what was said in it.

        Raises:
            NotFoundException: this agent has no such conversation.
        """
        with self._database.read() as connection:
            return self._load(connection, [self.row(connection, conversation_id)], full=False)[0]

    def find_conversation(self, conversation_id: int | str) -> tuple[int, str]:
        """Return database id and text id; an int is the database id, text the text id.

        Raises:
            NotFoundException: this agent has no such conversation.
        """
        with self._database.read() as connection:
            row = self.row(connection, conversation_id)
            return row.id, row.conversation_id

    def archive(self, told: Told) -> Archived:
        """Archive spans of one conversation for this backend's agent, with what they tell."""
        return archive(self._database, told, agent=self._agent, geo=self._geo)

    def has_environment(self, slug: str) -> bool:
        """Tell whether the agent has a conversation in this environment."""
        found = (conversations.c.agent_id == self._agent_id, conversations.c.environment == slug)
        with self._database.read() as connection:
            return connection.execute(select(conversations.c.id).where(*found).limit(1)).scalar() is not None

    # -- messages and events -------------------------------------------------------------------------------------

    def row_id_of_event(self, event_id: str, *, is_usage: bool = False) -> int:
        """Return the database id of the message, or the token usage, that this event became.

        Raises:
            NotFoundException: it became none.
        """
        table = token_usages if is_usage else messages
        query = select(table.c.id).where(
            table.c.agent_id == self._agent_id, table.c.event_id == bytes.fromhex(event_id)
        )
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        if found is None:
            raise NotFoundException(f"There is nothing of the event {event_id}.")
        return int(found)

    def fetch_message(self, message_id: int) -> dict[str, Any]:
        """Return one message with everything that hangs on it.

        Raises:
            NotFoundException: this agent has no such message.
        """
        with self._database.read() as connection:
            row = self._message_row(connection, message_id)
            message = served_shapes.dress_message(shapes.load_message(connection, row, self._link), row.conversation_pk)
            served_details.fill_messages(connection, self._agent_id, [message])
            return message

    def add_attachments(self, message_id: int, refs: Sequence[AttachmentRef]) -> None:
        """Hang attachments on a message that is stored; the same content of the same name again changes nothing.

        Raises:
            NotFoundException: this agent has no such message.
        """
        message_attachments.add_attachments(self._database, self._agent_id, message_id, refs)

    def _message_row(self, connection: Connection, message_id: int) -> Row[Any]:
        query = select(messages).where(messages.c.agent_id == self._agent_id, messages.c.id == message_id)
        row = connection.execute(query).one_or_none() if 0 < message_id <= edit.MAX_ROW_ID else None
        if row is None:
            raise NotFoundException(f"Message {message_id} not found")
        return row

    def latest_token_usage(self, conversation_id: str) -> tuple[int, dict[str, Any]] | None:
        """Return id and metadata of the token usage that last told cumulative counters, None if none did."""
        query = (
            select(token_usages.c.id, token_usages.c.metadata)
            .join(conversations, conversations.c.id == token_usages.c.conversation_pk)
            .where(
                conversations.c.agent_id == self._agent_id,
                conversations.c.conversation_id == conversation_id,
                token_usages.c.metadata.is_not(None),
            )
            .order_by(token_usages.c.id.desc())
        )
        with self._database.read() as connection:
            for row in connection.execute(query):
                document = msgspec.json.decode(row.metadata)
                if "cumulative" in document:
                    return row.id, document
        return None

    # -- metadata ------------------------------------------------------------------------------------------------

    def metadata_keys(self) -> list[str]:
        """Return the dotted paths in the metadata of recent conversations, in order, at most 200."""
        path = metadata_values.c.path
        query = select(path).where(metadata_values.c.conversation_pk.in_(self._recent())).distinct().order_by(path)
        return self._names(query)

    def metadata_values(self, key: str) -> list[str]:
        """Return the values at a dotted path in the metadata of recent conversations, as text, at most 200."""
        value = metadata_values.c.value_text
        there = (metadata_values.c.conversation_pk.in_(self._recent()), metadata_values.c.path == key)
        return self._names(select(value).where(*there).distinct().order_by(value))

    def message_metadata_keys(self) -> list[str]:
        """Return the dotted paths in the metadata of recent messages, in order, at most 200."""
        column = messages.c.metadata
        query = select(column).where(messages.c.agent_id == self._agent_id, column.is_not(None))
        with self._database.read() as connection:
            documents = connection.execute(query.order_by(messages.c.id.desc()).limit(_SAMPLE)).scalars().all()
        paths = {path for document in documents for path, _ in index_rows(msgspec.json.decode(document))}
        return sorted(paths)[:MOST_NAMES]

    def _recent(self) -> Select[Any]:
        shown = (conversations.c.agent_id == self._agent_id, conversations.c.is_deleted.is_(False))
        return select(conversations.c.id).where(*shown).order_by(conversations.c.id.desc()).limit(_SAMPLE)

    def _names(self, query: Select[Any]) -> list[str]:
        with self._database.read() as connection:
            return list(connection.execute(query.limit(MOST_NAMES)).scalars())


class StoredFile(NamedTuple):
    """An attachment's content: its digest, what it is called and said to be, and the name of its agent."""

    sha256: str
    filename: str
    mime_type: str
    agent: str


def find_attachment(database: Database, agent_id: int, attachment_id: int) -> StoredFile | None:
    """Return the content of an agent's attachment, or None."""
    query = (
        select(attachments.c.sha256, attachments.c.filename, attachments.c.mime_type, agents.c.name)
        .join(agents, agents.c.id == attachments.c.agent_id)
        .where(attachments.c.agent_id == agent_id, attachments.c.id == attachment_id)
    )
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else StoredFile(*row)
