"""Who writes to the shop and what about: the conversations of a demo, settled before the first one begins.

In: a number and a seed. Out: cases, the same for the same seed. Loses: nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from .shop import PRODUCTS, Purchase
from .texts import COMMENTS, LANGUAGES, PHRASES


class Turn(NamedTuple):
    """What a customer does: says a text, with a photo perhaps, or presses the button of a product."""

    text: str
    has_photo: bool = False
    sku: str | None = None


class Case(NamedTuple):
    """One conversation to come: `known` goes to `conversation()`, `feedback` is sentiment and comment."""

    known: dict[str, Any]
    purchase: Purchase
    turns: tuple[Turn, ...]
    feedback: tuple[str, str | None] | None


class Scenario(NamedTuple):
    """A story: its share, what the customer says (keys of `PHRASES`), the state of the order, how they judge it."""

    name: str
    weight: int
    script: tuple[str, ...]
    sentiments: str
    status: str = "shipped"
    age_days: int = 5
    unanswered: int = 0


_SCENARIOS = (
    Scenario("Where is my parcel", 18, ("where", "thanks"), "++-0"),
    Scenario("Parcel delivered, they say", 5, ("where", "insist"), "0-", status="delivered"),
    Scenario("Order not sent yet", 8, ("where", "mumble", "thanks"), "+00", status="packing"),
    Scenario("Carrier slow", 9, ("where", "thanks"), "+0", unanswered=1),
    Scenario("Carrier silent", 7, ("where", "insist"), "--0", unanswered=2),
    Scenario("Mistyped order number", 9, ("mistyped", "correct", "thanks"), "++0"),
    Scenario("Refund", 14, ("refund", "thanks"), "+++", status="delivered", age_days=12),
    Scenario("Refund too late", 10, ("refund", "insist"), "---0", status="delivered", age_days=75),
    Scenario("Looking for a product", 20, ("search", "button", "thanks"), "++"),
    Scenario("Looking for what we do not sell", 5, ("search nothing", "thanks"), "0-"),
    Scenario("New address", 9, ("address", "thanks"), "+", status="packing"),
    Scenario("New address too late", 6, ("address", "insist"), "-0"),
    Scenario("Wrong code", 5, ("address wrong", "address", "thanks"), "0+", status="packing"),
    Scenario("Invoice", 12, ("invoice", "thanks"), "+", status="delivered"),
    Scenario("Arrived damaged", 10, ("damage", "thanks"), "+0", status="delivered"),
    Scenario(
        "One thing after another",
        7,
        ("search", "button", "damage", "refund", "insist"),
        "-0",
        status="delivered",
        age_days=44,
    ),
)

_SOURCES = ("web", "web", "web", "whatsapp", "whatsapp", "voice", "email")
_DEVICES = {"web": ("desktop", "mobile", "tablet"), "whatsapp": ("mobile",), "voice": ("mobile",), "email": (None,)}
_PLANS = ("free", "free", "plus", "pro")
_PLACES = ("Rotterdam", "Graz", "Lyon", "Zaragoza", "Leeds")
_CARRIERS = ("north-parcel", "snail-express", "green-bike")
_STREETS = {"en": "Orchard Lane", "de": "Lindenweg", "es": "Calle Mayor", "fr": "Rue des Tilleuls"}
_KNOWN_ADDRESSES = ("81.2.69.142", "216.160.83.56", "89.160.20.112", "175.16.199.1")
"""Addresses of MaxMind's test database; all others are of the ranges kept for documentation (RFC 5737, RFC 3849)."""
_FEEDBACK_SHARE = 0.35
_SENTIMENTS = {"+": "positive", "0": "neutral", "-": "negative"}


def make_cases(number: int, *, seed: int, run: str) -> list[Case]:
    """Return `number` cases; as far as it goes each scenario occurs, the rest follow the shares of the scenarios."""
    random_ = random.Random(seed)  # noqa: S311 - nothing here is secret
    scenarios = list(_SCENARIOS[:number])
    weights = [scenario.weight for scenario in _SCENARIOS]
    scenarios += random_.choices(_SCENARIOS, weights, k=number - len(scenarios))
    random_.shuffle(scenarios)
    return [_case(random_, index, scenario, run) for index, scenario in enumerate(scenarios, 1)]


def _case(random_: random.Random, index: int, scenario: Scenario, run: str) -> Case:
    source = random_.choice(_SOURCES)
    language = random_.choice(LANGUAGES)
    purchase = _purchase(random_, index, scenario)
    known = {
        "conversation_id": f"{run}-{index:04}",
        "customer_id": purchase.customer_id,
        "customer_ip_address": _address(random_, index),
        "device": random_.choice(_DEVICES[source]),
        "source": source,
        "language": language,
        "name": scenario.name,
        "environment": "production",
        "metadata": {
            "plan": purchase.plan,
            "demo": {"run": run},
            "shop": {"region": "eu", "returning": index % 3 == 0},
        },
    }
    turns = tuple(_turn(random_, key, language, purchase) for key in scenario.script)
    return Case(known, purchase, turns, _feedback(random_, scenario.sentiments, language))


def _purchase(random_: random.Random, index: int, scenario: Scenario) -> Purchase:
    return Purchase(
        customer_id=f"customer-{index:04}",
        plan=random_.choice(_PLANS),
        passcode=f"{random_.randrange(10**6):06}",
        order_id=f"A-{1000 + index:04}",
        sku=random_.choice(PRODUCTS)[0],
        quantity=random_.choice((1, 1, 1, 2, 3)),
        status=scenario.status,
        age_days=scenario.age_days,
        carrier=random_.choice(_CARRIERS),
        place=random_.choice(_PLACES),
        days=random_.randint(1, 5),
        unanswered=scenario.unanswered,
    )


def _turn(random_: random.Random, key: str, language: str, purchase: Purchase) -> Turn:
    _, _, _, names = next(product for product in PRODUCTS if product[0] == purchase.sku)
    if key == "button":
        return Turn(names[language], sku=purchase.sku)
    product = names[language] if key == "search" else _UNSOLD[language]
    # The number of another customer's order is never mistaken for this one: no order begins with B.
    order = purchase.order_id.replace("A", "B") if key == "mistyped" else purchase.order_id
    passcode = purchase.passcode[::-1] if key == "address wrong" else purchase.passcode
    if key == "address wrong" and passcode == purchase.passcode:
        passcode = f"{(int(passcode) + 1) % 10**6:06}"
    phrase = random_.choice(PHRASES[_PHRASE_OF.get(key, key)][language])
    street = f"{_STREETS[language]} {random_.randint(1, 98)}"
    return Turn(
        phrase.format(order=order, product=product, street=street, passcode=passcode), has_photo=key == "damage"
    )


_PHRASE_OF = {"mistyped": "where", "search nothing": "search", "address wrong": "address"}
_UNSOLD = {"en": "canoe", "de": "Angelrute", "es": "piragua", "fr": "pagaie"}


def _address(random_: random.Random, index: int) -> str:
    if index % 5 == 0:
        return random_.choice(_KNOWN_ADDRESSES)
    host = random_.randint(1, 254)
    return random_.choice((f"192.0.2.{host}", f"198.51.100.{host}", f"203.0.113.{host}", f"2001:db8::{host:x}"))


def _feedback(random_: random.Random, sentiments: Sequence[str], language: str) -> tuple[str, str | None] | None:
    if random_.random() >= _FEEDBACK_SHARE:
        return None
    sentiment = _SENTIMENTS[random_.choice(sentiments)]
    return sentiment, COMMENTS[sentiment][language] if random_.random() < 0.6 else None
