"""The column ``known_at``: when each thing that is known of a conversation was captured, in few bytes.

In: moments by name, and the fields and the metadata that they belong to. Out: the text of the column, and back.
Loses: nothing.

Most conversations are described once, when they begin: that is `EVERYTHING` alone. Otherwise a JSON object has the
moment that most of the names share under `EVERYTHING`; the others follow with their own, null where nothing is known:
``{"*":1735844600000000,"environment":null}``. What an earlier version stored names all of them; that is read as well.
Whoever changes when a conversation began writes this column anew.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from agentsight_auto.store.metadata_index import encode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERYTHING = "*"
"""Every field that has a value and every key of the metadata, unless it is named itself."""

_FEWEST = 2
"""Names that have to share a moment to be worth it."""


def encode(
    known_at: Mapping[str, int], fields: Mapping[str, Any], metadata: Mapping[str, Any] | None, started_at_us: int
) -> str:
    """Return the text for moments by name; the same for the same moments, in whatever order they became known."""
    expected = _expected(fields, metadata)
    if set(known_at.values()) == {started_at_us} and known_at.keys() == set(expected):
        return EVERYTHING
    moments = Counter([known_at[name] for name in expected if name in known_at])
    common_us, names = min(moments.items(), key=lambda item: (-item[1], item[0]), default=(0, 0))
    if names < _FEWEST:
        return encode_json(dict(sorted(known_at.items()))).decode()
    written: dict[str, int | None] = {EVERYTHING: common_us}
    written.update((name, None) for name in expected if name not in known_at)
    if names < len(known_at):
        meant = {name for name in expected if known_at.get(name) == common_us}
        written.update((name, at_us) for name, at_us in known_at.items() if name not in meant)
    return encode_json(dict(sorted(written.items()))).decode()


def decode(
    text: str, fields: Mapping[str, Any], metadata: Mapping[str, Any] | None, started_at_us: int
) -> dict[str, int]:
    """Return the moments by name."""
    if text == EVERYTHING:
        return dict.fromkeys(_expected(fields, metadata), started_at_us)
    named: dict[str, int | None] = msgspec.json.decode(text)
    common_us = named.pop(EVERYTHING, None)
    if common_us is not None:
        named = {**dict.fromkeys(_expected(fields, metadata), common_us), **named}
    return {name: at_us for name, at_us in named.items() if at_us is not None}


def _expected(fields: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> list[str]:
    """Return the names that there are values of."""
    there = [name for name, value in fields.items() if value is not None]
    return [*there, *(f"metadata.{key}" for key in metadata)] if metadata else there
