"""What a call cost, by the providers' public list prices; what has no price is unpriced, never free.

In: a model's name and its usage. Out: US dollars, or None. Loses: nothing.
The table is prices.json beside this module, with its date and sources; the setting `prices` names a file of the same
form whose models are added and win.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import msgspec

from .._guard import warn_at_most_once_a_minute
from .replies import Usage

TABLE = Path(__file__).with_name("prices.json")

_VERSION = re.compile(r"(-\d{4}-\d\d-\d\d|[-@]\d{8}|-latest|-v\d+:\d+)$")
_PER_TOKENS = 1_000_000


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens; None where the provider names no price, which makes a call unpriced."""

    input: float
    output: float = 0.0
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    most_input_tokens: int | None = None
    """Longer prompts have another price, which is not in the table."""


class Prices(msgspec.Struct, frozen=True):
    """A price table: as of which day (ISO 8601), from where, and the models by name."""

    as_of: str
    source: str
    models: dict[str, Price]


@functools.lru_cache(maxsize=4)
def load(further: str | None = None) -> Prices:
    """Return the table, with the models of the file `further` added."""
    table = msgspec.json.decode(TABLE.read_bytes(), type=Prices)
    if further is None:
        return table
    try:
        own = msgspec.json.decode(Path(further).read_bytes(), type=Prices)
    except (OSError, msgspec.MsgspecError) as error:
        warn_at_most_once_a_minute("prices", "agentsight-auto: the prices of %s are not used: %s", further, error)
        return table
    return Prices(own.as_of, f"{own.source}; {table.source}", {**table.models, **own.models})


def price_of(model: str, prices: Prices) -> Price | None:
    """Return the price of a model: by its whole name, else without provider, else without date or version."""
    name = model.strip().lower()
    for candidate in (name, name.rpartition("/")[2], _VERSION.sub("", name.rpartition("/")[2])):
        if candidate in prices.models:
            return prices.models[candidate]
    return None


def cost_usd(model: str | None, usage: Usage, prices: Prices) -> float | None:
    """Return what a call cost; None where any part of it has no list price."""
    price = price_of(model or "", prices)
    if price is None or not usage.has_list_price:
        return None
    if price.most_input_tokens is not None and usage.prompt > price.most_input_tokens:
        return None
    write_1h = min(usage.cache_write_1h, usage.cache_write)
    parts = (
        (usage.cache_read, price.cache_read),
        (usage.cache_write - write_1h, price.cache_write),
        (write_1h, price.cache_write_1h),
    )
    total = (max(usage.prompt - usage.cache_read - usage.cache_write, 0) + usage.embedding) * price.input
    total += usage.completion * price.output
    for tokens, each in parts:
        if tokens and each is None:
            return None
        total += tokens * (each or 0.0)
    return round(total / _PER_TOKENS, 12)
