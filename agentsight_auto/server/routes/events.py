"""``POST /api/events/``: many events of many conversations at once, exactly once by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.events import AnyEvent, UnreadableEvent, decode_event
from agentsight_auto.server.bodies import is_harmless, parse_json
from agentsight_auto.server.errors import ApiError, field_error, json_response
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.server.shapes import EventAnswer, EventAnswers
from agentsight_auto.store.metadata_index import encode_json


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw]


class EventsBody(msgspec.Struct):
    """Events, each an object as this library writes it: `kind`, `id` (32 hex digits), `conversation_id`, `at_us`, ...

    What is no such object is answered in its place, and harms no other.
    """

    events: list[Any]


class _Named(msgspec.Struct):
    id: str


_envelopes = msgspec.json.Decoder(_Envelope)
_names = msgspec.json.Decoder(_Named)


def create(call: Call) -> Response:
    """Store events and answer each; a bad one harms only itself."""
    lines = _lines(call)
    answers: list[EventAnswer | None] = [None] * len(lines)
    events: list[AnyEvent] = []
    places: list[int] = []
    for index, line in enumerate(lines):
        event = _read(call, index, line)
        if isinstance(event, EventAnswer):
            answers[index] = event
        else:
            events.append(event)
            places.append(index)
    stored = call.backend.ingest(events) if events else []
    for index, answer in zip(places, stored, strict=True):
        answers[index] = EventAnswer(answer.event_id, answer.status, answer.reason)
    results = [answer for answer in answers if answer is not None]
    call.service.metrics.count_events(answer.status for answer in results)
    return json_response(EventAnswers(results))


def _lines(call: Call) -> Sequence[bytes]:
    """Return the JSON of each event.

    Raises:
        ApiError: 400, the body is not an object with a list of events.
    """
    try:
        return [bytes(raw) for raw in _envelopes.decode(call.body).events]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        document = call.document
    events = document.get("events")
    if not isinstance(events, list):
        raise field_error("events", "This field is required, and is a list of events.")
    return [encode_json(event) for event in events]


def _read(call: Call, index: int, line: bytes) -> AnyEvent | EventAnswer:
    """Return the event, or the answer that it cannot be read."""
    depth = call.service.settings.json_depth
    try:
        return decode_event(line if is_harmless(line, depth) else encode_json(parse_json(line, depth)))
    except UnreadableEvent as error:
        reason = str(error)
    except ApiError as error:
        reason = error.body["detail"]
    try:
        return EventAnswer(_names.decode(line).id, "rejected", reason, index)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return EventAnswer(None, "rejected", reason, index)


ROUTES = (
    Operation(
        "POST", "/api/events/", create, "Record many events, exactly once by id", role="write", body=EventsBody,
        limit="batch_bytes", answers={200: EventAnswers}, refusals=(400, 413), tag="tracking",
    ),
)  # fmt: skip
