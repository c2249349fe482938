"""The agent's tools: plain functions under `@track_action`, sync, async and streaming.

In: what the agent has understood. Out: what the shop knows; a `ShopError` where it cannot help.
Loses: nothing. Nothing in here times, logs or catches for the sake of recording: the decorator does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .. import track_action
from . import documents
from .desk import at_desk
from .shop import REFUND_DAYS, CarrierTimeout, RefundWindowOver

_CARRIER_TIMEOUT_S = 0.02
_CARRIER_ANSWER_S = 0.002
_WORDS_PER_PART = 4


@track_action
def find_order(order_id: str) -> dict[str, Any]:
    """Look an order up."""
    with at_desk("find_order") as shop:
        return shop.order(order_id)


@track_action
def search_products(text: str, language: str, limit: int = 3) -> list[dict[str, Any]]:
    """Find products whose names occur in the text."""
    with at_desk("search_products") as shop:
        words = [word for word in re.findall(r"\w+", text) if len(word) > 4]
        return shop.products(words, language)[:limit]


@track_action
def verify_customer(customer_id: str, passcode: str) -> bool:
    """Make sure that it is the customer who asks; the value of `passcode` is never recorded, its name says why."""
    with at_desk("verify_customer") as shop:
        shop.check_passcode(customer_id, passcode)
        return True


@track_action
def change_address(order_id: str, street: str) -> dict[str, Any]:
    """Send an order elsewhere, as long as it is here."""
    with at_desk("change_address") as shop:
        shop.change_street(order_id, street)
        return find_order(order_id)


@track_action
def check_refund_window(order_id: str) -> int:
    """Return how many days are left to give an order back."""
    with at_desk("check_refund_window"):
        age_days = find_order(order_id)["age_days"]
        if age_days > REFUND_DAYS:
            raise RefundWindowOver(f"order {order_id} is {age_days} days old, refunds end after {REFUND_DAYS}")
        return int(REFUND_DAYS - age_days)


@track_action("refund_order", metadata={"team": "payments"})
def refund_order(order_id: str, reason: str) -> dict[str, Any]:
    """Pay an order back: three actions, one inside the other."""
    with at_desk("refund_order") as shop:
        days_left = check_refund_window(order_id)
        amount_cents = find_order(order_id)["total_cents"]
        shop.pay_back(order_id, amount_cents, reason)
        return {"order_id": order_id, "amount_cents": amount_cents, "days_left": days_left}


@track_action
async def ask_carrier(carrier: str, order_id: str) -> dict[str, Any]:
    """Ask the carrier where a parcel is; some carriers take longer than the agent can wait."""
    with at_desk("ask_carrier") as shop:
        if not shop.next_call_is_answered(order_id):
            await asyncio.sleep(_CARRIER_TIMEOUT_S)
            raise CarrierTimeout(f"{carrier} did not answer within {_CARRIER_TIMEOUT_S * 1000:.0f} ms")
        await asyncio.sleep(_CARRIER_ANSWER_S)
        shipment = shop.shipment(order_id)
        return {"place": shipment["place"], "days": shipment["days"]}


@track_action
async def track_shipment(order_id: str) -> dict[str, Any]:
    """Find out where an order is, asking the carrier twice if need be."""
    with at_desk("track_shipment") as shop:
        carrier = shop.shipment(order_id)["carrier"]
        try:
            return await ask_carrier(carrier, order_id)
        except CarrierTimeout:
            return await ask_carrier(carrier, order_id)


@track_action
def make_invoice(order_id: str) -> bytes:
    """Return the invoice as a PDF; of bytes only their number is recorded."""
    with at_desk("make_invoice"):
        return documents.invoice(order_id, find_order(order_id)["total_cents"])


@track_action
def report_damage(order_id: str, photos: int) -> dict[str, Any]:
    """Order a replacement."""
    with at_desk("report_damage"):
        return {"replacement_of": find_order(order_id)["id"], "photos": photos}


@track_action
def fallback_to_human(reason: str) -> dict[str, str]:
    """Hand the conversation to a colleague."""
    with at_desk("fallback_to_human"):
        return {"queue": "support", "reason": reason}


@track_action("write_answer")
def write_answer(text: str) -> Iterator[str]:
    """Write the answer bit by bit, as a model would."""
    with at_desk("write_answer"):
        yield from _parts(text)


@track_action("write_answer")
async def write_answer_async(text: str) -> AsyncIterator[str]:
    """Write the answer bit by bit, letting others run in between."""
    with at_desk("write_answer"):
        for part in _parts(text):
            yield part
            await asyncio.sleep(0)


def _parts(text: str) -> Iterator[str]:
    words = re.findall(r"\s*\S+", text)
    for start in range(0, len(words), _WORDS_PER_PART):
        yield "".join(words[start : start + _WORDS_PER_PART])
