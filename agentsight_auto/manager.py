"""`ConversationManager`: the documented client that edits conversations and takes feedback."""

from __future__ import annotations

from typing import Any, TypeVar

from . import _runtime
from ._erasure import erase
from .enums import Sentiment
from .events import ESCALATED_BY, RESOLVED_BY, Action, ConversationStarted, Event, Feedback, lifecycle_metadata
from .exceptions import InvalidConversationDataException
from .query.edit_values import check_changes, check_judgement
from .snapshot.redaction import mask_secrets

E = TypeVar("E", bound=Event)


class ConversationManager:
    """Edit conversations by text id or integer id, on the embedded store or the API that is configured.

    Each method first delivers what this process has recorded. Every one raises `NotFoundException` for an unknown id
    and `InvalidQueryException` for an empty one.

    Raises:
        ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: an argument that cannot be
            used.
    """

    def __init__(self, api_key: str | None = None, endpoint: str | None = None, **settings: Any) -> None:
        given = {"api_key": api_key, "endpoint": endpoint, **settings}
        has_own = any(value is not None for value in given.values())
        self._own_runtime = _runtime.Runtime(**given) if has_own else None

    @property
    def _runtime(self) -> _runtime.Runtime:
        return self._own_runtime or _runtime.default()

    def configure(self, api_key: str | None = None, endpoint: str | None = None, **settings: Any) -> None:
        """Change settings at run time.

        Raises:
            ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: nothing is changed.
        """
        self._runtime.configure(api_key=api_key, endpoint=endpoint, **settings)

    def submit_feedback(
        self,
        conversation_id: int | str,
        sentiment: str | Sentiment,
        comment: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Store a customer's judgement, with a comment of at most 5,000 characters.

        `sentiment` is ``positive``, ``neutral`` or ``negative``.
        Returns ``{"id", "conversation", "sentiment", "source", "comment", "metadata", "created_at"}``.

        Raises:
            InvalidQueryException: an unknown sentiment.
            InvalidConversationDataException: too long a comment.
        """
        runtime = self._runtime
        backend = runtime.backend()
        at_us = runtime.clock.now_us()
        event_id = runtime.ids.next(at_us)
        if not runtime.settings.disabled:
            judged, text, document = check_judgement(sentiment, comment, metadata)
            event = Feedback(event_id, str(conversation_id), at_us, judged, "customer", text, mask_secrets(document))
            kept = self._processed(event)
            sentiment, comment, metadata = kept.sentiment, kept.comment, kept.metadata
        return backend.submit_feedback(conversation_id, sentiment, comment, metadata, event_id=event_id, at_us=at_us)

    def resolve_conversation(self, conversation_id: int | str, note: str | None = None) -> dict[str, Any]:
        """Record that the conversation has reached its purpose; returns ``{"id", "conversation_id", "action_name"}``.

        A later message of the customer reopens it.
        """
        return self._end(conversation_id, RESOLVED_BY, note)

    def escalate_conversation(self, conversation_id: int | str, reason: str | None = None) -> dict[str, Any]:
        """Record that a human takes over; returns ``{"id", "conversation_id", "action_name"}``.

        It is the documented action `fallback_to_human`. A later message of the customer reopens the conversation.
        """
        return self._end(conversation_id, ESCALATED_BY, reason)

    def _end(self, conversation_id: int | str, action_name: str, note: str | None) -> dict[str, Any]:
        runtime = self._runtime
        at_us = runtime.clock.now_us()
        event_id = runtime.ids.next(at_us)
        if note is not None and not runtime.settings.disabled:
            told = lifecycle_metadata(action_name, note)
            kept = self._processed(Action(event_id, str(conversation_id), at_us, action_name, metadata=told))
            note = (kept.metadata or {}).get("reason")
        return runtime.backend().end_conversation(conversation_id, action_name, note, event_id=event_id, at_us=at_us)

    def rename_conversation(self, conversation_id: int | str, name: str) -> dict[str, Any]:
        """Set the name, 1 to 255 characters; returns ``{"id", "conversation_id", "name"}``.

        Raises:
            InvalidConversationDataException: a blank or too long name.
        """
        backend = self._runtime.backend()
        return backend.rename_conversation(conversation_id, self._checked(conversation_id, name=name)["name"])

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> dict[str, Any]:
        """Set or clear the mark; returns ``{"id", "conversation_id", "is_marked"}``."""
        return self._runtime.backend().mark_conversation(conversation_id, is_marked)

    def delete_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Hide the conversation; returns ``{"id", "conversation_id", "is_deleted", "deleted_at"}``."""
        return self._runtime.backend().delete_conversation(conversation_id)

    def erase_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Remove a conversation to the last byte: store, search, attachments, outbox, rejected events.

        What of it was captured until now and is still on its way is not stored any more. An id that is not stored is
        refused in the same way. Takes seconds where other processes are about to deliver some of it.

        Returns ``{"id", "subject", "requested_at", "finished_at", "conversations", "messages", "attachments",
        "outbox": {"waiting_events", "rejected_events", "damaged_copies", "left_to_processes"}, "conversation_ids"}``;
        `finished_at` is None while the store still removes.

        Raises:
            NotFoundException: there is no conversation with this integer id.
        """
        return erase(self._runtime, conversation_id=conversation_id)

    def erase_customer(self, customer_id: str) -> dict[str, Any]:
        """Remove all conversations of a customer to the last byte; returns what `erase_conversation` returns."""
        return erase(self._runtime, customer_id=customer_id)

    def update_conversation(
        self,
        conversation_id: int | str,
        name: str | None = None,
        is_marked: bool | None = None,
        customer_id: str | None = None,
        device: str | None = None,
        language: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Overwrite the given fields, at least one; `metadata` replaces the whole document.

        Returns ``{"id", "conversation_id", changed fields..., "updated_fields"}``.

        Raises:
            InvalidQueryException: nothing to update.
            InvalidConversationDataException: a blank or too long name.
        """
        given = {
            "name": name,
            "is_marked": is_marked,
            "customer_id": customer_id,
            "device": device,
            "language": language,
            "metadata": metadata,
        }
        backend = self._runtime.backend()
        return backend.update_conversation(conversation_id, **{**given, **self._checked(conversation_id, **given)})

    def _checked(self, conversation_id: int | str, **given: Any) -> dict[str, Any]:
        """Return the fields of an edit as processors leave them: to them an edit is what is known of a conversation."""
        runtime = self._runtime
        if runtime.settings.disabled:
            return given
        unset = dict.fromkeys(("name", "is_marked", "customer_id", "device", "language", "metadata"))
        fields = check_changes(**{**unset, **given})
        texts = {name: value for name, value in fields.items() if name != "is_marked"}
        if "metadata" in texts:
            texts["metadata"] = mask_secrets(texts["metadata"])
        at_us = runtime.clock.now_us()
        event = ConversationStarted(runtime.ids.next(at_us), str(conversation_id), at_us, **texts)
        kept = self._processed(event)
        return {**fields, **{name: getattr(kept, name) for name in texts}}

    def _processed(self, event: E) -> E:
        """Return an event that is sent at once as processors leave it.

        Raises:
            InvalidConversationDataException: one of them drops it.
        """
        processing = self._runtime.processing
        kept = event if processing is None else processing.apply(event)
        if kept is None:
            raise InvalidConversationDataException("A processor has dropped this edit: nothing was sent or stored.")
        return kept


conversation_manager = ConversationManager()
"""The ready-made manager, with the library's settings."""
