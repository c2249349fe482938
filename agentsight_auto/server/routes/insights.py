"""``/api/insights/``: the numbers of the dashboard, for whoever builds another face; and how a conversation ends."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query import parameters
from agentsight_auto.query.board import Board
from agentsight_auto.query.filters import KNOWN_FILTERS
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routes.conversations import PATH as CONVERSATIONS
from agentsight_auto.server.routing import Call, Operation, Parameter

PATH = "/api/insights/"
LONGEST_NOTE = 5000
_FILTERS = tuple(Parameter(name, "filter, as in the list of conversations") for name in KNOWN_FILTERS)
_ZONE = Parameter("zone", "IANA time zone of hours and days, UTC by default")
_FLAG = {"type": "boolean"}


class EndBody(msgspec.Struct):
    """Why the conversation is resolved or handed over, in words."""

    reason: str | None = None


def _board(call: Call) -> Board:
    return Board(call.backend)


def _filters(call: Call) -> dict[str, str]:
    given = call.filters()
    return {name: given[name] for name in KNOWN_FILTERS if name in given}


def _flag(call: Call, name: str, *, default: bool) -> bool:
    return parameters.read_flag(name, call.filters().get(name, default))


def _number(call: Call, name: str, default: int) -> int:
    return parameters.read_whole_number(name, call.filters().get(name, default))


def fetch_metrics(call: Call) -> Response:
    """Return the metrics with their definitions, beside those of the period before."""
    return json_response(
        _board(call).metrics(
            _filters(call),
            zone=call.filters().get("zone", "UTC"),
            compare=_flag(call, "compare", default=True),
            include_development=_flag(call, "include_development", default=False),
        )
    )


def fetch_facets(call: Call) -> Response:
    """Return the facets with their counts."""
    return json_response(_board(call).facets(_filters(call)))


def fetch_volume(call: Call) -> Response:
    """Return how many conversations began in each stretch of the period."""
    zone = call.filters().get("zone", "UTC")
    return json_response(_board(call).volume(_filters(call), buckets=_number(call, "buckets", 60), zone=zone))


def fetch_rows(call: Call) -> Response:
    """Return one page of the list, with first and last words and the status."""
    cursor = call.filters().get("cursor")
    size = _number(call, "page_size", 25)
    return json_response(_board(call).conversations(_filters(call), page_size=size, cursor=cursor))


def fetch_actions(call: Call) -> Response:
    """Return how actions went."""
    return json_response(_board(call).actions(_filters(call)))


def fetch_timeline(call: Call) -> Response:
    """Return one conversation on one axis of time."""
    return json_response(_board(call).timeline(call.id()))


def resolve(call: Call) -> Response:
    """Record that the conversation has reached its purpose."""
    return json_response(_board(call).resolve(call.id(), _reason(call)))


def escalate(call: Call) -> Response:
    """Record that the conversation is handed over to a human."""
    return json_response(_board(call).escalate(call.id(), _reason(call)))


def _reason(call: Call) -> str | None:
    reason = call.read(EndBody).reason
    if reason is not None and len(reason) > LONGEST_NOTE:
        raise errors.field_error("reason", f"Ensure this field has no more than {LONGEST_NOTE} characters.")
    return reason


_END: dict[str, Any] = {"role": "write", "body": EndBody, "refusals": (400, 404), "tag": "insights"}
_READ: dict[str, Any] = {"refusals": (400,), "tag": "insights"}

ROUTES = (
    Operation(
        "GET", PATH + "metrics/", fetch_metrics, "Metrics with their definitions", **_READ,
        query=(
            *_FILTERS, _ZONE, Parameter("compare", "with the period before (default)", _FLAG),
            Parameter("include_development", "count development beside production, too", _FLAG),
        ),
    ),
    Operation("GET", PATH + "facets/", fetch_facets, "Facets with counts", query=_FILTERS, **_READ),
    Operation(
        "GET", PATH + "volume/", fetch_volume, "Conversations over time", **_READ,
        query=(*_FILTERS, _ZONE, Parameter("buckets", "how many stretches at most", {"type": "integer"})),
    ),
    Operation(
        "GET", PATH + "conversations/", fetch_rows, "Conversations with first and last words and status", **_READ,
        query=(
            *_FILTERS, Parameter("cursor", "`next` or `previous` of another page"),
            Parameter("page_size", "at most 100", {"type": "integer"}),
        ),
    ),
    Operation("GET", PATH + "actions/", fetch_actions, "How actions went", query=_FILTERS, **_READ),
    Operation(
        "GET", CONVERSATIONS + "{id}/timeline/", fetch_timeline, "One conversation over time", refusals=(404,),
        tag="insights",
    ),
    Operation("POST", CONVERSATIONS + "{id}/resolve/", resolve, "Resolve", **_END),
    Operation("POST", CONVERSATIONS + "{id}/escalate/", escalate, "Hand over to a human", **_END),
)  # fmt: skip
