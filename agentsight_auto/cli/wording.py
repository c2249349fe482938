"""Times, durations and sizes for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agentsight_auto._clock import parse_moment


def local_time(iso: str | None, *, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a moment in local time; nothing for None."""
    return "" if iso is None else parse_moment(iso).astimezone().strftime(form)


def milliseconds_between(begin: str | None, end: str | None) -> float | None:
    """Return the milliseconds between two moments."""
    if begin is None or end is None:
        return None
    delta = moment(end) - moment(begin)
    return delta.total_seconds() * 1000


def moment(iso: str) -> datetime:
    """Return a moment of the store."""
    return parse_moment(iso)


def duration(milliseconds: float | None) -> str:
    """Return a duration in the unit that suits it: ``80 µs``, ``4.2 ms``, ``1.3 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if milliseconds is None:
        return ""
    if milliseconds <= 0:
        return "0 ms"
    if milliseconds < 0.9995:
        return f"{max(milliseconds * 1000, 1):.0f} µs"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms".replace(".0 ms", " ms")
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    for size, name, small_size, small_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // small_size
            return f"{seconds // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{seconds} s"


def size(size_bytes: int | None) -> str:
    """Return a size in binary units: ``312 B``, ``1.5 KiB``, ``24.0 MiB``."""
    if size_bytes is None:
        return ""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1023.95 or unit == "GiB":
            break
    return f"{amount:.1f} {unit}"


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 conversation``, ``1,490 messages``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def cost_in_short(cost: dict[str, Any] | None) -> str:
    """Return what a conversation cost: ``$0.000360``, ``≥ $0.000360`` if some calls have no price, or ``unpriced``."""
    if cost is None:
        return ""
    if cost["cost_usd"] is None:
        return "unpriced"
    return f"{'≥ ' if cost['unpriced_calls'] else ''}${cost['cost_usd']:.6f}"
