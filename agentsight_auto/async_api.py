"""`AsyncAgentSightAPI`: the documented client that reads conversations, for programs on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import Self

from . import _runtime
from ._opening import open_remote_async
from .api import cursor_of

if TYPE_CHECKING:
    from types import TracebackType

    from ._runtime import Runtime
    from .query.remote import AsyncRemoteReader

T = TypeVar("T", bound="AsyncAgentSightAPI")

_CLOSE_WAIT_S = 2.0


class AsyncAgentSightAPI:
    """Read conversations without blocking the event loop: parameters, results and exceptions of `AgentSightAPI`.

    A remote API is asked over connections of the running loop, the embedded store in a thread. Use it with
    ``async with``, or call `aclose` at the end.

    Raises:
        ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: an argument that cannot be
            used.
    """

    def __init__(self, api_key: str | None = None, endpoint: str | None = None, **settings: Any) -> None:
        given = {"api_key": api_key, "endpoint": endpoint, **settings}
        has_own = any(value is not None for value in given.values())
        self._own_runtime = _runtime.Runtime(**given) if has_own else None
        self._reader: AsyncRemoteReader | None = None
        self._reader_of: tuple[str | None, str | None] | None = None

    @property
    def _runtime(self) -> Runtime:
        return self._own_runtime or _runtime.default()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this client; a later call opens others."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.aclose()
        if self._own_runtime is not None:
            await asyncio.to_thread(self._own_runtime.shutdown, _CLOSE_WAIT_S)

    def configure(self, api_key: str | None = None, endpoint: str | None = None, **settings: Any) -> None:
        """Change settings at run time.

        Raises:
            ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: nothing is changed.
        """
        self._runtime.configure(api_key=api_key, endpoint=endpoint, **settings)

    async def fetch_conversations(
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
        """Return one page of whole conversations, newest first: see `AgentSightAPI.fetch_conversations`.

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
        arguments = {"page": page, "page_size": page_size, "cursor": cursor_of(cursor), "count": count}
        return await self._ask("fetch_conversations", filters=filters, **arguments)

    async def iter_conversations(self, **filters: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield every conversation that matches, newest first, page by page; filters as in `fetch_conversations`.

        Raises:
            InvalidQueryException: a value that cannot be read.
        """
        page_size = filters.pop("page_size", 100)
        page = await self.fetch_conversations(page_size=page_size, count=False, **filters)
        while True:
            for conversation in page["results"]:
                yield conversation
            if page["next"] is None:
                return
            page = await self.fetch_conversations(page_size=page_size, count=False, cursor=page["next"], **filters)

    async def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation with everything, a deleted one too; an int is the database id, text the text id.

        Raises:
            NotFoundException: there is none.
            InvalidQueryException: an empty id.
        """
        return await self._ask("fetch_conversation", conversation_id=conversation_id)

    async def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return the attachments of a conversation by message, with ``file_url``.

        Raises:
            NotFoundException: there is no such conversation.
            InvalidQueryException: an empty id.
        """
        return await self._ask("fetch_conversation_attachments", conversation_id=conversation_id)

    async def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        runtime = self._runtime
        backend = await asyncio.to_thread(runtime.backend)  # delivers first what this process has recorded
        if not runtime.settings.is_remote or runtime.settings.disabled:
            result: dict[str, Any] = await asyncio.to_thread(getattr(backend, method), **arguments)
            return result
        asked: dict[str, Any] = await getattr(self._remote_reader(runtime), method)(**arguments)
        return asked

    def _remote_reader(self, runtime: Runtime) -> AsyncRemoteReader:
        """Return what asks the remote API of the present settings."""
        settings = runtime.settings
        wanted = (settings.endpoint, settings.api_key)
        if self._reader is None or self._reader_of != wanted:
            self._reader, self._reader_of = open_remote_async(settings), wanted
        return self._reader
