"""The API's own description: OpenAPI as JSON, and as a page to read."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

from agentsight_auto.server.docs_page import docs_page
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.openapi import openapi_document
from agentsight_auto.server.routing import Call, Operation

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def fetch_schema(call: Call) -> Response:
    """Return the OpenAPI document."""
    return json_response(openapi_document(call.service.operations))


def fetch_docs(call: Call) -> Response:
    """Return the page that shows the OpenAPI document."""
    return HTMLResponse(docs_page(openapi_document(call.service.operations)), headers=_PAGE_HEADERS)


ROUTES = (
    Operation("GET", "/api/schema/", fetch_schema, "OpenAPI document", role=None, tag="description"),
    Operation("GET", "/api/docs/", fetch_docs, "This documentation", role=None, answers={200: str}, tag="description"),
)
