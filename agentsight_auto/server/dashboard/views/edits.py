"""What people change: name, mark, metadata, feedback; one conversation or a selection; and what they take along."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.interchange.csv_format import CsvWriter
from agentsight_auto.interchange.export_format import to_line
from agentsight_auto.query.board.board import Board
from agentsight_auto.server.bodies import parse_json
from agentsight_auto.server.dashboard.asking import read_asked
from agentsight_auto.server.dashboard.audit import note
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.rendering import page, redirect, safe_headers
from agentsight_auto.server.dashboard.views.transcript import PATH, number_of
from agentsight_auto.server.dashboard.visits import Unreadable, Visit, safe_return
from agentsight_auto.server.errors import ApiError
from agentsight_auto.server.routing import parse_id
from agentsight_auto.store import further_feedbacks

_MOST_SELECTED = 1000


def _back(visit: Visit) -> Response:
    return redirect(safe_return(visit.field("next"), f"/conversations/{visit.path_values['id']}/"))


def rename(visit: Visit) -> Response:
    """Set the name."""
    visit.backend.rename_conversation(number_of(visit), visit.field("name"))
    return _back(visit)


def mark(visit: Visit) -> Response:
    """Set or clear the mark."""
    visit.backend.mark_conversation(number_of(visit), visit.field("is_marked") == "true")
    return _back(visit)


def describe(visit: Visit) -> Response:
    """Replace the metadata; it is written as JSON."""
    try:
        document = parse_json(visit.field("metadata").encode("utf-8", "replace"), visit.service.settings.json_depth)
    except ApiError as error:
        raise Unreadable(visit.texts.t("metadata_unreadable")) from error
    if not isinstance(document, dict):
        raise Unreadable(visit.texts.t("metadata_unreadable"))
    visit.backend.update_conversation(number_of(visit), metadata=document)
    return _back(visit)


def judge(visit: Visit) -> Response:
    """Record a feedback on the conversation."""
    at_us = visit.service.clock.now_us()
    visit.backend.submit_feedback(
        number_of(visit),
        visit.field("sentiment"),
        visit.field("comment").strip() or None,
        event_id=visit.service.ids.next(at_us),
        at_us=at_us,
    )
    return _back(visit)


def judge_message(visit: Visit) -> Response:
    """Record what is thought of one message."""
    message_id = parse_id(visit.field("message"))
    if message_id is None or visit.backend.fetch_message(message_id)["conversation"] != number_of(visit):
        raise NotFoundException("There is no such message.")
    at_us = visit.service.clock.now_us()
    judged = {"sentiment": visit.field("sentiment"), "comment": None}
    if judged["sentiment"] not in {"positive", "negative"}:
        raise Unreadable(visit.texts.t("bad_values", names="sentiment"))
    further_feedbacks.judge_message(
        visit.service.database,
        visit.backend.agent_id,
        message_id,
        judged,
        event_id=visit.service.ids.next(at_us),
        at_us=at_us,
    )
    return _back(visit)


def delete(visit: Visit) -> Response:
    """Hide the conversation, once that was confirmed."""
    number = number_of(visit)
    if visit.field("confirmed") != "yes":
        return _confirm(visit, [number], visit.field("next") or "/")
    visit.backend.delete_conversation(number)
    note(visit, "delete", conversations=[number])
    return redirect(safe_return(visit.field("next")))


def end(visit: Visit) -> Response:
    """Record that the conversation is resolved, or that it was handed over to a human."""
    board, note = Board(visit.backend), visit.field("note").strip() or None
    (board.escalate if visit.field("how") == "escalate" else board.resolve)(number_of(visit), note)
    return _back(visit)


# -- a selection -------------------------------------------------------------------------------------------------


def select(visit: Visit) -> Response:
    """Do one thing with all conversations that were ticked."""
    wanted = visit.field("do")
    verb, _, single = wanted.partition(":")
    numbers = [number for text in (visit.fields("ids") if not single else [single]) if (number := parse_id(text))]
    target = safe_return(visit.field("next"))
    if not numbers or len(numbers) > _MOST_SELECTED:
        return redirect(target)
    if verb in {"jsonl", "csv"}:
        note(visit, "export", conversations=numbers)
        return _download(visit, verb, {"ids": numbers})
    if not visit.may_edit:
        return page(visit, "problem.html", status=403, problem="read_only")
    if verb in {"mark", "unmark"}:
        for number in numbers:
            visit.backend.mark_conversation(number, verb == "mark")
    elif verb == "delete":
        if visit.field("confirmed") != "yes":
            return _confirm(visit, numbers, target)
        for number in numbers:
            visit.backend.delete_conversation(number)
        note(visit, "delete", conversations=numbers)
    return redirect(target)


def _confirm(visit: Visit, numbers: list[int], target: str) -> Response:
    return page(visit, "confirm.html", numbers=numbers, target=safe_return(target))


def export(visit: Visit) -> Response:
    """Send everything that the list would show; with one key not more than a few times an hour."""
    if visit.service.export_throttle.wait_s(visit.agent.key_id):
        return page(visit, "problem.html", status=429, problem="export_often")
    asked = read_asked(visit)
    note(visit, "export", filters=asked.filters)
    return _download(visit, "csv" if visit.given.get("format") == "csv" else "jsonl", asked.filters)


def _download(visit: Visit, form: str, filters: Mapping[str, Any]) -> Response:
    if "ids" in filters:
        found: Iterator[dict[str, Any]] = visit.backend.export_selected(filters["ids"])
    else:
        found = visit.backend.export_conversations(
            {name: value for name, value in filters.items() if name != "ordering"}
        )
    media_type = "text/csv; charset=utf-8" if form == "csv" else "application/jsonl"
    headers = {**safe_headers(visit), "Content-Disposition": f'attachment; filename="conversations.{form}"'}
    return StreamingResponse((_csv if form == "csv" else _lines)(found), 200, headers, media_type)


def _lines(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    for shape in found:
        yield msgspec.json.encode(to_line(shape)[0]) + b"\n"


def _csv(found: Iterator[dict[str, Any]]) -> Iterator[str]:
    text = io.StringIO(newline="")
    writer = CsvWriter(text)
    for shape in found:
        writer.write(shape)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


PAGES = (
    Page("POST", PATH + "rename/", rename, role="write"),
    Page("POST", PATH + "mark/", mark, role="write"),
    Page("POST", PATH + "metadata/", describe, role="write"),
    Page("POST", PATH + "feedback/", judge, role="write"),
    Page("POST", PATH + "message-feedback/", judge_message, role="write"),
    Page("POST", PATH + "delete/", delete, role="write"),
    Page("POST", PATH + "end/", end, role="write"),
    Page("POST", "/selection/", select),
    Page("GET", "/export/", export),
)
