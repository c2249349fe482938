"""Attachments that arrive after the message they belong to.

In: an agent, a message's database id, references. Out: rows. Loses: nothing; the same content under the same name on
the same message is one attachment, so that a request that is sent twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.store.bulk import insert_rows
from agentsight_auto.store.event_rows import attachment_type
from agentsight_auto.store.schema import attachments, messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentsight_auto.events import AttachmentRef
    from agentsight_auto.store.database import Database


def add_attachments(database: Database, agent_id: int, message_id: int, refs: Sequence[AttachmentRef]) -> None:
    """Hang attachments on a message that is stored.

    Raises:
        NotFoundException: this agent has no such message.
    """
    own = (messages.c.agent_id == agent_id, messages.c.id == message_id)
    with database.write() as connection:
        conversation_pk = connection.execute(select(messages.c.conversation_pk).where(*own)).scalar()
        if conversation_pk is None:
            raise NotFoundException(f"Message {message_id} not found")
        there = select(attachments.c.sha256, attachments.c.filename).where(attachments.c.message_id == message_id)
        known = {(row.sha256, row.filename) for row in connection.execute(there)}
        news = {(ref.sha256, ref.filename): ref for ref in refs if (ref.sha256, ref.filename) not in known}
        rows = [
            (agent_id, conversation_pk, message_id, attachment_type(ref.mime_type), ref.filename, ref.mime_type,
             ref.size_bytes, ref.sha256)
            for ref in news.values()
        ]  # fmt: skip
        insert_rows(connection, attachments, rows)
