"""``/api/token-usage/``: what models were asked, by turn and model, and sums of it."""

from __future__ import annotations

from starlette.responses import Response

from agentsight_auto.query import token_usage as query
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.listing import PageOf, answer_list, list_parameters, nothing_more
from agentsight_auto.server.routing import Call, Operation, Parameter

PATH = "/api/token-usage/"


def fetch_list(call: Call) -> Response:
    """List token usage, the newest first; nothing is priced here."""
    return answer_list(call, query.list_token_usage, query.FILTERS, nothing_more)


def fetch_summary(call: Call) -> Response:
    """Sum token usage by model, conversation or day (UTC)."""
    given = call.filters()
    names = (*query.FILTERS, "group_by", "currency")
    filters = {name: given[name] for name in names if name in given}
    return json_response(query.summarise(call.service.database, call.backend.agent_id, filters))


_MOMENT = {"type": "string", "format": "date-time"}
_SCHEMAS = {"started_at_after": _MOMENT, "started_at_before": _MOMENT, "incomplete": {"type": "boolean"}}
_PARAMETERS = list_parameters(query.FILTERS, **_SCHEMAS)

ROUTES = (
    Operation(
        "GET", PATH, fetch_list, "List token usage", tag="token usage", answers={200: PageOf}, refusals=(400, 404),
        query=_PARAMETERS,
    ),
    Operation(
        "GET", PATH + "summary/", fetch_summary, "Sum token usage", tag="token usage", refusals=(400,),
        query=(
            *_PARAMETERS[2:],
            Parameter("group_by", "what to sum by", {"enum": list(query.GROUPS)}),
            Parameter("currency", "of costs, of which there are none", {"enum": list(query.CURRENCIES)}),
        ),
    ),
)  # fmt: skip
