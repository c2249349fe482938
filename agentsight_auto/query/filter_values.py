"""Check the documented filters and write them as the text of a URL, without knowing how they are answered.

In: parameters as a caller gave them. Out: the same as text. Loses: nothing; what cannot be read is an
`InvalidQueryException`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from typing import Any, TypeAlias

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query import parameters
from agentsight_auto.query.edit_values import SENTIMENTS
from agentsight_auto.query.metadata_terms import parse_metadata_terms

Reader: TypeAlias = Callable[[str, Any], Any]
"""Takes the name and the value of a parameter, and refuses what it cannot read."""

FEEDBACK_SOURCES = ("customer", "platform")
ORDERABLE = ("started_at", "ended_at", "id", "customer_id", "is_marked", "language")
MOMENTS = frozenset({"started_at_after", "started_at_before"})

_TEXTS = (
    "conversation_id", "customer_id", "customer_id__icontains", "name", "device", "source", "language",
    "customer_ip_address", "message_contains", "action_name", "metadata_key", "metadata_value", "search", "status",
    "insight", "country",
)  # fmt: skip
_FLAGS = ("is_marked", "include_deleted", "has_messages", "has_action", "has_feedback")


def read_ordering(value: object) -> tuple[str, bool]:
    """Read the `ordering` parameter: a field's name, with ``-`` before it for descending.

    Returns the name, and whether it is descending.
    """
    text = parameters.read_text("ordering", value).strip()
    name = text.removeprefix("-")
    if name not in ORDERABLE:
        accepted = f"one of {', '.join(ORDERABLE)}, with - before it for descending"
        raise parameters.unreadable("ordering", value, accepted)
    return name, text.startswith("-")


def _sentiment(name: str, value: Any) -> str:
    return parameters.read_choice(name, value, SENTIMENTS)


def _source(name: str, value: Any) -> str:
    return parameters.read_choice(name, value, FEEDBACK_SOURCES)


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(_TEXTS, parameters.read_text),
    **dict.fromkeys(_FLAGS, parameters.read_flag),
    **dict.fromkeys(sorted(MOMENTS), parameters.read_moment_us),
    **dict.fromkeys(("first_response_over_ms", "response_over_ms"), parameters.read_whole_number),
    "environment": parameters.read_environment,
    "env": parameters.read_environment,
    "feedback_sentiment": _sentiment,
    "feedback_source": _source,
    "metadata": lambda name, value: parse_metadata_terms(value),
    "ordering": lambda name, value: read_ordering(value),
}
"""How the value of each known filter is read."""


def check_filters(filters: Mapping[str, Any]) -> dict[str, str]:
    """Return the filters as text; None counts as not given, and what is not known goes along as it is written.

    Raises:
        InvalidQueryException: a value that cannot be read.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    for name, read in READERS.items():
        if name in given:
            read(name, given[name])
    if "metadata_value" in given and "metadata_key" not in given:
        raise parameters.unreadable("metadata_value", given["metadata_value"], "metadata_key with it")
    return {name: as_text(name, value) if name in READERS else _extra(name, value) for name, value in given.items()}


def as_text(name: str, value: Any) -> str:
    """Write the value of a known filter; a moment gets its offset."""
    if isinstance(value, parameters.AnyOf):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if name in MOMENTS:
        return iso_from_us(parameters.read_moment_us(name, value))
    return parameters.read_text(name, value)


def _extra(name: str, value: Any) -> str:
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, date):
        return iso_from_us(parameters.read_moment_us(name, value))
    if isinstance(value, float):
        return repr(value)
    return as_text(name, value)
