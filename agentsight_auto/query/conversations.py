"""Turn rows into the documented conversation: messages, action logs, buttons, attachments, feedback, token totals.

In: rows of `conversations`. Out: plain JSON-ready values in the documented shapes.
Loses: nothing. A page costs a fixed number of statements, however many conversations and messages are on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection, Row, Select, Table, bindparam, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.cost import cost_of
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.schema import action_logs, attachments, buttons, feedbacks, messages, token_usages

Shape = dict[str, Any]
Link: TypeAlias = Callable[[Row[Any]], "str | None"]
"""Takes a row of `attachments` and returns the URL of its content, or None while that is not there."""
Statement: TypeAlias = Select[Any]
"""One that is made once: it takes the parameter `keys`."""
TOKEN_COUNTERS = ("prompt_tokens", "completion_tokens", "total_tokens", "embedding_tokens")


def _belonging(table: Table, column: str, *order: str) -> Statement:
    wanted = table.c[column].in_(bindparam("keys", expanding=True))
    return select(table).where(wanted).order_by(*(table.c[name] for name in order))


_SAID = _belonging(messages, "conversation_pk", "at_us", "event_id")
_JUDGED = _belonging(feedbacks, "conversation_pk", "created_at_us", "id")
_USED = _belonging(token_usages, "conversation_pk", "at_us", "event_id")
_HANGING, _HANGING_ON_MESSAGES = (
    [_belonging(table, column, "id") for table in (action_logs, buttons, attachments)]
    for column in ("conversation_pk", "message_id")
)


def json_value(text: str | None) -> Any:
    """Read a JSON column; null where nothing was recorded."""
    return None if text is None else msgspec.json.decode(text)


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else iso_from_us(at_us)


def load_conversations(
    connection: Connection, rows: Sequence[Row[Any]], link: Link, *, for_export: bool = False
) -> list[Shape]:
    """Return whole conversations in the order of `rows`.

    `for_export` adds what an import needs to change nothing the second time: event ids, the SHA-256 of attachments, and
    each token usage by itself.
    """
    keys = [row.id for row in rows]
    shape_messages = _Messages(connection, keys, link, for_export=for_export)
    judged = _rows_by(connection, _JUDGED, keys, "conversation_pk")
    used = _rows_by(connection, _USED, keys, "conversation_pk")
    shapes = []
    for row in rows:
        shape = conversation_fields(row)
        shape["messages"] = shape_messages.of(row.id)
        shape["feedbacks"] = [feedback_shape(feedback, for_export=for_export) for feedback in judged[row.id]]
        shape["token_usage"] = _token_totals(used[row.id])
        shape["cost"] = cost_of(used[row.id])
        if for_export:
            shape["token_usages"] = [_token_usage(usage) for usage in used[row.id]]
        shapes.append(shape)
    return shapes


def conversation_fields(row: Row[Any]) -> Shape:
    """Return what a conversation itself says, without what was said in it."""
    geo = {"city": row.geo_city, "country": row.geo_country, "timezone_name": row.geo_timezone}
    return {
        "id": row.id,
        "conversation_id": row.conversation_id,
        "name": row.name,
        "customer_id": row.customer_id,
        "customer_ip_address": row.customer_ip_address,
        "device": row.device,
        "source": row.source,
        "language": row.language,
        "environment": row.environment,
        "is_marked": bool(row.is_marked),
        "is_deleted": bool(row.is_deleted),
        "is_used": bool(row.is_used),
        "started_at": _moment(row.started_at_us),
        "ended_at": _moment(row.ended_at_us),
        "deleted_at": _moment(row.deleted_at_us),
        "error": row.error,
        "metadata": json_value(row.metadata) or {},
        "geo_location": {"ip_address": row.customer_ip_address, **geo} if any(geo.values()) else None,
    }


def feedback_shape(row: Row[Any], *, for_export: bool = False) -> Shape:
    """Return the documented feedback."""
    shape = {
        "id": row.id,
        "sentiment": row.sentiment,
        "source": row.source,
        "comment": row.comment,
        "metadata": json_value(row.metadata) or {},
        "created_at": _moment(row.created_at_us),
    }
    return {"event_id": row.event_id.hex(), **shape} if for_export else shape


def load_message(connection: Connection, row: Row[Any], link: Link) -> Shape:
    """Return the message of one row of `messages` with what hangs on it."""
    return _Messages(connection, [row.conversation_pk], link, only=row).shape(row)


class _Messages:
    """The messages of some conversations, with what hangs on them."""

    def __init__(
        self,
        connection: Connection,
        keys: Sequence[int],
        link: Link,
        *,
        for_export: bool = False,
        only: Row[Any] | None = None,
    ) -> None:
        """Load the messages of the conversations `keys`; with `only` just what hangs on that message."""
        self._link = link
        self._for_export = for_export
        self._messages = _rows_by(connection, _SAID, keys, "conversation_pk") if only is None else {}
        hanging, of = (_HANGING, keys) if only is None else (_HANGING_ON_MESSAGES, [only.id])
        self._logs, self._buttons, self._attachments = (
            _rows_by(connection, statement, of, "message_id") for statement in hanging
        )
        every_log = [log for logs in self._logs.values() for log in logs]
        if only is not None:
            parents = action_logs.c.event_id.in_([log.parent_event_id for log in every_log])
            own = action_logs.c.conversation_pk == only.conversation_pk
            every_log = list(connection.execute(select(action_logs).where(own, parents)))
        self._log_ids = {(log.conversation_pk, log.event_id): log.id for log in every_log}

    def of(self, conversation_pk: int) -> list[Shape]:
        """Return the messages of one conversation in order."""
        return [self.shape(row) for row in self._messages[conversation_pk]]

    def shape(self, row: Row[Any]) -> Shape:
        """Return one of the messages."""
        button = next(iter(self._buttons.get(row.id, ())), None)
        shape = {
            "id": row.id,
            "timestamp": _moment(row.at_us),
            "sender": row.sender,
            "content": row.content,
            "action_name": row.action_name,
            "metadata": json_value(row.metadata) or {},
            "attachments": [self._attachment(attachment) for attachment in self._attachments.get(row.id, ())],
            "action_logs": [self._action_log(log) for log in self._logs.get(row.id, ())],
            "button": None if button is None else _button(button),
        }
        return {"event_id": row.event_id.hex(), **shape} if self._for_export else shape

    def _action_log(self, row: Row[Any]) -> Shape:
        shape = {
            "id": row.id,
            "started_at": _moment(row.started_at_us),
            "ended_at": _moment(row.ended_at_us),
            "duration_ms": None if row.duration_ms is None else float(row.duration_ms),
            "tools_used": json_value(row.tools_used),
            "response": json_value(row.response),
            "error_message": row.error_message or "",
            "metadata": json_value(row.metadata) or {},
            "parent_id": self._log_ids.get((row.conversation_pk, row.parent_event_id)),
        }
        if self._for_export:
            shape["parent_event_id"] = row.parent_event_id.hex() if row.parent_event_id else None
        return shape

    def _attachment(self, row: Row[Any]) -> Shape:
        shape = attachment_shape(row, self._link)
        return {**shape, "sha256": row.sha256} if self._for_export else shape


def file_link(folder: AttachmentFolder) -> Link:
    """Return what makes ``file://`` URLs into this folder."""
    return lambda row: folder.path(row.sha256).resolve().as_uri()


def attachment_shape(row: Row[Any], link: Link) -> Shape:
    """Return the documented attachment."""
    return {
        "id": row.id,
        "type": row.type,
        "filename": row.filename,
        "mime_type": row.mime_type,
        "size_bytes": row.size_bytes,
        "file_url": link(row),
    }


def load_attachments(connection: Connection, row: Row[Any], link: Link) -> Shape:
    """Return the attachments of one conversation in the union of both documented envelopes."""
    statement = (
        select(attachments, messages.c.sender, messages.c.at_us)
        .join(messages, messages.c.id == attachments.c.message_id)
        .where(attachments.c.conversation_pk == row.id)
        .order_by(messages.c.at_us, messages.c.event_id, attachments.c.id)
    )
    by_message: dict[int, Shape] = {}
    flat: list[Shape] = []
    for attachment in connection.execute(statement):
        fields = {"message_id": attachment.message_id, "sender": attachment.sender}
        group = by_message.setdefault(
            attachment.message_id, {**fields, "timestamp": _moment(attachment.at_us), "attachments": []}
        )
        shape = attachment_shape(attachment, link)
        group["attachments"].append(shape)
        flat.append({**shape, "message": attachment.message_id})
    return {
        "conversation_id": row.conversation_id,
        "conversation": row.id,
        "total_attachments": len(flat),
        "attachment_count": len(flat),
        "messages": list(by_message.values()),
        "attachments": flat,
    }


def _button(row: Row[Any]) -> Shape:
    fields = {"id": row.id, "button_event": row.button_event, "label": row.label, "value": row.value}
    return {**fields, "metadata": json_value(row.metadata) or {}}


def _token_totals(rows: Iterable[Row[Any]]) -> Shape | None:
    counted = [[getattr(row, counter) for counter in TOKEN_COUNTERS] for row in rows]
    return dict(zip(TOKEN_COUNTERS, map(sum, zip(*counted, strict=True)), strict=True)) if counted else None


def _token_usage(row: Row[Any]) -> Shape:
    counters = {counter: getattr(row, counter) for counter in TOKEN_COUNTERS}
    event = {"event_id": row.event_id.hex(), "timestamp": _moment(row.at_us)}
    return {**event, **counters, "metadata": json_value(row.metadata) or {}}


def _rows_by(
    connection: Connection, statement: Statement, keys: Sequence[int], group: str
) -> Mapping[int, list[Row[Any]]]:
    """Return the rows that belong to `keys`, grouped by a column, with one statement."""
    grouped: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    if keys:
        for row in connection.execute(statement, {"keys": keys}).all():
            grouped[getattr(row, group)].append(row)
    return grouped
