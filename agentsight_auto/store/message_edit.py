"""Replace the metadata of a message, the one thing of it that may be edited.

In: an agent, a message's database id, a document. Out: nothing. Loses: the document that was there before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.store.event_rows import json_text
from agentsight_auto.store.schema import messages

if TYPE_CHECKING:
    from agentsight_auto.store.database import Database


def replace_metadata(database: Database, agent_id: int, message_id: int, document: dict[str, Any]) -> None:
    """Set a message's metadata document.

    Raises:
        NotFoundException: this agent has no such message.
    """
    own = (messages.c.agent_id == agent_id, messages.c.id == message_id)
    with database.write() as connection:
        changed = connection.execute(update(messages).where(*own).values(metadata=json_text(document)))
        if not changed.rowcount:
            raise NotFoundException(f"Message {message_id} not found")
