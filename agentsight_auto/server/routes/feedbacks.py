"""``/api/feedbacks/``: judgements on conversations, messages and the agent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query import feedbacks as query
from agentsight_auto.query import parameters
from agentsight_auto.query.edit_values import LONGEST_COMMENT, SENTIMENTS
from agentsight_auto.query.lists import Listed, Place
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.listing import PageOf, answer_list, list_parameters
from agentsight_auto.server.recording import DEFAULT_ENVIRONMENT, conversation_of, event_head, has_conversation
from agentsight_auto.server.routes.conversations import read_environment
from agentsight_auto.server.routing import Call, Operation, parse_id
from agentsight_auto.store import further_feedbacks as store
from agentsight_auto.store.database import Database

PATH = "/api/feedbacks/"
TICKET_STATUSES = ("backlog", "open", "in_progress", "in_review", "done", "closed")

_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
_TICKET_FILTERS = ("has_ticket", "ticket_status")


class FeedbackBody(msgspec.Struct):
    """A judgement: on a conversation (`conversation` or `conversation_id`), on the `agent`, or on a `message`."""

    sentiment: str
    kind: str = "conversation"
    conversation: int | str | None = None
    conversation_id: int | str | None = None
    agent: int | str | None = None
    message: int | str | None = None
    comment: str | msgspec.UnsetType | None = msgspec.UNSET
    topic: str | msgspec.UnsetType | None = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    environment: str | None = None


class FeedbackChanges(msgspec.Struct):
    """New values; null clears comment, topic and reason."""

    sentiment: str | msgspec.UnsetType = msgspec.UNSET
    comment: str | msgspec.UnsetType | None = msgspec.UNSET
    topic: str | msgspec.UnsetType | None = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    environment: str | msgspec.UnsetType | None = msgspec.UNSET


def fetch_list(call: Call) -> Response:
    """List feedback, the newest first, with `counts`; this server has no tickets."""
    given = call.filters()
    with_tickets = parameters.read_flag("include_tickets", given.get("include_tickets", False))
    for name in _TICKET_FILTERS:
        if name in given and not with_tickets:
            text = "Ticket filters need ?include_tickets=true on the API-key plane."
            raise errors.ApiError(400, {name: text})
    if given.get("kind") == "product":
        raise errors.detail_error(403, errors.FORBIDDEN)

    def fetch(database: Database, agent_id: int, filters: Mapping[str, str], place: Place) -> Listed:
        listed = query.list_feedbacks(database, agent_id, filters, place)
        return Listed([], 0) if with_tickets else listed

    def counts(total: int) -> Mapping[str, Any]:
        none = dict.fromkeys(("tickets", "open_tickets", *TICKET_STATUSES), 0) if with_tickets else {}
        return {"counts": {"all": total, **none}}

    return answer_list(call, fetch, query.FILTERS, counts)


def fetch_one(call: Call) -> Response:
    """Return one feedback."""
    return json_response(
        {**query.fetch_feedback(call.service.database, call.backend.agent_id, call.id()), "ticket": None}
    )


def create(call: Call) -> Response:
    """Store a judgement; a second one on the same message changes the first, and is answered with 200."""
    body = call.read(FeedbackBody)
    makers = {"conversation": _judge_conversation, "agent": _judge_agent, "message": _judge_message}
    if body.kind not in makers:
        raise errors.field_error("kind", f'"{body.kind[:64]}" is not a valid choice.')
    judged = _checked(body, body.kind)
    if body.kind != "agent" and body.environment is not None:
        raise errors.field_error("environment", "Derived from the conversation.")
    feedback_id, is_new = makers[body.kind](call, body, judged)
    return _answer(call, feedback_id, 201 if is_new else 200)


def change(call: Call) -> Response:
    """Change a judgement."""
    number = call.id()
    kind = query.fetch_feedback(call.service.database, call.backend.agent_id, number)["kind"]
    body = call.read(FeedbackChanges)
    changes = _checked(body, kind)
    if isinstance(body.environment, str):
        if kind != "agent":
            raise errors.field_error("environment", "Derived from the conversation.")
        changes["environment"] = read_environment("environment", body.environment)
    store.change_feedback(call.service.database, call.backend.agent_id, number, changes)
    return _answer(call, number)


def delete(call: Call) -> Response:
    """Remove a judgement for ever."""
    store.delete_feedback(call.service.database, call.backend.agent_id, call.id())
    return Response(status_code=204)


def _judge_conversation(call: Call, body: FeedbackBody, judged: dict[str, Any]) -> tuple[int, bool]:
    conversation_id = conversation_of(call, body.conversation, body.conversation_id)
    if not has_conversation(call, conversation_id):
        raise errors.not_found("Conversation not found.")
    event_id, _, at_us = event_head(call, conversation_id, None)
    stored = call.backend.submit_feedback(
        conversation_id, judged["sentiment"], judged.get("comment"), None, event_id=event_id, at_us=at_us
    )
    return int(stored["id"]), True


def _judge_agent(call: Call, body: FeedbackBody, judged: dict[str, Any]) -> tuple[int, bool]:
    agent_id = call.backend.agent_id
    if body.agent is None:
        raise errors.required("agent")
    if parse_id(body.agent) != agent_id:
        raise errors.not_found("Agent not found.")
    environment = DEFAULT_ENVIRONMENT if body.environment is None else body.environment
    judged["environment"] = read_environment("environment", environment)
    event_id, _, at_us = event_head(call, "", None)
    return store.judge_agent(call.service.database, agent_id, judged, event_id=event_id, at_us=at_us), True


def _judge_message(call: Call, body: FeedbackBody, judged: dict[str, Any]) -> tuple[int, bool]:
    if body.message is None:
        raise errors.required("message")
    message_id = parse_id(body.message)
    if message_id is None:
        raise errors.not_found("Message not found.")
    event_id, _, at_us = event_head(call, "", None)
    return store.judge_message(
        call.service.database, call.backend.agent_id, message_id, judged, event_id=event_id, at_us=at_us
    )


def _checked(body: FeedbackBody | FeedbackChanges, kind: str) -> dict[str, Any]:
    """Return what is given of sentiment, comment, topic and reason."""
    judged: dict[str, Any] = {}
    if isinstance(body.sentiment, str):
        if body.sentiment not in SENTIMENTS:
            raise errors.field_error("sentiment", f'"{body.sentiment[:64]}" is not a valid choice.')
        judged["sentiment"] = body.sentiment
    if body.comment is not msgspec.UNSET:
        if len(body.comment or "") > LONGEST_COMMENT:
            raise errors.field_error("comment", f"Ensure this field has no more than {LONGEST_COMMENT} characters.")
        judged["comment"] = body.comment
    for name in ("topic", "reason"):
        value = getattr(body, name)
        if value is msgspec.UNSET or (value is None and kind != "message"):
            continue
        if kind != "message":
            raise errors.field_error(name, "Only feedback on a message has this field.")
        if value and not _SLUG.fullmatch(value):
            text = "Enter a valid “slug” of at most 50 letters, numbers, underscores or hyphens."
            raise errors.field_error(name, text)
        judged[name] = value or None
    return judged


def _answer(call: Call, feedback_id: int, status: int = 200) -> Response:
    return json_response(query.fetch_feedback(call.service.database, call.backend.agent_id, feedback_id), status)


_FLAG = {"type": "boolean"}
_MOMENT = {"type": "string", "format": "date-time"}
_SCHEMAS = {
    "created_at_after": _MOMENT,
    "created_at_before": _MOMENT,
    "has_comment": _FLAG,
    "include_tickets": _FLAG,
    "has_ticket": _FLAG,
}

ROUTES = (
    Operation(
        "GET", PATH, fetch_list, "List feedback", tag="feedback", answers={200: PageOf}, refusals=(400, 404),
        query=list_parameters((*query.FILTERS, "include_tickets", *_TICKET_FILTERS), **_SCHEMAS),
    ),
    Operation(
        "POST", PATH, create, "Judge a conversation, a message or the agent", role="write", body=FeedbackBody,
        tag="feedback", answers={200: dict[str, Any], 201: dict[str, Any]}, refusals=(400, 404),
    ),
    Operation("GET", PATH + "{id}/", fetch_one, "Read one feedback", tag="feedback", refusals=(404,)),
    Operation(
        "PATCH", PATH + "{id}/", change, "Change feedback", role="write", body=FeedbackChanges, tag="feedback",
        refusals=(400, 404),
    ),
    Operation(
        "DELETE", PATH + "{id}/", delete, "Remove feedback", role="write", tag="feedback", answers={204: None},
        refusals=(404,),
    ),
)  # fmt: skip
