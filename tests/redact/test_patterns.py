"""The ready patterns: what they take for personal data, what they leave, and how long they take."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto._setting_values import TEXT_PATTERNS
from agentsight_auto.redact.patterns import PATTERNS, mask_card, mask_email, mask_iban, mask_phone

EMAILS = ("ann@example.com", "ann.lee+shop@mail.example.co.uk", "jörg@müller.de", "a_b-c@x-y.io", "ann%40example.com")
IBANS = ("DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb29 nwbk 6016 1331 9268 19", "NO93 8601 1117 947")
CARDS = ("4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "3782 822463 10005")
PHONES = (
    "+49 176 1234567",
    "+4917612345678",
    "0049 (176) 123-4567",
    "0176/1234567",
    "(555) 123-4567",
    "555-123-4567",
    "5551234567",
    "+44 (0)20 7946 0958",
    "+1.555.123.4567",
)
NO_PHONES = (
    "2026-11-21",
    "21.11.2026",
    "01/02/2026",
    "192.168.100.100",
    "127.0.0.1:8080",
    "2026-11-21T08:30:00.123456Z",
    "A-17",
    "12345",
    "12.50",
    "0.1234567",
    "order 1234567",
    "v1.2.3-20260101",
    "019ab3c4-7d2e-7f00-8000-012345678901",
)


def test_the_setting_names_the_patterns_there_are() -> None:
    """The names that the setting accepts and the patterns are the same."""
    assert set(TEXT_PATTERNS) == set(PATTERNS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("email", text) for text in EMAILS),
        *(("iban", text) for text in IBANS),
        *(("card", text) for text in CARDS),
        *(("phone", text) for text in PHONES),
    ],
)
def test_each_is_replaced_within_a_sentence(name: str, text: str) -> None:
    """Nothing of it is left, and nothing else is gone."""
    for sentence in ("Mine is {} today.", "{}", "({})", "a, {}, b", "{}\nnext line"):
        assert PATTERNS[name](sentence.format(text)) == sentence.format(f"[{name}]"), sentence


@pytest.mark.parametrize("text", NO_PHONES)
def test_dates_addresses_and_short_numbers_are_no_phone_numbers(text: str) -> None:
    """What only looks like digits in groups stays."""
    assert mask_phone(f"See {text} please") == f"See {text} please"


def test_wrong_check_digits_are_no_iban_and_no_card() -> None:
    """A number that fails its check is another kind of number."""
    for text in ("DE88370400440532013000", "4111 1111 1111 1112"):
        assert mask_card(mask_iban(text)) == text


def test_a_number_beside_a_card_does_not_hide_it() -> None:
    """Digits right before or behind belong to it or not: the card goes in either case."""
    assert mask_card("2 4111 1111 1111 1111 12") == "2 [card] 12"
    assert mask_card("4111 1111 1111 1111 5500 0000 0000 0004") == "[card] [card]"


@given(st.text(alphabet="0123456789 .-+()/@a%", max_size=200))
def test_any_text_is_read(text: str) -> None:
    """No text makes a pattern fail, and a second time changes nothing of addresses."""
    for rewrite in PATTERNS.values():
        assert isinstance(rewrite(text), str)
    assert mask_email(mask_email(text)) == mask_email(text)


@pytest.mark.parametrize(
    "unit", ["a", "a.", "1 ", "1", "DE12 ", "+1", "@", "a@", "a@b", "0(", "AB12CD34 ", "%40", "-1"]
)
def test_no_text_makes_a_pattern_slow(unit: str) -> None:
    """Twice the text takes no more than a little over twice the time: nothing goes back over what it has read."""
    text = unit * (100_000 // len(unit))
    for name, rewrite in PATTERNS.items():
        began = time.process_time()
        rewrite(text)
        assert time.process_time() - began < 1.5, name


def test_a_large_message_is_done_in_a_moment() -> None:
    """All four over 64 KiB of usual text."""
    sentence = "I ordered 17 shirts on 2026-11-21 for 12.50 EUR, write to ann@example.com or call +49 176 1234567."
    text = " ".join(random.Random(1).choices(sentence.split(), k=12_000))[: 64 * 1024]
    began = time.process_time()
    for rewrite in PATTERNS.values():
        text = rewrite(text)
    assert time.process_time() - began < 1.0
    assert "ann@" not in text
