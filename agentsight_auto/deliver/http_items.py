"""The documented per-item routes: one request per event, in order, for servers without the batch route.

In: events. Out: an answer for each, told one by one as soon as it is there.
Loses: attachment bytes that are gone here or that the server refuses, counted. At least once: what was on its way when
the process died is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from agentsight_auto._http.client import HttpClient
from agentsight_auto._http.messages import Part, Request, as_json
from agentsight_auto.deliver import wire
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.http_batch import lose_attachment
from agentsight_auto.deliver.recent import Recent, Replies, integer
from agentsight_auto.deliver.verdicts import Refused, RouteMissing, ask
from agentsight_auto.events import (
    Answer,
    AnyEvent,
    AttachmentRef,
    Attachments,
    ConversationEnded,
    ConversationStarted,
    Message,
)
from agentsight_auto.exceptions import InvalidAttachmentException
from agentsight_auto.store.attachments import AttachmentFolder

_UPLOAD_S = 45.0
"""Seconds for one multipart upload. Source: the documented clients."""
_ENVIRONMENT = "development"
_JSON = {"Content-Type": "application/json"}
_File: TypeAlias = tuple[AttachmentRef, Path]


class ItemRoutes:
    """Deliver event by event through one client; `on_answer` hears each answer at once."""

    def __init__(self, client: HttpClient, attachments: AttachmentFolder, replies: Replies) -> None:
        self.on_answer: Callable[[Answer], None] = lambda answer: None
        self._client = client
        self._attachments = attachments
        self._replies = replies
        self._sent_messages: Recent[str, Any] = Recent(100)
        self._proven: set[str] = set()

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Send the events in order.

        Raises:
            DeliveryError: not now; what was answered before has been told to `on_answer`.
        """
        answers = []
        for event in batch:
            try:
                self._deliver(event)
                answer = Answer(event.id, "stored")
            except Refused as refusal:
                answer = Answer(event.id, "rejected", str(refusal))
            self.on_answer(answer)
            answers.append(answer)
        return answers

    def _deliver(self, event: AnyEvent) -> None:
        if isinstance(event, ConversationEnded):
            return  # the documented routes have nothing that says so
        if isinstance(event, Attachments):
            reply = self._send_attachments(event)
        else:
            reply = self._sent_messages.get(event.id) or self._send_json(event)
            if isinstance(event, Message) and event.attachments:
                self._sent_messages.put(event.id, reply)  # if the upload fails, the message is not sent twice
                self._link_attachments(event, reply)
        memory, key = self._replies.events, event.id
        if isinstance(event, ConversationStarted):
            memory, key = self._replies.conversations, event.conversation_id
        self._replies.put(memory, key, reply)

    def _send_json(self, event: AnyEvent) -> Any:
        known = self._replies.conversation_pk(event.conversation_id)
        try:
            return self._post_json(event, self._conversation_pk(event))
        except RouteMissing as missing:
            if known is None or not missing.reply.is_json:
                raise self._judged(event, missing) from missing
            self._replies.conversations.forget(event.conversation_id)  # it was not right any more
        try:
            return self._post_json(event, self._conversation_pk(event))
        except RouteMissing as missing:
            raise self._judged(event, missing) from missing

    def _post_json(self, event: AnyEvent, pk: int | None) -> Any:
        payload = wire.payload(event, pk)
        if payload is None:
            raise Refused(400, f"{type(event).__name__} has no documented route")
        path, fields = payload
        reply = ask(self._client, Request("POST", path, body=as_json(fields), headers=_JSON))
        self._proven.add(path)
        return reply

    def _judged(self, event: AnyEvent, missing: RouteMissing) -> Exception:
        """Tell an item that the server does not know from a server that is not the API."""
        payload = wire.payload(event, None)
        path = wire.ATTACHMENTS if payload is None else payload[0]
        if path in self._proven and missing.reply.is_json:
            return Refused(missing.reply.status, str(missing))
        return DeliveryError(
            f"{self._client.endpoint}{path} answered {missing.reply.status}. "
            "Is AGENTSIGHT_API_ENDPOINT the address of an AgentSight API?"
        )

    def _link_attachments(self, event: Message, reply: Any) -> None:
        """Upload what belongs to a message that is stored already; what is refused is counted."""
        try:
            if files := self._files(event):
                self._upload(event, files, integer(reply, "id"))
        except Refused as refusal:
            for ref in event.attachments:
                lose_attachment(ref, str(refusal))

    def _send_attachments(self, event: Attachments) -> Any:
        files = self._files(event)
        if not files:
            raise Refused(400, "none of its attachments is on this disk any more")
        return self._upload(event, files, None)

    def _upload(self, event: Message | Attachments, files: Sequence[_File], message_pk: int | None) -> Any:
        request = Request(
            "POST",
            wire.ATTACHMENTS,
            fields=wire.form_fields(event, self._conversation_pk(event), message_pk),
            open_parts=lambda: _parts(files),
            deadline_s=_UPLOAD_S,
        )
        try:
            reply = ask(self._client, request)
        except RouteMissing as missing:
            self._replies.conversations.forget(event.conversation_id)
            raise self._judged(event, missing) from missing
        self._proven.add(wire.ATTACHMENTS)
        return reply

    def _files(self, event: Message | Attachments) -> list[_File]:
        return [(ref, path) for ref in event.attachments if (path := self._path(ref)) is not None]

    def _conversation_pk(self, event: AnyEvent) -> int | None:
        """Return the integer id of an event's conversation; the server is asked, and told of it, if it has to be."""
        pk = self._replies.conversation_pk(event.conversation_id)
        if pk is not None or isinstance(event, ConversationStarted):
            return pk
        params = (("conversation_id", event.conversation_id),)
        try:
            reply = ask(self._client, Request("GET", wire.LOOKUP, params=params))
        except (RouteMissing, Refused):
            reply = self._open_conversation(event)
        self._replies.put(self._replies.conversations, event.conversation_id, reply)
        return integer(reply, "id")

    def _open_conversation(self, event: AnyEvent) -> Any:
        """Open a conversation of which nothing is known but its id, as the embedded store does by itself."""
        opened = ConversationStarted(event.id, event.conversation_id, event.at_us, environment=_ENVIRONMENT)
        try:
            return self._post_json(opened, None)
        except RouteMissing as missing:
            raise self._judged(opened, missing) from missing
        except Refused:
            return {}  # the event itself may still be taken by the text id

    def _path(self, ref: AttachmentRef) -> Path | None:
        """Return where the bytes lie; None, and counted, if they are gone."""
        try:
            path = self._attachments.path(ref.sha256)
            if path.is_file():
                return path
            lose_attachment(ref, "the file is gone")
        except (OSError, InvalidAttachmentException) as error:
            lose_attachment(ref, str(error))
        return None


def _parts(files: Sequence[_File]) -> list[Part]:
    return [
        (f"attachment_{index}", (ref.filename, path.open("rb"), ref.mime_type))
        for index, (ref, path) in enumerate(files)
    ]
