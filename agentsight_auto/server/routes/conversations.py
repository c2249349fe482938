"""``/api/conversations/``: get or create, list, look up, read."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.events import ConversationStarted
from agentsight_auto.exceptions import InvalidConversationDataException
from agentsight_auto.query import parameters
from agentsight_auto.query.filters import KNOWN_FILTERS
from agentsight_auto.query.pages import CONVERSATIONS_URL
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.recording import (
    DEFAULT_ENVIRONMENT,
    checked_conversation_id,
    checked_text,
    event_head,
    has_conversation,
    store,
)
from agentsight_auto.server.routing import Call, Operation, Parameter
from agentsight_auto.server.shapes import Conversation, ConversationPage, LookedUp

PATH = "/api/conversations/"
LONGEST_FIELD = 255

_SLUGS = frozenset({"production", "development", "prod", "dev"})
_FLAG = {"type": "boolean"}
_MOMENT = {"type": "string", "format": "date-time"}
_ORDERINGS = ("started_at", "ended_at", "id", "customer_id", "is_marked", "language")
_SCHEMAS: dict[str, Any] = {
    "is_marked": _FLAG,
    "include_deleted": _FLAG,
    "has_messages": _FLAG,
    "has_action": _FLAG,
    "has_feedback": _FLAG,
    "started_at_after": _MOMENT,
    "started_at_before": _MOMENT,
    "feedback_sentiment": {"type": "string", "enum": ["positive", "neutral", "negative"]},
    "feedback_source": {"type": "string", "enum": ["customer", "platform"]},
    "ordering": {"type": "string", "enum": [sign + name for name in _ORDERINGS for sign in ("", "-")]},
}
_LIST_PARAMETERS = (
    Parameter("page", "which page, from 1", {"type": "integer"}),
    Parameter("page_size", "conversations on a page, at most 100", {"type": "integer"}),
    Parameter("cursor", "where the page begins: from `next` or `previous` of another page"),
    Parameter("full", "with messages and all that hangs on them (default), or without", _FLAG),
    Parameter("count", "false leaves the counting out: faster, for those who only turn pages", _FLAG),
    Parameter("include_tickets", "only conversations with tickets, of which this server has none", _FLAG),
    *(Parameter(name, "filter", _SCHEMAS.get(name, {"type": "string"})) for name in KNOWN_FILTERS),
)


class ConversationBody(msgspec.Struct):
    """What is known of a conversation; null is "no opinion"."""

    conversation_id: int | str
    timestamp: str | None = None
    customer_id: int | str | None = None
    customer_ip_address: str | None = None
    device: str | None = None
    source: str | None = None
    language: str | None = None
    name: str | None = None
    environment: str | None = None
    metadata: dict[str, Any] | None = None
    is_used: bool | None = None


def create(call: Call) -> Response:
    """Get or create: fills what is unknown, overrides nothing."""
    body = call.read(ConversationBody)
    conversation_id = checked_conversation_id(body.conversation_id)
    customer_id = _short("customer_id", None if body.customer_id is None else str(body.customer_id))
    is_known = has_conversation(call, conversation_id)
    environment = None if is_known else DEFAULT_ENVIRONMENT
    if body.environment is not None and body.environment.strip():
        environment = read_environment("environment", body.environment)
    event_id, _, at_us = event_head(call, conversation_id, body.timestamp)
    event = ConversationStarted(
        id=event_id,
        conversation_id=conversation_id,
        at_us=at_us,
        customer_id=customer_id,
        customer_ip_address=_short("customer_ip_address", body.customer_ip_address),
        device=_short("device", body.device),
        source=_short("source", body.source),
        language=_short("language", body.language),
        name=_short("name", body.name),
        environment=environment,
        metadata=body.metadata or None,
        is_used=bool(body.is_used),
    )
    store(call, event)
    return json_response(call.backend.fetch_summary(conversation_id), 200 if is_known else 201)


def _short(field: str, text: str | None) -> str | None:
    return None if text is None or not text.strip() else checked_text(field, text, longest=LONGEST_FIELD)


def read_environment(field: str, value: str) -> str:
    """Return the slug of an environment.

    Raises:
        ApiError: 400 not a slug.
    """
    try:
        return parameters.read_environment(field, value)
    except (ValueError, InvalidConversationDataException) as error:
        raise errors.field_error(field, f"Unknown environment: '{value[:64]}'.") from error


def fetch_list(call: Call) -> Response:
    """List conversations, newest first, in the envelope of both generations."""
    given = call.filters()
    size = parameters.read_whole_number("page_size", given.get("page_size", call.service.settings.page_size))
    size = min(max(size, 1), call.service.settings.largest_page)
    number = parameters.read_whole_number("page", given.get("page", 1))
    is_full = parameters.read_flag("full", given.get("full", True))
    filters = {name: given[name] for name in KNOWN_FILTERS if name in given}
    _check_environment(call, given)
    page = call.backend.fetch_conversations(
        page=number,
        page_size=size,
        cursor=given.get("cursor"),
        count=parameters.read_flag("count", given.get("count", True)),
        full=is_full,
        filters=filters,
    )
    total, results = page["count"], page["results"]
    if parameters.read_flag("include_tickets", given.get("include_tickets", False)):
        total, results, page = 0, [], {"next": None, "previous": None}
    kept = "".join(f"&{name}={given[name].strip().lower()}" for name in ("full", "count") if name in given)
    return json_response(
        {
            "count": total,
            "page_size": size,
            "total_pages": None if total is None else max(1, math.ceil(total / size)),
            "current_page": number,
            "next": _own_url(call, page["next"], kept),
            "previous": _own_url(call, page["previous"], kept),
            "results": results,
        }
    )


def _check_environment(call: Call, given: dict[str, str]) -> None:
    """Refuse an environment that is neither a documented one nor one of the agent's."""
    for name in ("environment", "env"):
        slug = given.get(name, "production").strip().lower()
        if slug not in _SLUGS and not call.backend.has_environment(slug):
            text = f"Select a valid choice. {given[name][:64]} is not one of the available choices."
            raise errors.field_error("environment", text)


def _own_url(call: Call, url: str | None, kept: str) -> str | None:
    """Return a page's URL on the address that the client used."""
    return None if url is None else f"{call.address}{PATH}{url.removeprefix(CONVERSATIONS_URL)}{kept}"


def fetch_one(call: Call) -> Response:
    """Return one conversation with everything, a deleted one too."""
    return json_response(call.backend.fetch_conversation(call.id()))


def look_up(call: Call) -> Response:
    """Return the integer id of a text id."""
    conversation_id = call.filters().get("conversation_id")
    if conversation_id is None:
        raise errors.required("conversation_id")
    number, text = call.backend.find_conversation(checked_conversation_id(conversation_id))
    return json_response({"id": number, "conversation_id": text})


def fetch_attachments(call: Call) -> Response:
    """Return a conversation's attachments, by message and flat, with links that expire."""
    return json_response(call.backend.fetch_conversation_attachments(call.id()))


ROUTES = (
    Operation(
        "GET", PATH, fetch_list, "List conversations",
        query=_LIST_PARAMETERS, answers={200: ConversationPage}, refusals=(400, 404), tag="conversations",
    ),
    Operation(
        "POST", PATH, create, "Get or create a conversation", role="write", body=ConversationBody,
        answers={200: Conversation, 201: Conversation}, refusals=(400,), tag="conversations",
    ),
    Operation(
        "GET", PATH + "lookup/", look_up, "Find a conversation's integer id",
        query=(Parameter("conversation_id", "the text id", is_required=True),),
        answers={200: LookedUp}, refusals=(400, 404), tag="conversations",
    ),
    Operation(
        "GET", PATH + "{id}/", fetch_one, "Read one conversation", answers={200: Conversation}, refusals=(404,),
        tag="conversations",
    ),
    Operation(
        "GET", PATH + "{id}/attachments/", fetch_attachments, "List a conversation's attachments", refusals=(404,),
        tag="conversations",
    ),
)  # fmt: skip
