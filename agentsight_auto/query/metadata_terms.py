"""Read the `metadata` filter: ``plan:gold,address.city:Vienna``.

In: the text. Out: (dotted path, value) pairs that must all match. Loses: nothing.
"""

from __future__ import annotations

from agentsight_auto.query.parameters import read_text, unreadable

MOST_TERMS = 32
"""A query with more terms is refused: each is one more subquery."""


def parse_metadata_terms(value: object) -> list[tuple[str, str]]:
    """Split the filter into its terms.

    Each term is split at its first colon. A comma separates terms only where ``key:`` follows it, so that values may
    contain commas: ``note:hello, world,plan:gold`` has two terms.

    Raises:
        InvalidQueryException: not text, no ``key:`` at the start, or more than 32 terms.
    """
    terms: list[tuple[str, list[str]]] = []
    for piece in read_text("metadata", value).split(","):
        key, colon, rest = piece.partition(":")
        if colon and key.strip():
            terms.append((key.strip(), [rest]))
        elif terms:
            terms[-1][1].append(piece)
        else:
            raise unreadable("metadata", value, "key:value, with a comma between several and dots for nested keys")
    if len(terms) > MOST_TERMS:
        raise unreadable("metadata", value, f"at most {MOST_TERMS} key:value pairs")
    return [(path, ",".join(pieces)) for path, pieces in terms]
