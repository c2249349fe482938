"""`ConversationManager`: the documented client that edits conversations and takes feedback."""

from __future__ import annotations

from typing import Any

from . import _runtime
from .enums import Sentiment
from .events import ESCALATED_BY, RESOLVED_BY


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
        at_us = runtime.clock.now_us()
        return runtime.backend().submit_feedback(
            conversation_id,
            sentiment,
            comment,
            metadata,
            event_id=runtime.ids.next(at_us),
            at_us=at_us,
        )

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
        return runtime.backend().end_conversation(conversation_id, action_name, note, event_id=event_id, at_us=at_us)

    def rename_conversation(self, conversation_id: int | str, name: str) -> dict[str, Any]:
        """Set the name, 1 to 255 characters; returns ``{"id", "conversation_id", "name"}``.

        Raises:
            InvalidConversationDataException: a blank or too long name.
        """
        return self._runtime.backend().rename_conversation(conversation_id, name)

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> dict[str, Any]:
        """Set or clear the mark; returns ``{"id", "conversation_id", "is_marked"}``."""
        return self._runtime.backend().mark_conversation(conversation_id, is_marked)

    def delete_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Hide the conversation; returns ``{"id", "conversation_id", "is_deleted", "deleted_at"}``."""
        return self._runtime.backend().delete_conversation(conversation_id)

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
        return self._runtime.backend().update_conversation(
            conversation_id,
            name=name,
            is_marked=is_marked,
            customer_id=customer_id,
            device=device,
            language=language,
            metadata=metadata,
        )


conversation_manager = ConversationManager()
"""The ready-made manager, with the library's settings."""
