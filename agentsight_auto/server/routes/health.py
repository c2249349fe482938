"""For those who run the server: is it alive, is it ready, how busy is it."""

from __future__ import annotations

import ipaddress

from starlette.responses import Response

from agentsight_auto.exceptions import StoreException
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response, logger
from agentsight_auto.server.metrics import CONTENT_TYPE
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.store.keys import agent_names


def is_alive(call: Call) -> Response:
    """Say that the process answers."""
    del call
    return json_response({"status": "ok"})


def is_ready(call: Call) -> Response:
    """Say whether the store can be read."""
    try:
        agent_names(call.service.database)
    except (StoreException, OSError) as error:
        logger.error("agentsight-auto server: not ready: %s", error)
        return json_response({"status": "the store cannot be used"}, 503)
    return json_response({"status": "ready"})


def fetch_metrics(call: Call) -> Response:
    """Return the metrics, to this machine alone unless a setting opens them."""
    if not call.service.settings.open_metrics and not _is_loopback(call.client_host):
        raise errors.detail_error(403, "Metrics are for this machine. Set AGENTSIGHT_SERVER_OPEN_METRICS=true to open.")
    return Response(call.service.metrics.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _is_loopback(host: str | None) -> bool:
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


ROUTES = (
    Operation("GET", "/healthz", is_alive, "Is the process alive", role=None, tag="operation"),
    Operation("GET", "/readyz", is_ready, "Can the store be read", role=None, refusals=(503,), tag="operation"),
    Operation(
        "GET", "/metrics", fetch_metrics, "Prometheus metrics", role=None, answers={200: str}, refusals=(403,),
        tag="operation",
    ),
)  # fmt: skip
