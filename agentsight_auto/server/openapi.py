"""The OpenAPI document, made from what the route modules declare.

In: operations. Out: a document of OpenAPI 3.1. Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from agentsight_auto._version import __version__
from agentsight_auto.server.routing import Operation

_REF = "#/components/schemas/{name}"
_NOT_WORD = re.compile(r"\W+")
_PLACE = re.compile(r"\{(\w+)\}")
_ID = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_REASONS = {
    400: "The request cannot be understood; the body names the field.",
    401: "There is no key, or it is not valid.",
    403: "The key's role does not allow this.",
    404: "There is no such thing, or it is another agent's.",
    405: "The path has other methods.",
    408: "The body did not arrive in time.",
    413: "The body or a part of it is too large.",
    415: "The body's encoding is not accepted.",
    429: "Too many requests; Retry-After says how long to wait.",
    503: "The store cannot be used at the moment.",
    507: "The disk is full.",
}
_BODY_REFUSALS = (408, 413, 415)


def openapi_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document for these operations."""
    types = {id(kind): kind for operation in operations for kind in _types_of(operation)}
    kinds = list(types.values())
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in sorted(operations, key=lambda operation: operation.path):
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schema_of)
    components["Error"] = _ERROR
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AgentSight API",
            "version": __version__,
            "description": "Conversations of AI agents. Each path ends in a slash; each key belongs to one agent.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Api-Key ags_...` or `Bearer ags_...`",
                }
            },
        },
    }


_ERROR = {
    "description": "`detail`, or `error` with `details`, or one entry per field that does not fit.",
    "type": "object",
    "minProperties": 1,
}


def _types_of(operation: Operation) -> list[Any]:
    bodies = [] if operation.body is None else [operation.body]
    return bodies + [kind for kind in operation.answers.values() if kind not in {bytes, str, None}]


def _described(operation: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    description: dict[str, Any] = {
        "operationId": _NOT_WORD.sub("_", f"{operation.method.lower()}{operation.path}").strip("_"),
        "summary": operation.summary,
        "description": (operation.handler.__doc__ or "").strip(),
        "tags": [operation.tag] if operation.tag else [],
        "parameters": _parameters(operation),
        "responses": _responses(operation, schema_of),
    }
    if operation.reads_body:
        description["requestBody"] = {"required": _needs_body(operation), "content": _body(operation, schema_of)}
    if operation.role is None:
        description["security"] = []
    else:
        description["x-role"] = operation.role
    return description


def _needs_body(operation: Operation) -> bool:
    """Tell whether a request without a body is refused: it is not where every field may be left out."""
    if operation.takes_bytes or operation.takes_form or not issubclass(operation.body, msgspec.Struct):
        return True
    return any(field.required for field in msgspec.structs.fields(operation.body))


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    named = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _ID if name == "id" else {"type": "string", "pattern": "^[^/]+$"},
        }
        for name in _PLACE.findall(operation.path)
    ]
    asked = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_required,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        for parameter in operation.query
    ]
    return named + asked


def _body(operation: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.takes_bytes:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    if operation.body is not None:
        content["application/json"] = {"schema": schema_of[id(operation.body)]}
    if operation.takes_form:
        part = {"type": "string", "format": "binary"}
        names = ("timestamp", "conversation", "conversation_id", "sender", "mode", "metadata", "message")
        fields = {name: {"type": "string"} for name in names}
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": {**fields, "attachment_0": part}}}
    return content


def _responses(operation: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        content: dict[str, Any] = {}
        if kind is bytes:
            content = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        elif kind is str:
            content = {"text/*": {"schema": {"type": "string"}}}
        elif kind is not None:
            content = {"application/json": {"schema": schema_of[id(kind)]}}
        responses[str(status)] = {"description": operation.summary, "content": content}
    refusals = {*operation.refusals, 400, 405}
    if operation.role is not None:
        refusals |= {operation.bad_key_status, 403, 429}
    if operation.reads_body:
        refusals |= set(_BODY_REFUSALS)
    for status in sorted(refusals):
        content = {"application/json": {"schema": {"$ref": _REF.format(name="Error")}}}
        if status == 404:
            content["text/html"] = {"schema": {"type": "string"}}
        responses[str(status)] = {"description": _REASONS[status], "content": content}
    return responses
