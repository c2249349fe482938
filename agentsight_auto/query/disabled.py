"""The backend of AGENTSIGHT_DISABLED=1: documented shapes with nothing in them, no file, no thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TEXT_FIELDS = (
    "name", "customer_id", "customer_ip_address", "device", "source", "language", "environment",
    "started_at", "ended_at", "deleted_at",
)  # fmt: skip


class DisabledBackend:
    """Answer every query and edit with an empty result of the documented shape."""

    def fetch_conversations(self, **_: Any) -> dict[str, Any]:
        """Return an empty page."""
        return {"count": 0, "next": None, "previous": None, "results": []}

    def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return a conversation of which nothing is known."""
        fields: dict[str, Any] = dict.fromkeys(_TEXT_FIELDS)
        flags = dict.fromkeys(("is_marked", "is_deleted", "is_used"), False)
        empty: dict[str, Any] = {"metadata": {}, "geo_location": None, "messages": [], "feedbacks": [], "error": None}
        return {
            "id": None,
            "conversation_id": conversation_id,
            **fields,
            **flags,
            **empty,
            "token_usage": None,
            "cost": None,
        }

    def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return no attachments."""
        counts = {"total_attachments": 0, "attachment_count": 0}
        return {
            "conversation_id": conversation_id,
            "conversation": None,
            **counts,
            "messages": [],
            "attachments": [],
        }

    def submit_feedback(
        self,
        conversation_id: int | str,
        sentiment: str,
        comment: str | None,
        metadata: dict[str, Any] | None,
        **_: Any,
    ) -> dict[str, Any]:
        """Return the feedback as given, without an id."""
        return {
            "id": None,
            "conversation": None,
            "conversation_id": conversation_id,
            "sentiment": str(getattr(sentiment, "value", sentiment)),
            "source": "customer",
            "comment": comment,
            "metadata": metadata or {},
            "created_at": None,
        }

    def end_conversation(
        self, conversation_id: int | str, action_name: str, note: str | None, **_: Any
    ) -> dict[str, Any]:
        """Return the action that would have been recorded."""
        del note
        return {"id": None, "conversation_id": conversation_id, "action_name": action_name}

    def rename_conversation(self, conversation_id: int | str, name: str) -> dict[str, Any]:
        """Return the name as given."""
        return {"id": None, "conversation_id": conversation_id, "name": name}

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> dict[str, Any]:
        """Return the mark as given."""
        return {"id": None, "conversation_id": conversation_id, "is_marked": is_marked}

    def delete_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return that nothing was deleted."""
        return {"id": None, "conversation_id": conversation_id, "is_deleted": False, "deleted_at": None}

    def update_conversation(self, conversation_id: int | str, **fields: Any) -> dict[str, Any]:
        """Return the fields as given."""
        changed = {name: value for name, value in fields.items() if value is not None}
        return {"id": None, "conversation_id": conversation_id, **changed, "updated_fields": []}

    def stats(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return no metrics."""
        del filters
        return {}

    def export_conversations(self, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield nothing."""
        del filters
        return iter(())

    def erase(self, **_: Any) -> dict[str, Any]:
        """Return a receipt of nothing."""
        moments = {"requested_at": None, "finished_at": None}
        counts = dict.fromkeys(("conversations", "messages", "attachments"), 0)
        return {"id": None, "subject": None, **moments, **counts, "conversation_ids": [], "attachment_sha256": []}

    def forget_contents(self, digests: Sequence[str], at_us: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
