"""What a model was asked and what it replied, in words that no SDK owns; extractors turn SDK objects into these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

LONGEST_TEXT = 256 * 1024
"""Characters of a streamed reply that are kept while it arrives."""

_ORDINARY_TIERS = frozenset({"", "auto", "default", "standard"})


class Usage(NamedTuple):
    """Tokens of one call. `prompt` is all input, cached tokens included; the others below it are parts of it."""

    prompt: int = 0
    completion: int = 0
    embedding: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    has_list_price: bool = True
    """Whether the list price per token applies: not for audio, batches or other tiers of service."""

    def plus(self, other: Usage) -> Usage:
        """Return both together."""
        counters = self._asdict().keys() - {"has_list_price"}
        both = {name: getattr(self, name) + getattr(other, name) for name in counters}
        return Usage(**both, has_list_price=self.has_list_price and other.has_list_price)


class Said(NamedTuple):
    """One entry of a prompt: its role and its text ('' for what is no text)."""

    role: str
    text: str


class Request(NamedTuple):
    """What was asked: `operation` is ``chat`` or ``embeddings``."""

    operation: str
    provider: str
    model: str
    function: str
    parameters: Mapping[str, Any] = {}
    prompt: Callable[[], list[Said]] = list
    """Reads the prompt; called only where messages are recorded."""
    thread: str = ""
    """Tells prompts apart that send only their newest part: the id of what they continue."""


class ToolCall(NamedTuple):
    """A call that the model asked for; `arguments` as the provider gave them, JSON text or an object."""

    name: str
    arguments: Any


class Reply(NamedTuple):
    """What came back, as far as it is known."""

    model: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    text: str = ""

    def with_plain_texts(self) -> Reply:
        """Return it with texts where a provider has sent something else."""
        return self._replace(
            model=_text_or_none(self.model),
            response_id=_text_or_none(self.response_id),
            finish_reason=_text_or_none(self.finish_reason),
        )


def _text_or_none(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


class Accumulator(Protocol):
    """Collects a streamed reply; pure."""

    def add(self, item: Any) -> bool:
        """Take one item of the stream; return whether it carries content (text, or a call of a tool)."""

    def reply(self) -> Reply:
        """Return what is known so far."""


def get(value: Any, *path: str) -> Any:
    """Return a field of an object or of a mapping, and fields of that; None where one is missing."""
    for name in path:
        if value is None:
            return None
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def items(value: Any) -> list[Any]:
    """Return a list as it is, and anything else as an empty one."""
    return list(value) if isinstance(value, (list, tuple)) else []


def number(value: Any) -> int:
    """Return a count of tokens; 0 for what is none."""
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else 0


def text_of(content: Any) -> str:
    """Return the text of a content: itself, or that of its parts together; '' where there is none."""
    if isinstance(content, str):
        return content
    parts = (part if isinstance(part, str) else get(part, "text") for part in items(content))
    return "\n".join(part for part in parts if isinstance(part, str) and part)


def is_ordinary_tier(tier: Any) -> bool:
    """Tell whether the list price applies to this tier of service."""
    return tier is None or str(tier).lower() in _ORDINARY_TIERS


def newest(prompt: Iterable[Said]) -> tuple[int, list[str]]:
    """Return how often the customer has spoken, and what they said since the model or a tool last spoke."""
    count, texts = 0, list[str]()
    for said in prompt:
        if said.role in {"user", "human"}:
            count += 1
            texts += [said.text] if said.text.strip() else []
        elif said.role not in {"system", "developer"}:
            texts = []
    return count, texts
