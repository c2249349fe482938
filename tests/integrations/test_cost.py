"""Prices: exact where the list has them, unpriced everywhere else."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.integrations.cost import TABLE, Price, Prices, cost_usd, load, price_of
from agentsight_auto.integrations.replies import Usage

TOKENS = st.integers(0, 10**9)


def test_the_table_says_its_date_and_its_source() -> None:
    """And every price in it is a positive number of dollars for a million tokens."""
    table = load()
    assert dt.date.fromisoformat(table.as_of) >= dt.date(2026, 11, 28)
    assert "openai.com" in table.source
    assert all(0 < price.input < 1000 and price.output >= 0 for price in table.models.values())
    assert TABLE.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/GPT-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gpt-4o-audio-preview", None),
        ("ft:gpt-4o-mini:me::1", None),
        ("my-model", None),
        ("", None),
    ],
)
def test_models_are_found_by_name_without_provider_and_date(model: str, listed: str | None) -> None:
    """A model that is only alike has no price."""
    table = load()
    assert price_of(model, table) == (table.models[listed] if listed else None)


def test_what_has_no_price_is_unpriced() -> None:
    """An unknown model, an unknown kind of token, too long a prompt, another tier: None, never 0."""
    table = Prices("2026-11-28", "test", {"m": Price(input=1, output=2, most_input_tokens=1000)})
    assert cost_usd("m", Usage(prompt=1000, completion=10), table) == pytest.approx(0.00102)
    assert cost_usd("x", Usage(prompt=1), table) is None
    assert cost_usd(None, Usage(prompt=1), table) is None
    assert cost_usd("m", Usage(prompt=1001), table) is None
    assert cost_usd("m", Usage(prompt=10, cache_read=5), table) is None
    assert cost_usd("m", Usage(prompt=10, has_list_price=False), table) is None


@given(prompt=TOKENS, completion=TOKENS, read=TOKENS, write=TOKENS)
def test_a_cost_is_the_sum_of_its_parts(prompt: int, completion: int, read: int, write: int) -> None:
    """Cached tokens are part of the prompt and are not charged twice."""
    price = Price(input=3, output=15, cache_read=0.3, cache_write=3.75, cache_write_1h=6)
    usage = Usage(prompt=prompt + read + write, completion=completion, cache_read=read, cache_write=write)
    cost = cost_usd("m", usage, Prices("", "", {"m": price}))
    assert cost == pytest.approx((prompt * 3 + completion * 15 + read * 0.3 + write * 3.75) / 1e6, abs=1e-11)


def test_a_file_of_ones_own_adds_models_and_wins(tmp_path: Path) -> None:
    """A negotiated price and a model of one's own; a file that cannot be read changes nothing."""
    path = tmp_path / "prices.json"
    own = {"as_of": "2026-12-01", "source": "our contract", "models": {"gpt-4o": {"input": 1, "output": 4}}}
    path.write_text(json.dumps(own))
    table = load(str(path))
    assert table.models["gpt-4o"] == Price(input=1, output=4)
    assert "gpt-4o-mini" in table.models
    assert table.as_of == "2026-12-01"
    path = tmp_path / "broken.json"
    path.write_text('{"models": {"gpt-4o": {"input": "a lot"}}}')
    assert load(str(path)) == load()
