"""What the clients ask of any place that keeps conversations: the seam between `api`, `manager` and the stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol


class Backend(Protocol):
    """Queries and edits; arguments and results are those of the documented API."""

    def fetch_conversations(
        self, *, page: int, page_size: int, cursor: str | None, count: bool, filters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return one page: ``{"count", "next", "previous", "results"}``."""

    def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation with everything."""

    def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return the attachments of one conversation, by message."""

    def submit_feedback(
        self,
        conversation_id: int | str,
        sentiment: str,
        comment: str | None,
        metadata: dict[str, Any] | None,
        *,
        event_id: str,
        at_us: int,
    ) -> dict[str, Any]:
        """Store a feedback and return it."""

    def end_conversation(
        self, conversation_id: int | str, action_name: str, note: str | None, *, event_id: str, at_us: int
    ) -> dict[str, Any]:
        """Record the action that resolves a conversation or hands it over."""

    def rename_conversation(self, conversation_id: int | str, name: str) -> dict[str, Any]:
        """Set the name."""

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> dict[str, Any]:
        """Set or clear the mark."""

    def delete_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Hide the conversation."""

    def update_conversation(
        self,
        conversation_id: int | str,
        *,
        name: str | None,
        is_marked: bool | None,
        customer_id: str | None,
        device: str | None,
        language: str | None,
        metadata: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Overwrite the given fields."""

    def stats(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the documented metrics."""

    def export_conversations(self, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield whole conversations, oldest first."""

    def erase(self, *, conversation_id: int | str | None, customer_id: str | None, at_us: int) -> dict[str, Any]:
        """Remove what was captured up to `at_us` to the last byte, and return the receipt."""

    def forget_contents(self, digests: Sequence[str], at_us: int) -> None:
        """Remove attachments that nothing recorded has any more."""

    def close(self) -> None:
        """Release connections."""
