"""The batch route: many events in one request, known by their ids, each answered for itself.

In: events. Out: their answers; those of events whose attachments cannot be taken now are missing.
Loses: attachment bytes that are gone here or that the server refuses, counted; the event that names them is delivered.

Source: this library's own server, which advertises the route as ``events-batch``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from agentsight_auto import _guard
from agentsight_auto._http.client import HttpClient
from agentsight_auto._http.messages import Request, compressed
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.recent import Recent
from agentsight_auto.deliver.verdicts import MISSING, SUCCESSES, Refused, failure, send
from agentsight_auto.events import Answer, AnyEvent, AttachmentRef, Attachments, Message, encode_event
from agentsight_auto.exceptions import InvalidAttachmentException
from agentsight_auto.store.attachments import AttachmentFolder

EVENTS = "/api/events/"
_GZIP_OVER_BYTES = 1024
_UPLOAD_S = 45.0
"""Seconds for one attachment. Source: the documented clients give a multipart upload as long."""
_NO_SPACE = 507
_STATUSES = frozenset({"stored", "duplicate", "rejected"})
_SPLITS = frozenset({400, 413, 422})


class _Result(msgspec.Struct):
    status: str
    id: str | None = None
    index: int | None = None
    reason: str | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Results).decode


class BatchRoute:
    """Deliver in batches through one client; `is_compressed`: the server takes gzip."""

    def __init__(self, client: HttpClient, attachments: AttachmentFolder) -> None:
        self.is_compressed = False
        self._client = client
        self._attachments = attachments
        self._uploaded: Recent[str, bool] = Recent(10_000)

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Upload what the events refer to, then the events.

        Raises:
            DeliveryError: not now; what was taken of it is known there as a repeat.
            RouteMissing: the server has no batch route any more.
        """
        ready = [event for event in batch if self._upload_attachments(event)]
        answers: list[Answer] = []
        parts: list[Sequence[AnyEvent]] = [ready] if ready else []
        while parts:
            part = parts.pop()
            try:
                answers += self._post(part)
            except Refused as refusal:
                if len(part) == 1:
                    answers.append(Answer(part[0].id, "rejected", str(refusal)))
                elif refusal.status in _SPLITS:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                else:
                    raise DeliveryError(f"{self._client.endpoint}{EVENTS} refuses batches: {refusal}") from refusal
        return answers

    def _post(self, part: Sequence[AnyEvent]) -> list[Answer]:
        body = b'{"events":[' + b",".join(map(encode_event, part)) + b"]}"
        headers = {"Content-Type": "application/json"}
        if self.is_compressed and len(body) > _GZIP_OVER_BYTES:
            body = compressed(body)
            headers["Content-Encoding"] = "gzip"
        reply = send(self._client, Request("POST", EVENTS, body=body, headers=headers))
        if reply.status == 415 and "Content-Encoding" in headers:
            self.is_compressed = False
            return self._post(part)
        if reply.status not in SUCCESSES:
            raise failure(self._client, Request("POST", EVENTS), reply)
        try:
            results = _decode(reply.body).results
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DeliveryError(f"{self._client.endpoint}{EVENTS}: the answer cannot be read: {error}") from error
        return list(_answers(part, results))

    def _upload_attachments(self, event: AnyEvent) -> bool:
        """Bring the bytes that an event refers to; False if they must wait."""
        refs = event.attachments if isinstance(event, (Message, Attachments)) else []
        return all(self._uploaded.get(ref.sha256) or self._upload(ref) for ref in refs)

    def _upload(self, ref: AttachmentRef) -> bool:
        try:
            path = self._attachments.path(ref.sha256)
            if not path.is_file():
                raise FileNotFoundError(path)
            request = Request(
                "PUT",
                f"/api/files/{ref.sha256}/",
                headers={"Content-Type": "application/octet-stream"},
                open_content=lambda: path.open("rb"),
                deadline_s=_UPLOAD_S,
            )
            reply = send(self._client, request)
        except (OSError, InvalidAttachmentException) as error:
            lose_attachment(ref, str(error))
            return True
        if reply.status == _NO_SPACE:
            return False
        if reply.status in MISSING or isinstance(problem := failure(self._client, request, reply), Refused):
            lose_attachment(ref, f"status {reply.status}: {reply.detail()}")
        elif reply.status not in {*SUCCESSES, 204}:
            raise problem
        else:
            self._uploaded.put(ref.sha256, True)
        return True


def lose_attachment(ref: AttachmentRef, reason: str) -> None:
    """Count an attachment whose bytes cannot be delivered."""
    _guard.failures["attachment not delivered"] += 1
    _guard.warn_at_most_once_a_minute(
        "attachment", "agentsight-auto: an attachment of %d bytes was not delivered: %s", ref.size_bytes, reason
    )


def _answers(part: Sequence[AnyEvent], results: Iterable[_Result]) -> Iterable[Answer]:
    """Match results to events by id, or by place where the server could not read the id."""
    ids = {event.id for event in part}
    for result in results:
        index = result.index
        event_id = result.id
        if event_id is None and index is not None and 0 <= index < len(part):
            event_id = part[index].id
        if event_id in ids and result.status in _STATUSES:
            yield Answer(event_id, result.status, result.reason)
