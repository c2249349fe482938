"""Run the user's processors over an event, on the thread that records it, and stand in for those that fail.

In: an event, its values bounded and safe. Out: the event to write, or None.
Loses: what a processor drops, by reason in `Processing.dropped`. Nothing of an event is written before this returns.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from agentsight_auto._guard import warn_at_most_once_a_minute
from agentsight_auto.events import Event
from agentsight_auto.redact.patterns import PATTERNS
from agentsight_auto.redact.texts import rewrite_texts

E = TypeVar("E", bound=Event)

SLOW_MS = 20.0
REDACTED = "[redacted]"
"""Stands for what a pattern of the user's own has found."""

_FAILED = "[redaction failed: "
_CUT = re.compile(r".{1,48}(?=… \[truncated)", re.DOTALL)
"""The end of a text that was cut: half a card number is there, which no pattern knows any more."""


class Processor(Protocol):
    """What `Processing.apply` is, for whoever records."""

    def apply(self, event: E) -> E | None:
        """Return the event to write; None if it is dropped."""


class Processing:
    """The processors of one set of settings: first the functions over events, then the redaction of every text.

    `redact` holds names of `PATTERNS`, compiled regular expressions, and functions from text to text; `processors`
    functions from an event to an event of the same kind and id, or to None.
    """

    def __init__(self, redact: Sequence[Any], processors: Sequence[Any], dropped: Counter[str]) -> None:
        self.dropped = dropped
        self._rewrites = _rewrites(redact)
        self._processors = tuple(processors)
        self._busy = threading.local()

    def apply(self, event: E) -> E | None:
        """Return the event to write; None if a processor drops it, or if a processor recorded it."""
        if getattr(self._busy, "is_busy", False):
            self.dropped["recorded_by_processor"] += 1
            return None
        self._busy.is_busy = True
        started_at = time.perf_counter()
        try:
            kept = self._processed(event)
            return (
                rewrite_texts(kept, self._rewrite, is_lost=_is_marker) if kept is not None and self._rewrites else kept
            )
        finally:
            self._busy.is_busy = False
            took_ms = (time.perf_counter() - started_at) * 1000
            if took_ms > SLOW_MS:
                message = "agentsight-auto: processors took %.0f ms for one event, and what records waits for them"
                warn_at_most_once_a_minute("slow processor", message, took_ms)

    def _processed(self, event: E) -> E | None:
        kept = event
        for processor in self._processors:
            try:
                result = processor(kept)
                if result is None:
                    self.dropped["dropped_by_processor"] += 1
                    return None
                kept = _checked(result, event)
            except Exception as error:  # noqa: BLE001 - fails closed, whatever fails
                return _marked(event, _told(processor, error))
        return kept

    def _rewrite(self, text: str) -> str:
        for rewrite in self._rewrites:
            try:
                text = _text(rewrite(text))
            except Exception as error:  # noqa: BLE001 - fails closed, whatever fails
                return _told(rewrite, error)
        return text


def _rewrites(redact: Sequence[Any]) -> tuple[Callable[[str], str], ...]:
    """Return the functions over texts: the user's own see the text first, then the patterns in their own order."""
    own = [_replacing(rule) if isinstance(rule, re.Pattern) else rule for rule in redact if not isinstance(rule, str)]
    ready = [rewrite for name, rewrite in PATTERNS.items() if name in redact]
    has_patterns = bool(ready) or any(isinstance(rule, re.Pattern) for rule in redact)
    return (*own, *ready, *([_without_cut_end] if has_patterns else []))


def _replacing(pattern: re.Pattern[str]) -> Callable[[str], str]:
    return lambda text: pattern.sub(REDACTED, text)


def _without_cut_end(text: str) -> str:
    return _CUT.sub("", text) if "… [truncated" in text else text


def _text(result: object) -> str:
    if type(result) is not str:
        raise TypeError
    return result


def _checked(result: Any, event: E) -> E:
    """Return a processor's result as a copy of its own.

    Raises:
        Exception: not an event of the same kind and id, or with fields that no event has.
    """
    kind = type(event)
    if type(result) is not kind:
        raise TypeError
    copy = msgspec.convert(msgspec.to_builtins(result), kind)
    if (copy.id, copy.conversation_id, copy.at_us) != (event.id, event.conversation_id, event.at_us):
        raise ValueError
    return copy


def _told(function: object, error: Exception) -> str:
    """Warn that a function of the user's has failed, and return the marker: both name the type of the error alone."""
    kind = type(error).__name__
    name = getattr(function, "__qualname__", None) or type(function).__name__
    warn_at_most_once_a_minute(
        f"redaction {name}",
        "agentsight-auto: the processor %s failed with %s: a marker is recorded in place of the text",
        name,
        kind,
    )
    return f"{_FAILED}{kind}]"


def _is_marker(text: str) -> bool:
    return text.startswith(_FAILED)


def _marked(event: E, marker: str) -> E:
    return rewrite_texts(event, lambda _: marker, is_lost=_is_marker)
