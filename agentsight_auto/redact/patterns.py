"""Ready patterns: e-mail addresses, phone numbers, IBANs and card numbers in running text.

In: a text. Out: the text with ``[email]``, ``[phone]``, ``[iban]`` or ``[card]`` where one stood.
Loses: what looks like one and is none. They rather mask too much: an order number of ten digits
reads as a phone number.

Each takes time in proportion to the text: no pattern can be made slow by what a customer writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate

Rewrite = Callable[[str], str]

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")

_IBAN = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}", re.ASCII)
_IBAN_SHORTEST = 15
"""Norway's; the longest has 34 characters. Source: the IBAN registry of ISO 13616."""

_DIGITS_IN_GROUPS = re.compile(r"(?<!\d)\d{3,19}(?:[ \u00a0-]\d{3,6}){0,10}(?!\d)", re.ASCII)
_CARD_DIGITS = range(13, 20)
"""Length of a card number. Source: ISO/IEC 7812-1, with the 13 digits of older cards."""

_PHONE = re.compile(r"(?<![\w.,/:-])(?:\+|\(\+)?\(?\d(?:[ \u00a0()./-]{0,3}\d){6,14}(?!\w|[.,:/-]\d)", re.ASCII)
_NATIONAL = re.compile(r"\(?\d{3}\)?[ \u00a0.-]?\d{3}[ \u00a0.-]?\d{4}|\d{10,15}", re.ASCII)
_NOT_A_PHONE = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2}|\d{1,3}(?:\.\d{1,3}){3}", re.ASCII
)
"""Dates and IPv4 addresses."""


def mask_email(text: str) -> str:
    """Replace e-mail addresses."""
    return _EMAIL.sub("[email]", text) if "@" in text or "%40" in text else text


def mask_iban(text: str) -> str:
    """Replace IBANs, with or without spaces, whose check digits are right."""
    return _IBAN.sub(_without_iban, text)


def mask_card(text: str) -> str:
    """Replace card numbers of 13 to 19 digits, with or without spaces and hyphens, whose check digit is right."""
    return _DIGITS_IN_GROUPS.sub(_without_card, text)


def mask_phone(text: str) -> str:
    """Replace phone numbers of 7 to 15 digits: with a country code, with a leading 0, or in the American form."""
    return _PHONE.sub(_without_phone, text)


PATTERNS: dict[str, Rewrite] = {"email": mask_email, "iban": mask_iban, "card": mask_card, "phone": mask_phone}
"""In the order in which they are applied: the digits of an IBAN or a card are not taken for a phone number."""


def _without_iban(found: re.Match[str]) -> str:
    """Mask the longest run of whole groups whose check digits are right: a word behind an IBAN looks like a group."""
    text, rest = found[0], found.string[found.end() : found.end() + 1]
    ends = [
        match.end() for match in re.finditer(r"[A-Za-z0-9](?![A-Za-z0-9])", text + rest) if match.end() <= len(text)
    ]
    for end in reversed(ends):
        if _has_iban_check(text[:end]):
            return f"[iban]{text[end:]}"
    return text


def _has_iban_check(text: str) -> bool:
    compact = "".join(filter(str.isalnum, text))
    return (
        len(compact) >= _IBAN_SHORTEST
        and int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1
    )


def _without_card(found: re.Match[str]) -> str:
    """Mask every run of whole groups that is a card number: a number may stand right before or behind it."""
    text = found[0]
    groups = list(re.finditer(r"\d+", text))
    for first in range(len(groups)):
        lengths = list(accumulate(len(group[0]) for group in groups[first:]))
        for last in range(len(lengths) - 1, -1, -1):
            if lengths[last] in _CARD_DIGITS:
                start, end = groups[first].start(), groups[first + last].end()
                if _has_card_check(text[start:end]):
                    return f"{text[:start]}[card]{mask_card(text[end:])}"
    return text


def _has_card_check(text: str) -> bool:
    """Luhn's check. Source: ISO/IEC 7812-1, annex B."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + doubled) % 10 == 0


def _without_phone(found: re.Match[str]) -> str:
    text = found[0]
    bracket = "(" if text.startswith("(") and text.count("(") > text.count(")") else ""
    return f"{bracket}[phone]" if _is_phone(text.removeprefix(bracket)) else text


def _is_phone(text: str) -> bool:
    if text.startswith(("+", "(+", "00")):
        return True
    if _NOT_A_PHONE.fullmatch(text) or text.startswith("0."):
        return False
    return text.startswith(("0", "(0")) or _NATIONAL.fullmatch(text) is not None
