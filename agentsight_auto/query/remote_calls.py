"""The documented calls as conversations with a server: each yields requests, is sent replies, and returns the result.

In: arguments of the documented clients. Out: results in the documented shapes. Loses: nothing.

Nothing here sends anything, so that the synchronous and the asynchronous client share every line.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

from agentsight_auto._clock import iso_from_us
from agentsight_auto._http.messages import Reply, Request, as_json
from agentsight_auto.events import lifecycle_metadata
from agentsight_auto.exceptions import ConversationApiException, ConversationNetworkException, NotFoundException
from agentsight_auto.query import parameters
from agentsight_auto.query.edit_values import check_changes, check_judgement, check_name
from agentsight_auto.query.filter_values import check_filters
from agentsight_auto.query.remote_answers import read_object

T = TypeVar("T")
Call: TypeAlias = Generator[Request, Reply, T]
Shape: TypeAlias = dict[str, Any]

CONVERSATIONS = "/api/conversations/"
_JSON = {"Content-Type": "application/json"}
_LARGEST_OFFSET = 2**63 - 1
_NO_LOOKUP = frozenset({403, 404, 405})


class RemoteCalls:
    """The calls to one API; `endpoint` is told in error messages."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    # -- reading -------------------------------------------------------------------------------------------------

    def fetch_conversations(
        self, *, page: int, page_size: int, cursor: str | None, count: bool, filters: Mapping[str, Any]
    ) -> Call[Shape]:
        """Return one page of whole conversations."""
        number = parameters.read_whole_number("page", page)
        size = parameters.clamp_page_size(parameters.read_whole_number("page_size", page_size))
        query = check_filters(filters)
        if cursor is not None:
            text = parameters.read_text("cursor", cursor)
            own, number = _place_of(text, number)
            query |= own
        if number < 1 or number * size > _LARGEST_OFFSET:
            raise NotFoundException(f"There is no page {number if abs(number) < 10**20 else 'of that number'}.")
        query |= {"page": str(number), "page_size": str(size), "full": "true"}
        if not count:
            query["count"] = "false"
        answered = yield from self._ask(Request("GET", CONVERSATIONS, params=list(query.items())))
        if not isinstance(answered.get("results"), list):
            self._unusable("it has no results")
        return {
            "count": answered.get("count") if count else None,
            "next": answered.get("next"),
            "previous": answered.get("previous"),
            "results": answered["results"],
        }

    def fetch_conversation(self, conversation_id: int | str) -> Call[Shape]:
        """Return one conversation with everything, also a deleted one."""
        wanted = parameters.read_id(conversation_id)
        if isinstance(wanted, str):
            found = yield from self._look_up(wanted)
            if found is None:
                return (yield from self._only_row(wanted))
            wanted = found
        return (yield from self._ask(Request("GET", self._path(wanted))))

    def fetch_conversation_attachments(self, conversation_id: int | str) -> Call[Shape]:
        """Return a conversation's attachments."""
        key = yield from self._key(conversation_id)
        return (yield from self._ask(Request("GET", self._path(key, "attachments/"))))

    def known_conversation(self, conversation_id: str) -> Call[Shape]:
        """Return ``{"id", "conversation_id"}``; empty if there is none."""
        try:
            key = yield from self._key(conversation_id)
        except NotFoundException:
            return {}
        return {"id": key, "conversation_id": conversation_id}

    # -- editing -------------------------------------------------------------------------------------------------

    def submit_feedback(
        self, conversation_id: int | str, sentiment: str, comment: str | None, metadata: Mapping[str, Any] | None
    ) -> Call[Shape]:
        """Store a customer's feedback and return it."""
        wanted = parameters.read_id(conversation_id)
        judged = check_judgement(sentiment, comment, metadata)
        place = {"conversation_id" if isinstance(wanted, str) else "conversation": wanted}
        fields = {"sentiment": judged.sentiment, **place, "metadata": judged.metadata or {}}
        if judged.comment is not None:  # as documented, left out rather than null
            fields["comment"] = judged.comment
        return (yield from self._write("POST", "/api/conversation-feedbacks/", fields))

    def end_conversation(
        self, conversation_id: int | str, action_name: str, note: str | None, at_us: int
    ) -> Call[Shape]:
        """Record the action that resolves a conversation or hands it over."""
        key = yield from self._key(conversation_id)
        known = yield from self._ask(Request("GET", self._path(key)))
        moment = iso_from_us(at_us)
        fields = {
            "conversation": key,
            "conversation_id": known.get("conversation_id"),
            "action_name": action_name,
            **dict.fromkeys(("timestamp", "started_at", "ended_at"), moment),
            "duration_ms": 0,
            "metadata": lifecycle_metadata(action_name, note),
        }
        yield from self._write("POST", "/api/action_logs/", fields)
        return {"id": key, "conversation_id": known.get("conversation_id"), "action_name": action_name}

    def rename_conversation(self, conversation_id: int | str, name: str) -> Call[Shape]:
        """Set the name."""
        fields = {"name": check_name(name)}
        key = yield from self._key(conversation_id)
        return (yield from self._write("PATCH", self._path(key, "rename/"), fields))

    def mark_conversation(self, conversation_id: int | str, is_marked: bool) -> Call[Shape]:
        """Set or clear the mark."""
        fields = {"is_marked": parameters.read_flag("is_marked", is_marked)}
        key = yield from self._key(conversation_id)
        return (yield from self._write("POST", self._path(key, "mark/"), fields))

    def delete_conversation(self, conversation_id: int | str) -> Call[Shape]:
        """Hide the conversation."""
        key = yield from self._key(conversation_id)
        return (yield from self._ask(Request("DELETE", self._path(key, "delete/"))))

    def update_conversation(self, conversation_id: int | str, changes: Mapping[str, Any]) -> Call[Shape]:
        """Overwrite the given fields."""
        fields = check_changes(**changes)
        key = yield from self._key(conversation_id)
        answered = yield from self._write("PATCH", self._path(key, "update/"), fields)
        return {**answered, "updated_fields": answered.get("updated_fields", list(fields))}

    def erase(self, conversation_id: int | str | None, customer_id: str | None) -> Call[Shape]:
        """Remove a conversation, or all of a customer, to the last byte."""
        wanted, customer = parameters.read_subject(conversation_id, customer_id)
        name = "customer_id" if wanted is None else "conversation" if isinstance(wanted, int) else "conversation_id"
        answered = yield from self._write("POST", "/api/erasures/", {name: customer if wanted is None else wanted})
        if not all(isinstance(answered.get(key), list) for key in ("conversation_ids", "attachment_sha256")):
            self._unusable("it is no receipt")
        return answered

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self, request: Request) -> Call[Shape]:
        reply = yield request
        return read_object(request, self._endpoint, reply)

    def _write(self, method: str, path: str, fields: Mapping[str, Any]) -> Call[Shape]:
        return (yield from self._ask(Request(method, path, body=as_json(fields), headers=_JSON)))

    def _path(self, key: int, tail: str = "") -> str:
        if key < 0:
            raise NotFoundException("There is no conversation with that id.")
        return f"{CONVERSATIONS}{key}/{tail}"

    def _key(self, conversation_id: int | str) -> Call[int]:
        """Return the integer id of a conversation."""
        wanted = parameters.read_id(conversation_id)
        if isinstance(wanted, int):
            return wanted
        found = yield from self._look_up(wanted)
        if found is not None:
            return found
        row = yield from self._only_row(wanted)
        key = row.get("id")
        return key if isinstance(key, int) else self._unusable("the conversation has no id")

    def _look_up(self, conversation_id: str) -> Call[int | None]:
        """Return the integer id that the lookup route tells, or None where it does not tell."""
        request = Request("GET", f"{CONVERSATIONS}lookup/", params=[("conversation_id", conversation_id)])
        try:
            answered = yield from self._ask(request)
        except ConversationApiException as error:
            if error.status_code in _NO_LOOKUP:
                return None
            raise
        key = answered.get("id")
        return key if isinstance(key, int) and not isinstance(key, bool) else None

    def _only_row(self, conversation_id: str) -> Call[Shape]:
        """Return the conversation from the list, as servers without the lookup route have to be asked."""
        params = {"conversation_id": conversation_id, "include_deleted": "true", "page_size": "1", "full": "true"}
        answered = yield from self._ask(Request("GET", CONVERSATIONS, params=list(params.items())))
        rows = answered.get("results")
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and row.get("conversation_id") == conversation_id:
                return row
        shown = parameters.shown(conversation_id)
        raise NotFoundException(f"There is no conversation with the id {shown}.", response_data=answered)

    def _unusable(self, why: str) -> NoReturn:
        raise ConversationNetworkException(f"The answer of {self._endpoint} cannot be used: {why}.")


def _place_of(cursor: str, number: int) -> tuple[Shape, int]:
    """Return the parameters that a cursor stands for: itself, or those of a page's URL that has none."""
    if "?" not in cursor:
        return {"cursor": cursor}, number
    told = dict(parse_qsl(urlsplit(cursor).query))
    place = {"cursor": told["cursor"]} if "cursor" in told else {}
    return place, parameters.read_whole_number("page", told.get("page", number))
