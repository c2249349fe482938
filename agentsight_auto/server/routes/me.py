"""``GET /api/me/``: whose key it is, what it may do, and what this server can."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query.environments import list_environments
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routing import Call, Operation

CAPABILITIES = ("gzip-ingest", "events-batch")


class Me(msgspec.Struct):
    """The agent of a key; `role` is read or write."""

    agent_id: int
    agent_name: str
    role: str
    environments: list[dict[str, Any]]
    capabilities: list[str]


def fetch(call: Call) -> Response:
    """Return the agent of the key, its environments and the server's capabilities."""
    agent = call.agent
    environments = list_environments(call.service.database, agent.id)
    return json_response(Me(agent.id, agent.name, agent.role, environments, list(CAPABILITIES)))


ROUTES = (Operation("GET", "/api/me/", fetch, "Whose key it is", answers={200: Me}, tag="service"),)
