"""The text keys of JSON: clean, short, known to be harmless or masked.

In: a key as text. Out: the name that stands for it, what it costs in a copy, and whether it marks a secret.
Loses: what is longer than 128 characters or 160 bytes.
"""

from __future__ import annotations

import msgspec

from .redaction import is_secret_name
from .text import fit_text

MAX_NAME_CHARS = 128

_MAX_NAME_BYTES = 160
_QUICK_CHARS = 25
"""Names up to this length are short enough even if each character is written as an escape."""
_ENTRY_BYTES = 8
_MAX_KNOWN_NAMES = 4096

_encode = msgspec.json.Encoder().encode

harmless_names: dict[str, int] = {}
"""Names that stand in a copy as they are, with their cost: the JSON with colon and comma, and 8 for the work."""


def read_name(key: str) -> tuple[str, int, bool]:
    """Return the name that stands for `key`, an exact str, its cost in bytes, and whether it marks a secret."""
    cost = harmless_names.get(key)
    if cost is not None:
        return key, cost, False
    is_secret = is_secret_name(key)
    name = key
    if len(key) > _QUICK_CHARS or not key.isascii() or "\0" in key:
        name = fit_text(key[:MAX_NAME_CHARS], _MAX_NAME_BYTES)
        if len(name) < len(key):
            name += "…"
    cost = len(_encode(name)) + 2 + _ENTRY_BYTES
    if name == key and not is_secret:
        if len(harmless_names) >= _MAX_KNOWN_NAMES:
            harmless_names.clear()
        harmless_names[key] = cost
    return name, cost, is_secret
