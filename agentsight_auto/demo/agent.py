"""A rule-based support agent: reads what a customer writes, asks tools, answers. No model, no network.

In: the text of one turn. Out: an `Answer`. Loses: nothing; a tool that fails is part of the answer.

The rules are generators that yield the tool calls they need, so that the same rules serve a thread (`answer`) and an
event loop (`answer_async`).
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from .. import track_action
from . import tools
from .desk import at_desk
from .shop import REFUND_DAYS, AlreadyShipped, CarrierTimeout, RefundWindowOver, ShopError, UnknownOrder, WrongPasscode
from .texts import ANSWERS

_ORDER = re.compile(r"\b[A-Z]-\d{4}\b")
_CODE = re.compile(r"\b\d{6}\b")
_STREET = re.compile(r"\b[A-Z]\w+(?: \w+)* \d{1,3}\b(?!-)")

_INTENTS = (
    ("human", r"human|real person|mensch|mitarbeiter|una persona|agente|humain|conseiller"),
    ("refund", r"refund|money back|geld zurück|erstatt|reembols|devoluci|rembours"),
    ("damage", r"damaged|broken|kaputt|beschädigt|dañad|rota|abîmé|cassé"),
    ("invoice", r"invoice|receipt|rechnung|factura|facture"),
    ("address", r"address|adresse|dirección"),
    ("search", r"do you have|looking for|habt ihr|ich suche|tenéis|busco|avez-vous|je cherche"),
    ("where", r"where|track|wo ist|paket|dónde|paquete|où|colis"),
    ("thanks", r"thank|danke|gracias|merci"),
)


class Call(NamedTuple):
    """A tool and what to call it with."""

    tool: Callable[..., Any]
    args: tuple[Any, ...]


class Answer(NamedTuple):
    """A text, and a document that goes with it."""

    text: str
    document: dict[str, Any] | None = None


Steps = Generator[Call, Any, Answer]


def understand(text: str) -> str | None:
    """Return what the customer wants; None if no rule says so."""
    lower = text.lower()
    return next((intent for intent, pattern in _INTENTS if re.search(pattern, lower)), None)


class Agent:
    """Serves one customer in their language, and remembers what the conversation is about."""

    def __init__(self, customer_id: str, language: str) -> None:
        self._customer_id = customer_id
        self._language = language
        self._intent: str | None = None
        self._rules: dict[str, Callable[[str], Steps]] = {
            "human": self._hand_over,
            "refund": self._refund,
            "damage": self._replace,
            "invoice": self._send_invoice,
            "address": self._change_address,
            "search": self._search,
            "where": self._track,
        }

    def answer(self, text: str) -> Answer:
        """Answer one turn on this thread."""
        steps = self._steps(text)
        result: Any = None
        error: ShopError | None = None
        while True:
            try:
                call = steps.send(result) if error is None else steps.throw(error)
            except StopIteration as stop:
                said: Answer = stop.value
                return said._replace(text="".join(tools.write_answer(said.text)))
            result = error = None
            try:
                result = call.tool(*call.args)
                if inspect.iscoroutine(result):
                    result = asyncio.run(result)
            except ShopError as failure:
                error = failure

    async def answer_async(self, text: str) -> Answer:
        """Answer one turn on an event loop: async tools are awaited, the others run in threads of their own."""
        steps = self._steps(text)
        result: Any = None
        error: ShopError | None = None
        while True:
            try:
                call = steps.send(result) if error is None else steps.throw(error)
            except StopIteration as stop:
                said: Answer = stop.value
                return said._replace(text="".join([part async for part in tools.write_answer_async(said.text)]))
            result = error = None
            try:
                if inspect.iscoroutinefunction(call.tool):
                    result = await call.tool(*call.args)
                else:
                    result = await asyncio.to_thread(call.tool, *call.args)
            except ShopError as failure:
                error = failure

    def _steps(self, text: str) -> Steps:
        """Choose the rule for a text; a bare order number goes on with what was asked before."""
        with at_desk("understand"), track_action("understand") as action:
            intent = understand(text) or (self._intent if _ORDER.search(text) else None)
            action.response = {"intent": intent}
        if intent is None:
            return self._said("not_understood")
        if intent == "thanks":
            return self._said("welcome")
        self._intent = intent
        return (yield from self._about_an_order(intent, text))

    def _said(self, key: str, **values: object) -> Answer:
        return Answer(ANSWERS[key][self._language].format(**values))

    def _about_an_order(self, intent: str, text: str) -> Steps:
        """Make sure that there is an order wherever the rule needs one."""
        if intent in {"human", "search"}:
            return (yield from self._rules[intent](text))
        found = _ORDER.search(text)
        if found is None:
            return self._said("which_order")
        try:
            return (yield from self._rules[intent](text))
        except UnknownOrder:
            return self._said("unknown_order", order=found[0])

    def _track(self, text: str) -> Steps:
        order = yield Call(tools.find_order, (_order_in(text),))
        if order["status"] != "shipped":
            return self._said(order["status"], order=order["id"])
        try:
            shipment = yield Call(tools.track_shipment, (order["id"],))
        except CarrierTimeout:
            return self._said("carrier_silent")
        return self._said("on_its_way", order=order["id"], place=shipment["place"], days=shipment["days"])

    def _refund(self, text: str) -> Steps:
        order_id = _order_in(text)
        try:
            refund = yield Call(tools.refund_order, (order_id, text))
        except RefundWindowOver:
            return self._said("refund_over", order=order_id, days=REFUND_DAYS)
        return self._said("refunded", amount=f"{refund['amount_cents'] / 100:.2f} €")

    def _replace(self, text: str) -> Steps:
        order_id = _order_in(text)
        yield Call(tools.report_damage, (order_id, 1))
        return self._said("damage_noted", order=order_id)

    def _send_invoice(self, text: str) -> Steps:
        order_id = _order_in(text)
        document = yield Call(tools.make_invoice, (order_id,))
        answer = self._said("invoice", order=order_id)
        return answer._replace(document={"filename": f"invoice-{order_id}.pdf", "data": document})

    def _change_address(self, text: str) -> Steps:
        order_id = _order_in(text)
        code, street = _CODE.search(text), _STREET.search(text)
        try:
            yield Call(tools.verify_customer, (self._customer_id, code[0] if code else ""))
            yield Call(tools.change_address, (order_id, street[0] if street else ""))
        except WrongPasscode:
            return self._said("wrong_code")
        except AlreadyShipped:
            return self._said("address_too_late", order=order_id)
        return self._said("address_changed", order=order_id, street=street[0] if street else "")

    def _search(self, text: str) -> Steps:
        found = yield Call(tools.search_products, (text, self._language))
        if not found:
            return self._said("nothing_found")
        return self._said("found", names=", ".join(product["name"] for product in found))

    def _hand_over(self, text: str) -> Steps:
        yield Call(tools.fallback_to_human, (text,))
        return self._said("handed_over")

    def confirm(self, name: str) -> Answer:
        """Answer a pressed button that chose a product."""
        return Answer("".join(tools.write_answer(self._said("in_basket", name=name).text)))


def _order_in(text: str) -> str:
    found = _ORDER.search(text)
    return found[0] if found else ""
