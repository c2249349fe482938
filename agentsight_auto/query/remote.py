"""Answer the documented calls from a remote API: the same signatures, results and exceptions as the embedded store.

In: parameters as the documented clients give them. Out: what the API answers, in the documented shapes.
Loses: nothing; what is not answered is one of the documented exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from agentsight_auto._http.async_client import AsyncHttpClient
from agentsight_auto._http.client import HttpClient
from agentsight_auto._http.messages import NoAnswer, Reply, Request
from agentsight_auto.exceptions import ConversationApiException, ConversationNetworkException
from agentsight_auto.query.remote_calls import Call, RemoteCalls

T = TypeVar("T")
_EXPORT_PAGE = 100


class RemoteBackend:
    """The documented reads and edits, over one API and with one key. May be used by several threads.

    Every method raises `ConversationNetworkException` when no usable answer comes within 10 s, and
    `UnauthorizedException` or `ForbiddenException` where the key is not accepted or its role does not allow it.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._calls = RemoteCalls(client.endpoint)

    def fetch_conversations(
        self, *, page: int, page_size: int, cursor: str | None, count: bool, filters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return one page of whole conversations: ``count``, ``next``, ``previous`` and ``results``.

        Raises:
            InvalidQueryException: a parameter that cannot be read.
            NotFoundException: page 0, or beyond the last one.
        """
        call = self._calls.fetch_conversations(
            page=page, page_size=page_size, cursor=cursor, count=count, filters=filters
        )
        return self._carry_out(call)

    def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation with everything, also a deleted one; an int is the database id, text the text id.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is none.
        """
        return self._carry_out(self._calls.fetch_conversation(conversation_id))

    def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return a conversation's attachments, with the URLs that the API gives.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is no such conversation.
        """
        return self._carry_out(self._calls.fetch_conversation_attachments(conversation_id))

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
        """Store a customer's feedback and return it; the documented route has no place for `event_id` and `at_us`.

        Raises:
            InvalidQueryException: an empty id, an unknown sentiment, or metadata that is not JSON.
            InvalidConversationDataException: a comment of more than 5,000 characters.
            NotFoundException: there is no such conversation.
        """
        del event_id, at_us
        return self._carry_out(self._calls.submit_feedback(conversation_id, sentiment, comment, metadata))

    def end_conversation(
        self, conversation_id: int | str, action_name: str, note: str | None, *, event_id: str, at_us: int
    ) -> dict[str, Any]:
        """Record the action that resolves a conversation or hands it over, on the documented route of actions.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is no such conversation.
        """
        del event_id
        return self._carry_out(self._calls.end_conversation(conversation_id, action_name, note, at_us))

    def rename_conversation(self, conversation_id: int | str, name: str) -> dict[str, Any]:
        """Set the name, 1 to 255 characters without the spaces around it.

        Raises:
            InvalidQueryException: an empty id.
            InvalidConversationDataException: the name is blank or too long.
            NotFoundException: there is no such conversation.
        """
        return self._carry_out(self._calls.rename_conversation(conversation_id, name))

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> dict[str, Any]:
        """Set or clear the mark.

        Raises:
            InvalidQueryException: an empty id, or not a yes or no.
            NotFoundException: there is no such conversation.
        """
        return self._carry_out(self._calls.mark_conversation(conversation_id, is_marked))

    def delete_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Hide the conversation from lists and metrics.

        Raises:
            InvalidQueryException: an empty id.
            NotFoundException: there is no such conversation.
        """
        return self._carry_out(self._calls.delete_conversation(conversation_id))

    def update_conversation(self, conversation_id: int | str, **changes: Any) -> dict[str, Any]:
        """Overwrite the given fields; `metadata` replaces the whole document, and None leaves a field as it is.

        Raises:
            InvalidQueryException: an empty id, nothing to update, or a value that cannot be read.
            InvalidConversationDataException: a text that is too long, or a blank name.
            NotFoundException: there is no such conversation.
        """
        return self._carry_out(self._calls.update_conversation(conversation_id, changes))

    def erase(
        self, *, conversation_id: int | str | None = None, customer_id: str | None = None, at_us: int
    ) -> dict[str, Any]:
        """Remove a conversation, or all of a customer, to the last byte; the server's own clock says until when.

        Raises:
            InvalidQueryException: not exactly one of the two ids, or an empty one.
            NotFoundException: there is no conversation with this integer id, or the API has no such route.
        """
        del at_us
        return self._carry_out(self._calls.erase(conversation_id, customer_id))

    def forget_contents(self, digests: Sequence[str], at_us: int) -> None:
        """Do nothing: the server removes its own."""

    def stats(self, filters: Mapping[str, Any]) -> NoReturn:
        """Refuse: the documented API has no route for metrics.

        Raises:
            ConversationApiException: always, with the status 501.
        """
        del filters
        message = (
            "Metrics are computed where the conversations are stored. Run `agentsight-auto stats` on that machine, "
            "without AGENTSIGHT_API_KEY and AGENTSIGHT_API_ENDPOINT."
        )
        raise ConversationApiException(message, 501, {"detail": message})

    def export_conversations(self, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield whole conversations, the oldest first, page by page.

        Without the event ids of the embedded store's own export, which the documented routes do not tell.
        """
        wanted = {**filters, "ordering": "started_at"}
        place: str | None = None
        while True:
            page = self.fetch_conversations(page=1, page_size=_EXPORT_PAGE, cursor=place, count=False, filters=wanted)
            yield from page["results"]
            place = page["next"]
            if place is None or not page["results"]:
                return

    def known_conversation(self, conversation_id: str) -> dict[str, Any]:
        """Return ``{"id", "conversation_id"}`` of a conversation; empty if there is none."""
        return self._carry_out(self._calls.known_conversation(conversation_id))

    def known_event_ids(self, event_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return nothing: the documented routes do not know event ids."""
        del event_ids
        return {}

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        self._client.close()

    def _carry_out(self, call: Call[T]) -> T:
        try:
            request = next(call)
            while True:
                request = call.send(self._send(request))
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, request: Request) -> Reply:
        try:
            return self._client.send(request)
        except NoAnswer as error:
            if not (error.is_cut and request.method == "GET"):
                raise network_error(request, error) from error
        try:
            return self._client.send(request)  # the server had closed a kept connection
        except NoAnswer as error:
            raise network_error(request, error) from error


class AsyncRemoteReader:
    """The documented reads over one API, on an event loop: results and exceptions are those of `RemoteBackend`."""

    def __init__(self, client: AsyncHttpClient) -> None:
        self._client = client
        self._calls = RemoteCalls(client.endpoint)

    async def fetch_conversations(self, **arguments: Any) -> dict[str, Any]:
        """Return one page of whole conversations."""
        return await self._carry_out(self._calls.fetch_conversations(**arguments))

    async def fetch_conversation(self, conversation_id: int | str) -> dict[str, Any]:
        """Return one conversation with everything."""
        return await self._carry_out(self._calls.fetch_conversation(conversation_id))

    async def fetch_conversation_attachments(self, conversation_id: int | str) -> dict[str, Any]:
        """Return a conversation's attachments."""
        return await self._carry_out(self._calls.fetch_conversation_attachments(conversation_id))

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self._client.aclose()

    async def _carry_out(self, call: Call[T]) -> T:
        try:
            request = next(call)
            while True:
                request = call.send(await self._send(request))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, request: Request) -> Reply:
        try:
            return await self._client.send(request)
        except NoAnswer as error:
            if not (error.is_cut and request.method == "GET"):
                raise network_error(request, error) from error
        try:
            return await self._client.send(request)
        except NoAnswer as error:
            raise network_error(request, error) from error


def network_error(request: Request, error: NoAnswer) -> ConversationNetworkException:
    """Return the documented exception for an answer that did not come."""
    advice = "Check that the server runs and that AGENTSIGHT_API_ENDPOINT is its address."
    if request.method != "GET":
        advice += " Whether the change was made is not known."
    return ConversationNetworkException(f"No usable answer: {error}. {advice}")
