"""`AgentSightAPI`: the documented client that reads conversations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from . import _runtime


class AgentSightAPI:
    """Read conversations from the embedded store or the API that is configured.

    Each method first delivers what this process has recorded: one reads one's own writes.

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

    def fetch_conversations(
        self,
        page: int = 1,
        page_size: int = 10,
        conversation_id: str | None = None,
        customer_id: str | None = None,
        name: str | None = None,
        device: str | None = None,
        language: str | None = None,
        customer_ip_address: str | None = None,
        is_marked: bool | None = None,
        include_deleted: bool | None = None,
        started_at_after: datetime | str | None = None,
        started_at_before: datetime | str | None = None,
        has_messages: bool | None = None,
        message_contains: str | None = None,
        action_name: str | None = None,
        has_feedback: bool | None = None,
        feedback_sentiment: str | None = None,
        feedback_source: str | None = None,
        metadata: str | None = None,
        *,
        cursor: str | None = None,
        count: bool = True,
        **extra_params: Any,
    ) -> dict[str, Any]:
        """Return one page of whole conversations, newest first: ``{"count", "next", "previous", "results"}``.

        `name`, `message_contains`, `action_name` and ``customer_id__icontains`` match a part, in any case; the others
        match exactly. Times are datetimes or ISO 8601 text (local time without an offset) and inclusive. `metadata`
        is ``"key:value,key2:value2"``, nested keys as ``a.b:value``. `page_size` is at most 100. `cursor` takes the
        ``next`` or ``previous`` of another page, which is faster than a page number and neither repeats nor hides
        conversations while new ones arrive; ``count=False`` leaves the count out, which is faster too.

        Raises:
            NotFoundException: a page past the end, or page 0.
            InvalidQueryException: a value that cannot be read.
        """
        filters = {
            "conversation_id": conversation_id,
            "customer_id": customer_id,
            "name": name,
            "device": device,
            "language": language,
            "customer_ip_address": customer_ip_address,
            "is_marked": is_marked,
            "include_deleted": include_deleted,
            "started_at_after": started_at_after,
            "started_at_before": started_at_before,
            "has_messages": has_messages,
            "message_contains": message_contains,
            "action_name": action_name,
            "has_feedback": has_feedback,
            "feedback_sentiment": feedback_sentiment,
            "feedback_source": feedback_source,
            "metadata": metadata,
            **extra_params,
        }
        return self._runtime.backend().fetch_conversations(
            page=page, page_size=page_size, cursor=cursor_of(cursor), count=count, filters=filters
        )

    def iter_conversations(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield every conversation that matches, newest first, page by page; filters as in `fetch_conversations`.

        Conversations that arrive meanwhile neither repeat nor hide any.

        Raises:
            InvalidQueryException: a value that cannot be read.
        """
        page_size = filters.pop("page_size", 100)
        page = self.fetch_conversations(page_size=page_size, count=False, **filters)
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            page = self.fetch_conversations(page_size=page_size, count=False, cursor=page["next"], **filters)

    def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation with everything, a deleted one too; an int is the database id, text the text id.

        Raises:
            NotFoundException: there is none.
            InvalidQueryException: an empty id.
        """
        return self._runtime.backend().fetch_conversation(conversation_id)

    def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return the attachments of a conversation by message, with ``file_url``.

        Raises:
            NotFoundException: there is no such conversation.
            InvalidQueryException: an empty id.
        """
        return self._runtime.backend().fetch_conversation_attachments(conversation_id)


def cursor_of(cursor: str | None) -> str | None:
    """Return the cursor itself where a whole ``next`` or ``previous`` URL is given; the URL if it has none."""
    if not isinstance(cursor, str) or "?" not in cursor:
        return cursor
    return dict(parse_qsl(urlsplit(cursor).query)).get("cursor", cursor)


agentsight_api = AgentSightAPI()
"""The ready-made reading client, with the library's settings."""
