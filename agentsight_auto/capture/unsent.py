"""What a scope has recorded since its last send: its events as they wait, and of the oldest only what was let go.

In: what `Runtime.take_in` takes in. Out: events again, for `send_tracked_data()` and the summary.
Loses: what a send could have said of the oldest items (never the events themselves) when a scope does not send.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import filterfalse
from typing import NamedTuple, TypedDict

import msgspec

from .. import events
from .._lines import Captured

_KEPT_STUBS = 1_000
_TOKEN_USAGE = b'{"kind":"token_usage"'


class TokenTotals(TypedDict):
    """Tokens by the documented names."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    embedding_tokens: int


class Stub(NamedTuple):
    """What stays of an item whose content was let go."""

    id: str
    item_type: str
    at_us: int


Recorded = events.AnyEvent | Stub


class Unsent:
    """The events of one scope since its last send, as they wait to be written; `Runtime.take_in` appends them.

    A scope that never sends keeps about 1 MiB of them, the kind and time of the last 1,000 events before them, and
    the sum of all its tokens.
    """

    __slots__ = ("_older", "generation", "items", "limit_bytes", "size_bytes")

    def __init__(self, generation: int) -> None:
        self.limit_bytes = 1024 * 1024
        self.generation = generation  # the rest is what `start_afresh` does: each block makes one of these
        self.items: list[bytes | Captured] = []
        self.size_bytes = 0
        self._older: list[Recorded] = []

    def start_afresh(self, generation: int) -> None:
        """Begin with nothing, in a process of this generation."""
        self.generation = generation
        self.items = []
        self.size_bytes = 0
        self._older = []

    def peek(self) -> list[Recorded]:
        """Return the events so far."""
        return [*self._older, *map(_event_of, self.items.copy())]

    def usages(self) -> list[Recorded]:
        """Return what `peek` returns, without the trouble of reading other events than token usage."""
        return [*self._older, *map(_event_of, filter(_is_usage, self.items.copy()))]

    def take(self) -> list[Recorded]:
        """Return the events so far and start again."""
        taken = self.peek()
        del self.items[: len(taken) - len(self._older)]
        self._older = []
        self.size_bytes = 0
        return taken

    def let_go(self) -> None:
        """Keep of the events what `Stub` says, and the sum of the tokens; callers take turns."""
        self.size_bytes = 0
        items = self.items.copy()
        usages = [event for event in self._older if isinstance(event, events.TokenUsage)]
        stubs = [event for event in self._older if not isinstance(event, events.TokenUsage)]
        usages += [
            event for item in filter(_is_usage, items) if isinstance(event := _event_of(item), events.TokenUsage)
        ]
        stubs += map(_stub_of, list(filterfalse(_is_usage, items))[-_KEPT_STUBS:])
        older = [*([_sum_of(usages)] if usages else []), *stubs[-_KEPT_STUBS:]]
        del self.items[: len(items)]  # only now: what fails above, for want of room say, is tried again later
        self._older = older


def _is_usage(item: bytes | Captured) -> bool:
    return isinstance(item, bytes) and item.startswith(_TOKEN_USAGE)


class _Outline(msgspec.Struct):
    """What a stub says, of the line of any event."""

    id: str
    at_us: int
    kind: str
    sender: str = ""


_decode_outline = msgspec.json.Decoder(_Outline).decode


def _stub_of(item: bytes | Captured) -> Stub:
    outline = _decode_outline(item if isinstance(item, bytes) else item.line())
    return Stub(outline.id, _item_type(outline.kind, outline.sender), outline.at_us)


def _event_of(item: bytes | Captured) -> events.AnyEvent:
    return events.decode_event(item if isinstance(item, bytes) else item.line())


def _sum_of(usages: list[events.TokenUsage]) -> events.TokenUsage:
    return msgspec.structs.replace(usages[-1], **total_tokens(usages))


def item_type(event: Recorded) -> str:
    """Return the documented item type of an event; '' for what is no item of its own."""
    if isinstance(event, Stub):
        return event.item_type
    return _item_type(str(event.__struct_config__.tag), getattr(event, "sender", ""))


def _item_type(kind: str, sender: str) -> str:
    if kind == "message":
        return "question" if sender == "end_user" else "answer"
    return kind if kind in {"conversation", "action", "button", "attachments"} else ""


def total_tokens(recorded: Iterable[Recorded]) -> TokenTotals:
    """Sum the token usage among the events."""
    usages = [event for event in recorded if isinstance(event, events.TokenUsage)]
    return {
        "prompt_tokens": sum(usage.prompt_tokens for usage in usages),
        "completion_tokens": sum(usage.completion_tokens for usage in usages),
        "total_tokens": sum(usage.total_tokens for usage in usages),
        "embedding_tokens": sum(usage.embedding_tokens for usage in usages),
    }
