"""The timeline of one conversation: messages and nested actions on one axis, drawn as SVG.

In: a whole conversation. Out: markup, and its rows for those who read instead. Loses: nothing.
While the agent works the axis is true to time. While the customer thinks it is not: such a pause is as wide as any
other, and says how long it was, or else the work would be too thin to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from agentsight_auto._clock import parse_moment, us_from_datetime
from agentsight_auto.server.dashboard.entries import Entry, arrange
from agentsight_auto.server.dashboard.languages import Texts

_WIDTH, _NAMES, _ROW, _TOP = 1100, 250, 24, 30
_PAUSE = 40.0
_NAMED_PAUSE_US = 1_000_000
"""Shorter pauses are drawn without saying how long they were."""
_LEAST = 1.5


@dataclass(frozen=True)
class Mark:
    """One row: when it was, in microseconds, and what is written beside it."""

    begin_us: int
    end_us: int
    depth: int
    kind: str
    label: str
    duration_ms: float | None
    has_error: bool
    message_id: int


@dataclass(frozen=True)
class Axis:
    """The drawing and its rows."""

    svg: Markup
    marks: Sequence[Mark]


def draw(shape: dict[str, Any], texts: Texts) -> Axis | None:
    """Return the timeline; None for a conversation in which nothing happened."""
    marks = [mark for entry in arrange(shape) for depth, inner in entry.walk() if (mark := _mark(inner, depth, texts))]
    if not marks:
        return None
    stretches = _stretches(marks)
    scale = _Scale(stretches)
    height = _TOP + len(marks) * _ROW + 8
    parts = [
        _pause(scale.x(end), _duration(start - end, texts), height)
        for end, start in zip(
            [stretch[1] for stretch in stretches], [stretch[0] for stretch in stretches[1:]], strict=False
        )
    ]
    parts += [_row(index, mark, scale, texts) for index, mark in enumerate(marks)]
    svg = Markup(
        '<svg class="axis" viewBox="0 0 {} {}" width="{}" height="{}" role="group" aria-label="{}">{}</svg>'
    ).format(_WIDTH, height, _WIDTH, height, texts.t("timeline"), Markup("").join(parts))
    return Axis(svg, marks)


def _mark(entry: Entry, depth: int, texts: Texts) -> Mark | None:
    message, log = entry.message, entry.log
    at_us = us_from_datetime(parse_moment(message["timestamp"]))
    if log is None:
        label = texts.known("sender", message["sender"])
        return Mark(at_us, at_us, depth, message["sender"], label, entry.waited_ms, False, message["id"])
    duration_ms = log["duration_ms"]
    begin_us = us_from_datetime(parse_moment(log["started_at"])) if log["started_at"] else at_us
    end_us = begin_us + int((duration_ms or 0) * 1000)
    return Mark(
        begin_us,
        end_us,
        depth,
        "action",
        message["action_name"] or "",
        duration_ms,
        bool(log["error_message"]),
        message["id"],
    )


def _stretches(marks: Sequence[Mark]) -> list[tuple[int, int]]:
    """Return when the agent worked: from each message of the customer to the last thing before the next."""
    stretches: list[tuple[int, int]] = []
    for mark in sorted(marks, key=lambda mark: mark.begin_us):
        if not stretches or (mark.kind == "end_user" and mark.begin_us >= stretches[-1][1]):
            stretches.append((mark.begin_us, mark.end_us))
        else:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], mark.end_us))
    return stretches


class _Scale:
    def __init__(self, stretches: Sequence[tuple[int, int]]) -> None:
        self._stretches = stretches
        worked = sum(end - begin for begin, end in stretches) or 1
        room = _WIDTH - _NAMES - 80 - min(_PAUSE, 500 / len(stretches)) * (len(stretches) - 1)
        self.pause = min(_PAUSE, 500 / len(stretches))
        self._per_us = max(room, 100) / worked

    def x(self, at_us: int) -> float:
        left = float(_NAMES)
        for begin, end in self._stretches:
            if at_us <= end:
                return left + max(at_us - begin, 0) * self._per_us
            left += (end - begin) * self._per_us + self.pause
        return left - self.pause


def _row(index: int, mark: Mark, scale: _Scale, texts: Texts) -> Markup:
    y = _TOP + index * _ROW
    begin, end = scale.x(mark.begin_us), scale.x(mark.end_us)
    length = max(end - begin, _LEAST)
    shape = (
        Markup('<rect x="{}" y="{}" width="{}" height="12" rx="2"/>').format(round(begin, 1), y + 6, round(length, 1))
        if mark.kind == "action"
        else Markup('<circle cx="{}" cy="{}" r="5"/>').format(round(begin, 1), y + 12)
    )
    duration = "" if mark.duration_ms is None else texts.duration(mark.duration_ms)
    kind = f"{mark.kind}{' failed' if mark.has_error else ''}"
    indent = min(mark.depth, 8)
    after = begin + length + (6 if mark.kind == "action" else 10)
    return Markup(
        '<g class="mark {}"><title>{}</title><line x1="0" x2="{}" y1="{}" y2="{}"/>'
        '<a href="../#m{}"><text x="{}" y="{}">{}</text></a>{}<text class="length" x="{}" y="{}">{}</text></g>'
    ).format(
        kind,
        f"{mark.label} {duration}",
        _WIDTH,
        y + _ROW,
        y + _ROW,
        mark.message_id,
        8 + indent * 14,
        y + 16,
        mark.label[: 30 - 2 * indent],
        shape,
        round(after, 1),
        y + 16,
        duration,
    )


def _pause(x: float, duration: str, height: int) -> Markup:
    return Markup(
        '<g class="pause"><line x1="{0}" x2="{0}" y1="22" y2="{1}"/><text x="{0}" y="14">{2}</text></g>'
    ).format(round(x + 8, 1), height, duration)


def _duration(us: int, texts: Texts) -> str:
    return texts.duration(us / 1000) if us >= _NAMED_PAUSE_US else ""
