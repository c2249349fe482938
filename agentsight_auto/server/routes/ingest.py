"""``POST /api/ingest/``: spans of many conversations, as the newer clients send them.

A body may come twice, and a turn before or after what belongs to it. One bad block harms only itself: the answer is
200 and says what became of each block, because the clients drop a whole request on 400. Only if no block at all can be
stored the answer is 400, in the documented form, which the clients write to their log.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.server.bodies import parse_json
from agentsight_auto.server.errors import ApiError, field_error, json_response
from agentsight_auto.server.projection.blocks import Read, read_block
from agentsight_auto.server.routing import Call, Operation

_MOST_LISTED = 20


class IngestBody(msgspec.Struct):
    """Blocks of conversations, each with `conversation_id`, what is known of it, and `spans`; `sdk` is not used."""

    conversations: list[dict[str, Any]]
    sdk: Any = None


class BlockAnswer(msgspec.Struct):
    """What became of a block, stored or refused; `index` is its place in the request."""

    index: int
    conversation_id: str | None
    status: str
    new_spans: int = 0
    known_spans: int = 0
    refused_spans: list[dict[str, Any]] = []
    errors: dict[str, Any] = {}


class IngestAnswer(msgspec.Struct):
    """One entry per block, in the order of the request."""

    conversations: list[BlockAnswer]


class _Envelope(msgspec.Struct):
    conversations: list[msgspec.Raw]


_envelopes = msgspec.json.Decoder(_Envelope)


def create(call: Call) -> Response:
    """Archive spans and let in what they tell: messages, actions and token usage."""
    answers = [_take(call, index, block) for index, block in enumerate(_blocks(call))]
    refused = [answer for answer in answers if answer.status == "refused"]
    if refused and len(refused) == len(answers):
        raise ApiError(400, _refusal(refused))
    return json_response(IngestAnswer(answers))


def _blocks(call: Call) -> list[Any]:
    """Return the blocks, as bytes where the body is plain JSON.

    Raises:
        ApiError: 400, the body is not an object with a list of blocks.
    """
    try:
        return [bytes(raw) for raw in _envelopes.decode(call.body).conversations]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        blocks = call.document.get("conversations")
    if blocks is None:
        raise field_error("conversations", "This field is required.")
    if not isinstance(blocks, list):
        raise field_error("conversations", f'Expected a list of items but got type "{type(blocks).__name__}".')
    return blocks


def _take(call: Call, index: int, block: Any) -> BlockAnswer:
    try:
        document = _parse(call, block) if isinstance(block, bytes) else block
    except ApiError as error:
        return BlockAnswer(index, None, "refused", errors=error.body)
    try:
        read = read_block(document, call.service.clock.now_us())
    except ApiError as error:
        named = document.get("conversation_id") if isinstance(document, dict) else None
        return BlockAnswer(index, None if named is None else str(named)[:300], "refused", errors=error.body)
    return _store(call, index, read)


def _parse(call: Call, block: bytes) -> Any:
    return parse_json(block, call.service.settings.json_depth)


def _store(call: Call, index: int, read: Read) -> BlockAnswer:
    told = read.told
    stored = call.backend.archive(told)
    call.service.metrics.count_events(answer.status for answer in stored.answers)
    return BlockAnswer(
        index,
        told.conversation_id,
        "stored",
        stored.new,
        len(told.spans) - stored.new,
        read.refused[:_MOST_LISTED],
    )


def _refusal(refused: list[BlockAnswer]) -> dict[str, Any]:
    count = len(refused)
    body: dict[str, Any] = {
        "detail": f"{count} of {count} conversation blocks failed validation. Nothing was written; "
        "resend without the blocks listed here.",
        "conversations": [
            {"index": answer.index, "conversation_id": answer.conversation_id, "errors": answer.errors}
            for answer in refused[:_MOST_LISTED]
        ],
    }
    return {**body, "truncated": True} if count > _MOST_LISTED else body


ROUTES = (
    Operation(
        "POST", "/api/ingest/", create, "Archive spans and what they tell", role="write", body=IngestBody,
        limit="batch_bytes", bad_key_status=403, answers={200: IngestAnswer}, refusals=(400, 413), tag="tracking",
    ),
)  # fmt: skip
