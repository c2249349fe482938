"""Read our own export back, or a conversation as `show --json` prints it.

In: one JSON object. Out: an `Incoming` whose events make the same conversation.
Loses: nothing that the line holds; attachments come back as descriptions where the line has no bytes of them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from agentsight_auto._ids import derived_id
from agentsight_auto.events import (
    Action,
    Attachments,
    Button,
    ConversationEnded,
    ConversationStarted,
    Feedback,
    Message,
    TokenUsage,
)
from agentsight_auto.exceptions import InvalidAttachmentException
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.interchange.export_format import FORMAT_KEY, FORMAT_VERSION
from agentsight_auto.interchange.incoming import (
    BadConversation,
    Fact,
    Incoming,
    make_events,
    moment_us,
    place_in_time,
    read_id,
)
from agentsight_auto.store.attachments import AttachmentFolder

_FIELDS = ("name", "customer_id", "customer_ip_address", "device", "source", "language", "environment")
_COUNTERS = ("prompt_tokens", "completion_tokens", "total_tokens", "embedding_tokens")


def is_export(value: Any) -> bool:
    """Tell whether a line is our own export, or a conversation as `show --json` prints it."""
    if not isinstance(value, dict):
        return False
    messages = value.get("messages")
    shapes = [item for item in messages if isinstance(item, dict)] if isinstance(messages, list) else []
    return FORMAT_KEY in value or any("sender" in item and "role" not in item for item in shapes[:1])


def read_export(
    value: dict[str, Any], *, limits: Limits, now_us: int, attachments: AttachmentFolder, id_prefix: str = ""
) -> Incoming:
    """Return the conversation of one line; attachment bytes in it are written to `attachments`.

    Raises:
        BadConversation: a newer format, or a part that is not what it should be; the text names the place.
        OSError: the attachment folder cannot be written to.
    """
    version = value.get(FORMAT_KEY, FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise BadConversation(f"export format {version!r:.20} is unknown; upgrade agentsight-auto to read it")
    conversation_id = read_id(value, id_prefix)
    reader = _Reader(conversation_id, limits, attachments, id_prefix)
    facts = reader.messages(_objects(value, "messages"))
    told_began, told_ended = moment_us(value.get("started_at")), moment_us(value.get("ended_at"))
    told = [fact.at_us for fact in facts]
    known = [at_us for at_us in told if at_us is not None]
    has_times = told_began is not None or bool(known)
    times = known if len(known) == len(told) else place_in_time(told, told_began, now_us)
    began = min([at_us for at_us in (told_began, *times) if at_us is not None], default=now_us)
    ended = max([began, *times] if told_ended is None else [began, *times, told_ended])
    rest = [*reader.feedbacks(value, ended), *reader.token_usages(value, ended)]
    edges = _edges(value, limits, began, ended, has_content=bool(facts or rest))
    all_facts = [edges[0], *facts, *rest, *edges[1:]]
    all_times = [began, *times, *(ended if fact.at_us is None else fact.at_us for fact in (*rest, *edges[1:]))]
    return Incoming(
        conversation_id=conversation_id,
        events=make_events(conversation_id, all_facts, all_times, has_times=has_times),
        has_times=has_times,
        is_marked=value.get("is_marked") is True,
        deleted_at_us=_deleted_at_us(value, ended),
        place=_place(value.get("geo_location")),
    )


def _edges(value: dict[str, Any], limits: Limits, began: int, ended: int, *, has_content: bool) -> list[Fact]:
    """Return the beginning with what is known, and what brings the end to where it was."""
    known: dict[str, Any] = {}
    for name in _FIELDS:
        if value.get(name) is not None:
            known[name] = limits.short_text(value[name]) if isinstance(value[name], str) else value[name]
    is_used = value.get("is_used") is not False or has_content
    known |= {"metadata": limits.kept_document(value.get("metadata")), "is_used": is_used}
    edges = [Fact(ConversationStarted, "conversation", began, known)]
    error = value.get("error")
    if is_used:
        text = limits.short_text(error) if isinstance(error, str) else None
        edges.append(Fact(ConversationEnded, "conversation_end", ended, {"error": text}))
    elif ended > began:
        edges.append(Fact(ConversationStarted, "last_visit", ended, {"is_used": False}))
    return edges


def _deleted_at_us(value: dict[str, Any], ended: int) -> int | None:
    deleted = moment_us(value.get("deleted_at"))
    return deleted if deleted is not None else ended if value.get("is_deleted") is True else None


def _place(geo: Any) -> tuple[str | None, str | None, str | None] | None:
    if not isinstance(geo, dict):
        return None
    city, country, zone = (
        text[:255] if isinstance(text := geo.get(key), str) else None for key in ("city", "country", "timezone_name")
    )
    return city, country, zone


class _Reader:
    """Turn the parts of a line into facts."""

    def __init__(self, conversation_id: str, limits: Limits, folder: AttachmentFolder, id_prefix: str) -> None:
        self._conversation_id = conversation_id
        self._limits = limits
        self._folder = folder
        self._id_prefix = id_prefix

    def _event_id(self, given: Any) -> Any:
        """Return an event id of the line; in a copy under another prefix it is another event."""
        if not self._id_prefix or not isinstance(given, str):
            return given
        return derived_id(0, self._id_prefix, given)

    def messages(self, messages: list[dict[str, Any]]) -> list[Fact]:
        """Return the messages, actions, buttons and attachments."""
        facts = [self._message(f"messages[{index}]", message) for index, message in enumerate(messages)]
        self._link_by_number(messages, facts)
        return facts

    def _message(self, part: str, message: dict[str, Any]) -> Fact:
        at_us = moment_us(message.get("timestamp"))
        event_id = self._event_id(message.get("event_id"))
        fields = {"metadata": self._limits.kept_document(message.get("metadata"))}
        if message.get("action_name") is not None:
            fact = Fact(Action, part, at_us, {**fields, **self._action(part, message)}, event_id)
        elif isinstance(message.get("button"), dict):
            button = message["button"]
            texts = {name: self._texts(button.get(name)) for name in ("button_event", "label", "value")}
            fact = Fact(Button, part, at_us, {**fields, **texts}, event_id)
        else:
            fact = Fact(Message, part, at_us, {**fields, **self._said(part, message)}, event_id)
            if fact.fields["attachments"] and not fact.fields["content"]:
                del fact.fields["content"]
                fact.kind = Attachments
        return fact

    def _texts(self, value: Any) -> Any:
        return self._limits.short_text(value) if isinstance(value, str) else value

    def _said(self, part: str, message: dict[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        refs = [self._attachment(f"{part}.attachments", shape) for shape in _objects(message, "attachments")]
        text = self._limits.text(content) if isinstance(content, str) else content
        return {"sender": message.get("sender"), "content": text, "attachments": refs}

    def _action(self, part: str, message: dict[str, Any]) -> dict[str, Any]:
        log = next(iter(_objects(message, "action_logs", of=part)), {})
        metadata = self._limits.kept_document(log.get("metadata") or message.get("metadata"))
        return {
            "action_name": self._texts(message["action_name"]),
            "started_at_us": moment_us(log.get("started_at")),
            "ended_at_us": moment_us(log.get("ended_at")),
            "duration_ms": log.get("duration_ms"),
            "tools_used": self._limits.kept_call(log.get("tools_used")),
            "response": self._limits.kept_value(log.get("response")),
            "error_msg": self._texts(log.get("error_message")) or None,
            "metadata": metadata,
            "parent_id": self._event_id(log.get("parent_event_id")),
        }

    def _link_by_number(self, messages: list[dict[str, Any]], facts: list[Fact]) -> None:
        """Link actions to their parents where a line has the store's numbers instead of event ids."""
        logs = {}
        for message, fact in zip(messages, facts, strict=True):
            if fact.kind is Action:
                for log in message.get("action_logs") or []:
                    logs[log.get("id")] = fact
        for message, fact in zip(messages, facts, strict=True):
            log = next(iter(message.get("action_logs") or []), {}) if fact.kind is Action else {}
            parent = logs.get(log.get("parent_id")) if log.get("parent_id") is not None else None
            if parent is not None and fact.fields["parent_id"] is None:
                parent.event_id = parent.event_id or derived_id(parent.at_us or 0, self._conversation_id, parent.part)
                fact.fields["parent_id"] = parent.event_id

    def _attachment(self, part: str, shape: dict[str, Any]) -> dict[str, Any]:
        sha256, data = shape.get("sha256"), shape.get("data")
        if sha256 is None:
            raise BadConversation(f"{part} has no sha256; `show --json` cannot carry attachments, `export` can")
        if data is not None:
            self._write(part, sha256, data)
        described = {name: self._texts(shape.get(name)) for name in ("filename", "mime_type")}
        return {"sha256": sha256, "size_bytes": shape.get("size_bytes"), **described}

    def _write(self, part: str, sha256: Any, data: Any) -> None:
        try:
            decoded = base64.b64decode(data, validate=True)
            written, _ = self._folder.write(decoded)
        except (TypeError, ValueError, binascii.Error, InvalidAttachmentException) as error:
            raise BadConversation(f"{part}: the data cannot be kept: {error}") from error
        if written != sha256:
            raise BadConversation(f"{part}: the data is not what its sha256 says; the file was changed or damaged")

    def feedbacks(self, value: dict[str, Any], ended: int) -> list[Fact]:
        """Return the judgements on the conversation."""
        facts = []
        for index, shape in enumerate(_objects(value, "feedbacks")):
            fields = {
                "sentiment": shape.get("sentiment"),
                "source": shape.get("source", "customer"),
                "comment": self._texts(shape.get("comment")),
                "metadata": self._limits.kept_document(shape.get("metadata")),
            }
            at_us = moment_us(shape.get("created_at"))
            facts.append(
                Fact(
                    Feedback,
                    f"feedbacks[{index}]",
                    ended if at_us is None else at_us,
                    fields,
                    self._event_id(shape.get("event_id")),
                )
            )
        return facts

    def token_usages(self, value: dict[str, Any], ended: int) -> list[Fact]:
        """Return each token usage, or where a line has only the sum, the sum."""
        shapes = _objects(value, "token_usages")
        total = value.get("token_usage")
        if not shapes and isinstance(total, dict):
            shapes = [total]
        facts = []
        for index, shape in enumerate(shapes):
            fields = {name: shape.get(name, 0) for name in _COUNTERS}
            fields["metadata"] = self._limits.kept_document(shape.get("metadata"))
            at_us = moment_us(shape.get("timestamp"))
            facts.append(
                Fact(
                    TokenUsage,
                    f"token_usages[{index}]",
                    ended if at_us is None else at_us,
                    fields,
                    self._event_id(shape.get("event_id")),
                )
            )
        return facts


def _objects(value: dict[str, Any], name: str, *, of: str = "") -> list[dict[str, Any]]:
    """Return a list of objects; nothing where the key is missing."""
    items = value.get(name)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadConversation(f"{of}{'.' if of else ''}{name} is not a list of objects")
    return items
