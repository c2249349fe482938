"""The text keys of JSON: clean, short, known to be harmless or masked.

In: a key as text. Out: the name that stands for it, what it costs in a copy, and whether it marks a secret.
Loses: what is longer than 128 characters or 160 bytes.
"""

from __future__ import annotations

import msgspec

from .redaction import marks_secret
from .text import fit_text

MAX_NAME_CHARS = 128

_MAX_NAME_BYTES = 160
_QUICK_CHARS = 25
"""Names up to this length are short enough even if each character is written as an escape."""
_ENTRY_BYTES = 12
_MAX_KNOWN_NAMES = 4096

_encode = msgspec.json.Encoder().encode

harmless_names: dict[str, int] = {}
"""Names that stand in a copy as they are, with their cost: the JSON with colon and comma, and 12 for the work."""

_secret_names: dict[str, int] = {}
"""Names that stand in a copy as they are, but not their values; with their cost."""


def read_name(key: str) -> tuple[str, int, bool]:
    """Return the name that stands for `key`, an exact str, its cost in bytes, and whether it marks a secret."""
    cost = harmless_names.get(key)
    if cost is not None:
        return key, cost, False
    cost = _secret_names.get(key)
    if cost is not None:
        return key, cost, True
    name = key
    if len(key) > _QUICK_CHARS or not key.isascii() or "\0" in key:
        name = fit_text(key[:MAX_NAME_CHARS], _MAX_NAME_BYTES)
        if len(name) < len(key):
            name += "…"
    is_secret = marks_secret(name)
    cost = len(_encode(name)) + 2 + _ENTRY_BYTES
    if name == key:
        _remember(_secret_names if is_secret else harmless_names, key, cost)
    return name, cost, is_secret


def _remember(names: dict[str, int], name: str, cost: int) -> None:
    if len(names) >= _MAX_KNOWN_NAMES:
        names.clear()
    names[name] = cost
