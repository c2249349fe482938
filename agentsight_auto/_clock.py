"""Time: a monotonic clock anchored to the wall clock, so that recorded time never runs backwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timezone

_REANCHOR_NS = 1_000_000_000


class Clock:
    """Tell the capture time in microseconds since 1970 (UTC) and durations from the same monotonic reading.

    A wall clock that steps back is ignored; one that is more than a second ahead is followed (see `reanchor`), so
    that the time of a laptop that slept is right again.
    """

    def __init__(
        self, *, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns
        self.offset_ns = wall_ns() - monotonic_ns()

    def now_us(self) -> int:
        """Return the time now, in microseconds since 1970 (UTC)."""
        return (self.monotonic_ns() + self.offset_ns) // 1000

    def reanchor(self) -> None:
        """Follow a wall clock that has moved more than 1 s ahead; called now and then, not per event."""
        ahead_ns = self._wall_ns() - self.monotonic_ns() - self.offset_ns
        if ahead_ns > _REANCHOR_NS:
            self.offset_ns += ahead_ns


def iso_from_us(at_us: int) -> str:
    """Return ISO 8601 in UTC with microseconds and ``Z``: ``2026-11-21T08:30:00.000000Z``."""
    seconds, micros = divmod(at_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=micros, tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def us_from_datetime(moment: datetime) -> int:
    """Return microseconds since 1970 (UTC); a moment without an offset is local time.

    Raises:
        OverflowError, OSError, ValueError: a moment that the platform cannot convert.
    """
    if moment.tzinfo is None:
        moment = moment.astimezone()
    delta = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def parse_moment(value: str | datetime) -> datetime:
    """Read a datetime or ISO 8601 text; a date alone is its midnight, a missing offset means local time.

    Raises:
        ValueError: the text is not a moment.
    """
    if not isinstance(value, datetime):
        # Python 3.10 reads neither Z nor fractions of any other length than 3 or 6.
        text = re.sub(r"[zZ]$", "+00:00", value.strip())
        text = re.sub(r"(?<=:\d\d)\.(\d+)", lambda found: "." + found[1][:6].ljust(6, "0"), text)
        value = datetime.fromisoformat(text)
    return value if value.tzinfo is not None else value.astimezone()
