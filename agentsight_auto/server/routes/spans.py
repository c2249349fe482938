"""``/api/spans/`` and ``/api/traces/``: the archive of what the newer clients sent, to read."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentsight_auto.query import parameters
from agentsight_auto.query import spans as query
from agentsight_auto.server.bodies import storable
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.listing import PageOf, answer_list, list_parameters, nothing_more
from agentsight_auto.server.routing import Call, Operation, Parameter

PATH = "/api/spans/"


def fetch_list(call: Call) -> Response:
    """List spans, the newest first, never with their payload."""
    return answer_list(call, query.list_spans, query.FILTERS, nothing_more)


def fetch_one(call: Call) -> Response:
    """Return one span; with `payload` also as it was sent."""
    payload = parameters.read_flag("payload", call.filters().get("payload", False))
    return json_response(query.fetch_span(call.service.database, call.backend.agent_id, call.id(), payload=payload))


def fetch_trace(call: Call) -> Response:
    """Return a trace as a tree."""
    trace_id = storable(call.path["trace_id"])
    return json_response(query.fetch_trace(call.service.database, call.backend.agent_id, trace_id))


_MOMENT = {"type": "string", "format": "date-time"}
_FLAG = {"type": "boolean"}

ROUTES = (
    Operation(
        "GET", PATH, fetch_list, "List spans", tag="spans", answers={200: PageOf}, refusals=(400, 404),
        query=list_parameters(query.FILTERS, started_at_after=_MOMENT, started_at_before=_MOMENT),
    ),
    Operation(
        "GET", PATH + "{id}/", fetch_one, "Read one span", tag="spans", refusals=(400, 404),
        query=(Parameter("payload", "also the span as it was sent", _FLAG),),
    ),
    Operation(
        "GET", "/api/traces/{trace_id}/", fetch_trace, "Read a trace as a tree", tag="spans",
        answers={200: dict[str, Any]}, refusals=(404,),
    ),
)  # fmt: skip
