"""Erasure over HTTP: ask for one, and read the receipts."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.routing import Call, Operation

PATH = "/api/erasures/"


class ErasureBody(msgspec.Struct):
    """Exactly one of: the text id of a conversation, its integer id, the id of a customer."""

    conversation_id: str | None = None
    conversation: int | None = None
    customer_id: str | None = None


class ErasureReceipt(msgspec.Struct):
    """What was removed; `finished_at` is null while something is still to be removed."""

    id: int
    subject: str
    requested_at: str
    finished_at: str | None
    conversations: int
    messages: int
    attachments: int


class ErasureAnswer(ErasureReceipt):
    """The receipt, and which conversations and attachments it was about: told once, not kept."""

    conversation_ids: list[str]
    attachment_sha256: list[str]


class ErasureList(msgspec.Struct):
    """The latest receipts, newest first."""

    results: list[ErasureReceipt]


def create(call: Call) -> Response:
    """Remove a conversation or all of a customer: hidden at once, gone from the disk within a minute."""
    body = call.read(ErasureBody)
    given = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    if len(given) != 1:
        raise errors.field_error(
            errors.NON_FIELD_ERRORS, "Give exactly one of conversation_id, conversation and customer_id."
        )
    answer = call.backend.erase(
        conversation_id=body.conversation_id if body.conversation is None else body.conversation,
        customer_id=body.customer_id,
        at_us=call.service.clock.now_us(),
    )
    return json_response(answer, 200 if answer["finished_at"] else 202)


def listing(call: Call) -> Response:
    """Return the latest receipts, newest first, at most 100."""
    return json_response({"results": call.backend.erasures()})


def detail(call: Call) -> Response:
    """Return one receipt of the latest 100."""
    number = call.id()
    found: dict[str, Any] | None = next((row for row in call.backend.erasures() if row["id"] == number), None)
    if found is None:
        raise errors.not_found()
    return json_response(found)


ROUTES = (
    Operation(
        "POST", PATH, create, "Erase a conversation or a customer", role="write", body=ErasureBody, tag="erasure",
        answers={200: ErasureAnswer, 202: ErasureAnswer}, refusals=(400, 404),
    ),
    Operation("GET", PATH, listing, "Receipts of erasures", answers={200: ErasureList}, tag="erasure"),
    Operation(
        "GET", PATH + "{id}/", detail, "One receipt", answers={200: ErasureReceipt}, refusals=(404,), tag="erasure"
    ),
)  # fmt: skip
