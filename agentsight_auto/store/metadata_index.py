"""Metadata as the inverted index sees it: pairs of a dotted path and the text of a value.

In: a metadata document. Out: the rows of `metadata_values` for it.
Loses: nothing that a filter ``a.b:value`` could ask for; a list is one value, its compact JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

encode_json = msgspec.json.Encoder().encode

_EXACT_INTEGERS = 2.0**53


def value_texts(value: Any) -> Iterator[str]:
    """Give the texts under which a value is found: text as it is, anything else as JSON, 2.0 also as 2."""
    if isinstance(value, str):
        yield value
        return
    yield encode_json(value).decode()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_INTEGERS:
        yield str(int(value))


def index_rows(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (path, value text) for every value of the document; nested objects give dotted paths."""
    rows: set[tuple[str, str]] = set()
    waiting: list[tuple[str, Any]] = list(document.items())
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting.extend([(f"{path}.{key}", inner) for key, inner in value.items()])
        elif isinstance(value, str):
            rows.add((path, value))
        else:
            rows.update((path, text) for text in value_texts(value))
    return rows
