"""The shop: customers, products, orders, shipments and refunds in an SQLite database of its own, in memory.

In: customers with one order each. Out: plain dicts; what cannot be done is a `ShopError`. Loses: nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

REFUND_DAYS = 30

_SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, plan TEXT NOT NULL, passcode TEXT NOT NULL);
CREATE TABLE products (sku TEXT PRIMARY KEY, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE product_names (sku TEXT NOT NULL REFERENCES products, language TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE orders (
    id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers, sku TEXT NOT NULL REFERENCES products,
    quantity INTEGER NOT NULL, status TEXT NOT NULL, age_days INTEGER NOT NULL, street TEXT NOT NULL
);
CREATE TABLE shipments (
    order_id TEXT PRIMARY KEY REFERENCES orders, carrier TEXT NOT NULL, place TEXT NOT NULL, days INTEGER NOT NULL,
    unanswered INTEGER NOT NULL
);
CREATE TABLE refunds (order_id TEXT PRIMARY KEY REFERENCES orders, amount_cents INTEGER NOT NULL, reason TEXT NOT NULL);
"""

PRODUCTS: tuple[tuple[str, int, int, dict[str, str]], ...] = (
    ("JKT-01", 8900, 14, {"en": "rain jacket", "de": "Regenjacke", "es": "chubasquero", "fr": "veste de pluie"}),
    ("JKT-02", 12900, 3, {"en": "down jacket", "de": "Daunenjacke", "es": "plumífero", "fr": "doudoune"}),
    ("BAG-01", 6400, 22, {"en": "backpack", "de": "Rucksack-Tasche", "es": "mochila", "fr": "sac à dos"}),
    ("BAG-02", 3900, 8, {"en": "dry bag", "de": "Packtasche", "es": "bolsa estanca", "fr": "sac étanche"}),
    ("LMP-01", 2900, 40, {"en": "head lamp", "de": "Stirnlampe", "es": "linterna frontal", "fr": "lampe frontale"}),
    ("BTL-01", 1900, 65, {"en": "steel bottle", "de": "Stahlflasche", "es": "botella de acero", "fr": "gourde"}),
)


class ShopError(Exception):
    """The shop cannot do what was asked of it."""


class UnknownOrder(ShopError):
    """There is no order of this number."""


class RefundWindowOver(ShopError):
    """The order is too old to be refunded."""


class AlreadyShipped(ShopError):
    """The order has left the warehouse."""


class WrongPasscode(ShopError):
    """The customer's code is another one."""


class CarrierTimeout(ShopError):
    """The carrier did not answer in time."""


class Purchase(NamedTuple):
    """A customer and what they have ordered; the carrier leaves the first `unanswered` calls without an answer."""

    customer_id: str
    plan: str
    passcode: str
    order_id: str
    sku: str
    quantity: int
    status: str
    age_days: int
    carrier: str
    place: str
    days: int
    unanswered: int


class Shop:
    """The shop's database; its methods may be called from any thread."""

    def __init__(self, purchases: Iterable[Purchase]) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(_SCHEMA)
        self._fill(purchases)

    def _fill(self, purchases: Iterable[Purchase]) -> None:
        execute = self._database.execute
        execute("BEGIN")
        for sku, price_cents, stock, names in PRODUCTS:
            execute("INSERT INTO products VALUES (?, ?, ?)", (sku, price_cents, stock))
            for language, name in names.items():
                execute("INSERT INTO product_names VALUES (?, ?, ?)", (sku, language, name))
        for bought in purchases:
            execute("INSERT INTO customers VALUES (?, ?, ?)", (bought.customer_id, bought.plan, bought.passcode))
            order = (bought.order_id, bought.customer_id, bought.sku, bought.quantity, bought.status, bought.age_days)
            execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, '')", order)
            shipment = (bought.order_id, bought.carrier, bought.place, bought.days, bought.unanswered)
            execute("INSERT INTO shipments VALUES (?, ?, ?, ?, ?)", shipment)
        execute("COMMIT")

    def close(self) -> None:
        """Let the database go."""
        with self._lock:
            self._database.close()

    def _rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._database.execute(statement, values)]

    def order(self, order_id: str) -> dict[str, Any]:
        """Return an order with its price in cents.

        Raises:
            UnknownOrder: there is none of this number.
        """
        rows = self._rows(
            "SELECT orders.*, quantity * price_cents AS total_cents FROM orders JOIN products USING (sku) WHERE id = ?",
            order_id,
        )
        if not rows:
            raise UnknownOrder(f"there is no order {order_id}")
        return rows[0]

    def products(self, words: Iterable[str], language: str) -> list[dict[str, Any]]:
        """Return the products whose name has one of the words in it, the cheapest first."""
        statement = (
            "SELECT sku, name, price_cents, stock FROM product_names JOIN products USING (sku) "
            "WHERE language = ? ORDER BY price_cents"
        )
        wanted = [word.lower() for word in words]
        rows = self._rows(statement, language)
        return [row for row in rows if any(word in row["name"].lower() for word in wanted)]

    def check_passcode(self, customer_id: str, passcode: str) -> None:
        """Make sure that the customer knows their code.

        Raises:
            WrongPasscode: it is another one.
        """
        if not self._rows("SELECT 1 FROM customers WHERE id = ? AND passcode = ?", customer_id, passcode):
            raise WrongPasscode(f"not the code of customer {customer_id}")

    def change_street(self, order_id: str, street: str) -> None:
        """Send an order elsewhere.

        Raises:
            AlreadyShipped: it has left the warehouse.
        """
        if not self._rows(
            "UPDATE orders SET street = ? WHERE id = ? AND status = 'packing' RETURNING id", street, order_id
        ):
            raise AlreadyShipped(f"order {order_id} has left the warehouse")

    def pay_back(self, order_id: str, amount_cents: int, reason: str) -> None:
        """Book a refund; booking it again changes nothing."""
        self._rows("INSERT OR IGNORE INTO refunds VALUES (?, ?, ?)", order_id, amount_cents, reason)

    def shipment(self, order_id: str) -> dict[str, Any]:
        """Return the shipment of an order that exists."""
        return self._rows("SELECT * FROM shipments WHERE order_id = ?", order_id)[0]

    def next_call_is_answered(self, order_id: str) -> bool:
        """Return whether the carrier answers this call, and count the call."""
        return not self._rows(
            "UPDATE shipments SET unanswered = unanswered - 1 WHERE order_id = ? AND unanswered > 0 RETURNING order_id",
            order_id,
        )
