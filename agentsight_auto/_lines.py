"""Events as lines of JSON: what waits in the buffer, and how it becomes what is written.

In: events, and what a hot path has left for later. Out: one line of JSON for each event. Loses: NUL characters and lone
surrogates, which neither JSON nor the store can hold; what cannot be put together at all, counted by `_guard.failures`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from ._guard import failures
from .events import AnyEvent, encode_event
from .snapshot import safe_json

_BACKSLASH = ord("\\")
"""Looked for as a number first: `bytes in bytes` takes longer than all the rest of encoding."""


class Captured(Protocol):
    """An event that is captured but not put together yet; nothing that it is made of changes any more."""

    def line(self) -> bytes:
        """Return the line of the event."""


def line_of(event: AnyEvent) -> bytes:
    """Return the line of an event, without a line end."""
    try:
        line = encode_event(event)
        if _BACKSLASH in line and b"\\u0000" in line:
            line = encode_event(_without_nul_and_surrogates(event))
    except UnicodeEncodeError:
        line = encode_event(_without_nul_and_surrogates(event))
    return line


def lines_of(items: Iterable[bytes | Captured]) -> list[bytes]:
    """Return the lines of what was captured; what cannot be put together is counted, and holds back nothing else.

    Raises:
        RecursionError, MemoryError: the caller has left no room for this; later, or on another thread, there may be.
    """
    lines = []
    for item in items:
        try:
            lines.append(item if type(item) is bytes else item.line())  # type: ignore[union-attr]
        except (RecursionError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - no log: this runs where a log handler would meet the lock of the writer
            failures[f"recording: {type(error).__name__}"] += 1
    return lines


def _without_nul_and_surrogates(event: AnyEvent) -> AnyEvent:
    return msgspec.convert(safe_json(msgspec.to_builtins(event)), type(event))
