"""Read one conversation block of ``POST /api/ingest/``.

In: the block, as JSON values. Out: what it tells (`Told`), and what of it could not be read.
Loses: nothing silently; a bad span harms only itself, a bad field of the conversation its block.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import msgspec

from agentsight_auto.server import errors
from agentsight_auto.server.errors import ApiError
from agentsight_auto.server.projection.spans import VISIT, read_span
from agentsight_auto.server.recording import DEFAULT_ENVIRONMENT, checked_conversation_id
from agentsight_auto.server.routes.conversations import read_environment
from agentsight_auto.server.routing import convert
from agentsight_auto.store.spans import Span, Told

LONGEST_FIELD = 255
_TEXTS = ("customer_id", "device", "source", "language", "name")


class Block(msgspec.Struct, forbid_unknown_fields=True):
    """A conversation and spans of it; what is absent or null is no opinion, metadata replaces the whole document."""

    conversation_id: int | str
    customer_id: int | str | None = None
    customer_ip_address: str | None = None
    device: str | None = None
    source: str | None = None
    language: str | None = None
    name: str | None = None
    environment: str | None = None
    metadata: dict[str, Any] | None = None
    spans: list[dict[str, Any]] = []


@dataclass(frozen=True)
class Read:
    """What a block tells, and the spans that cannot be read: their place, id and errors."""

    told: Told
    refused: list[dict[str, Any]]


def read_block(document: Any, now_us: int) -> Read:
    """Return what a block tells.

    Raises:
        ApiError: 400 with all fields of the conversation that cannot be read.
    """
    if not isinstance(document, dict):
        raise errors.field_error(errors.NON_FIELD_ERRORS, "A conversation block is an object.")
    block = convert(document, Block)
    problems: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name in (*_TEXTS, "customer_ip_address", "environment"):
        value = getattr(block, name)
        if value is not None and str(value).strip():
            try:
                fields[name] = _field(name, str(value).strip())
            except ApiError as error:
                problems.update(error.body)
    if block.metadata is not None:
        fields["metadata"] = block.metadata
    try:
        conversation_id = checked_conversation_id(block.conversation_id)
    except ApiError as error:
        problems.update(error.body)
    if problems:
        raise ApiError(400, problems)
    spans, refused = _read_spans(block.spans, conversation_id, now_us)
    is_used = any(span.kind != VISIT for span in spans)
    told = Told(conversation_id, now_us, DEFAULT_ENVIRONMENT, fields, spans, is_used)
    return Read(told, refused)


def _field(name: str, text: str) -> str:
    if len(text) > LONGEST_FIELD:
        raise errors.field_error(name, f"Ensure this field has no more than {LONGEST_FIELD} characters.")
    if name == "environment":
        return read_environment(name, text)
    if name == "customer_ip_address":
        try:
            ip_address(text)
        except ValueError as error:
            raise errors.field_error(name, "Enter a valid IPv4 or IPv6 address.") from error
    return text


def _read_spans(
    documents: list[dict[str, Any]], conversation_id: str, now_us: int
) -> tuple[list[Span], list[dict[str, Any]]]:
    spans: list[Span] = []
    refused: list[dict[str, Any]] = []
    for place, document in enumerate(documents):
        try:
            spans.append(read_span(document, conversation_id, now_us))
        except ApiError as error:
            refused.append({"index": place, "span_id": str(document.get("span_id"))[:64], "errors": error.body})
    return spans, refused
