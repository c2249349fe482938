"""Erase everywhere this machine keeps something: store or API, outbox, refused and damaged events, attachments.

In: the id of a conversation or of a customer. Out: a receipt. Loses: what it is asked to, for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from ._runtime import Runtime
from .deliver.erasing import Unwanted, erase_from_outbox

if TYPE_CHECKING:
    from .query.backend import Backend

_PROCESSES_WAIT_S = 5.0


def erase(
    runtime: Runtime, *, conversation_id: int | str | None = None, customer_id: str | None = None
) -> dict[str, Any]:
    """Erase one conversation or all of a customer, and return the receipt.

    Waits at most 5 s for the store, and 5 s for other processes that are about to deliver some of it; what they
    deliver later is not stored.

    Raises:
        InvalidQueryException: not exactly one of the two ids, or an empty one.
        NotFoundException: there is no conversation with this integer id.
        StoreException: the store cannot be written to.
        OSError: the outbox cannot be written to.
    """
    backend = runtime.backend()
    at_us = runtime.clock.now_us()
    settings = runtime.settings
    first, digests = None, set[str]()

    def forget(lone: set[str]) -> None:
        if settings.is_remote:
            runtime.attachments().remove(lone)
        else:
            backend.forget_contents(sorted(lone), at_us)

    if customer_id and conversation_id is None and not settings.disabled:
        # What waits or was refused names its conversation only: it goes while the store still knows whose that is, so
        # that an erasure which is killed after the store has forgotten leaves none of it.
        unwanted = Unwanted(_conversations_of(backend, customer_id), customer_id, at_us)
        first, digests, _ = erase_from_outbox(settings.outbox_path, unwanted, wait_s=0, forget=forget)
    receipt = backend.erase(conversation_id=conversation_id, customer_id=customer_id, at_us=at_us)
    if settings.disabled:
        return receipt
    digests.update(receipt.pop("attachment_sha256"))
    unwanted = Unwanted(receipt["conversation_ids"], customer_id, at_us)
    swept, gone, kept = erase_from_outbox(settings.outbox_path, unwanted, wait_s=_PROCESSES_WAIT_S, forget=forget)
    swept = swept if first is None else swept.after(first)
    forget((gone | digests) - kept)
    return {**receipt, "outbox": msgspec.to_builtins(swept)}


def _conversations_of(backend: Backend, customer_id: str) -> list[str]:
    """Return the text ids of a customer's conversations, hidden ones too."""
    ids: list[str] = []
    filters = {"customer_id": customer_id, "include_deleted": True}
    cursor: str | None = None
    while True:
        page = backend.fetch_conversations(page=1, page_size=100, cursor=cursor, count=False, filters=filters)
        ids += [row["conversation_id"] for row in page["results"]]
        if page["next"] is None:
            return ids
        cursor = dict(parse_qsl(urlsplit(page["next"]).query)).get("cursor", page["next"])
