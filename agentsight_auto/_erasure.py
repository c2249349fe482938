"""Erase everywhere this machine keeps something: store or API, outbox, refused and damaged events, attachments.

In: the id of a conversation or of a customer. Out: a receipt. Loses: what it is asked to, for good.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ._runtime import Runtime
from .deliver.erasing import Unwanted, erase_from_outbox

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
    receipt = backend.erase(conversation_id=conversation_id, customer_id=customer_id, at_us=at_us)
    settings = runtime.settings
    if settings.disabled:
        return receipt
    digests = set(receipt.pop("attachment_sha256"))
    unwanted = Unwanted(receipt["conversation_ids"], customer_id, at_us)
    swept, gone, kept = erase_from_outbox(settings.outbox_path, unwanted, wait_s=_PROCESSES_WAIT_S)
    lone = sorted((gone | digests) - kept)
    if settings.is_remote:
        runtime.attachments().remove(lone)
    else:
        backend.forget_contents(lone, at_us)
    return {**receipt, "outbox": msgspec.to_builtins(swept)}
