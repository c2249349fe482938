"""What was chosen, in words: the values of facets, and one chip for each filter of an address.

In: parameters. Out: words, and the links that take a filter away. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentsight_auto.server.dashboard.asking import EVERYTHING, Asked
from agentsight_auto.server.dashboard.languages import Texts
from agentsight_auto.server.dashboard.visits import Visit


def _longer(texts: Texts, text: str) -> str:
    """Say of how long on a response was; the filter holds what it was longer than."""
    return f"\u2265 {texts.duration(int(text) + 1)}" if text.isascii() and text.isdigit() and len(text) < 16 else text


_WORDS: Mapping[str, Callable[[Texts, str], str]] = {
    "language": lambda texts, code: texts.language_name(code),
    "country": lambda texts, code: texts.country(code),
    "status": lambda texts, word: texts.known("outcome", word),
    "feedback_sentiment": lambda texts, word: texts.known("sentiment", word),
    "is_marked": lambda texts, word: texts.t("marked" if word == "true" else "not_marked"),
    "insight": lambda texts, word: texts.known("list", word),
    "first_response_over_ms": _longer,
    "response_over_ms": _longer,
}
_UNSAID = frozenset({"ordering", "range", "from", "to"})


def words_of(texts: Texts, parameter: str, value: str) -> str:
    """Return how a value of a filter is called in the reader's language; what was recorded stays as it is."""
    write = _WORDS.get(parameter)
    return value if write is None else write(texts, value)


def chips(visit: Visit, asked: Asked, path: str) -> list[dict[str, Any]]:
    """Return each filter that was chosen: what it is about, its value in words, and the page without it."""
    found = []
    for name, given in asked.given.items():
        if name in _UNSAID:
            continue
        for value in given if isinstance(given, tuple) else (given,):
            is_all = name == "environment" and value == EVERYTHING
            found.append({
                "label": visit.texts.known("filter", name),
                "value": visit.texts.t("everything") if is_all else words_of(visit.texts, name, value),
                "href": asked.toggled(path, name, value)
                if isinstance(given, tuple) and not is_all
                else asked.url(path, **{name: None}),
            })  # fmt: skip
    return found
