"""Answer the documented calls from the embedded store: what `embedded_reads` reads, and judge, edit and erase.

In: parameters as the documented clients give them. Out: plain JSON-ready values in the documented shapes.
Loses: nothing; what cannot be read or is not there is one of the documented exceptions, before anything is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from agentsight_auto.events import Action, Answer, AnyEvent, Feedback, lifecycle_metadata
from agentsight_auto.exceptions import (
    InvalidConversationDataException,
)
from agentsight_auto.query import conversations as shapes
from agentsight_auto.query import parameters
from agentsight_auto.query.edit_values import check_changes, check_judgement, check_name
from agentsight_auto.query.embedded_reads import EmbeddedReads
from agentsight_auto.store import edit, erasure
from agentsight_auto.store.ingest import ingest
from agentsight_auto.store.schema import feedbacks

_ERASE_WAIT_S = 5.0


class EmbeddedBackend(EmbeddedReads):
    """The documented reads and edits, over one store file and for one agent."""

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
