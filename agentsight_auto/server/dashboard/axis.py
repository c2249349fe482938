"""The timeline of one conversation: messages, nested actions and model calls on one axis, drawn as SVG.

In: what `Board.timeline` returns. Out: markup, and its rows for those who read instead. Loses: nothing.
While the agent works the axis is true to time. While the customer thinks it is not: such a pause is as wide as any
other, and says how long it was, or else the work would be too thin to be seen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from markupsafe import Markup

from agentsight_auto.server.dashboard.languages import Texts
from agentsight_auto.server.dashboard.markup import visible

_WIDTH, _NAMES, _ROW, _TOP = 1100, 270, 26, 30
_ROOM_AFTER = 175
_PAUSE = 40.0
_ALL_PAUSES = 400.0
_NAMED_PAUSE_MS = 1000
"""Shorter pauses are drawn without saying how long they were."""
_LEAST = 2.0
_LABEL = 36
_DEEPEST = 12
PART = 250
"""So many rows are on one page."""


class Row(NamedTuple):
    """One row: when it was, in milliseconds since the beginning, and what is written beside it.

    An answer has `waited_ms`, from the question on, of which `busy_ms` passed in actions.
    """

    begin_ms: float
    duration_ms: float
    depth: int
    kind: str
    label: str
    message_id: int
    has_error: bool = False
    waited_ms: float | None = None
    busy_ms: float = 0.0


@dataclass(frozen=True)
class Axis:
    """The drawing and its rows; number `number` of `count` parts, from 1."""

    svg: Markup
    rows: Sequence[Row]
    number: int
    count: int


def draw(layout: Mapping[str, Any], texts: Texts, link: Callable[[int], str], number: int = 1) -> Axis | None:
    """Return one part of the timeline; None for a conversation in which nothing happened.

    `link` gives the page that shows a message of this id.
    """
    turns: dict[int, Mapping[str, Any]] = {}
    for turn in layout["turns"]:
        turns.setdefault(turn["answer_id"], turn)  # the first question that it answers
    rows = [_row(item, depth, turns, texts) for item, depth in _nested(layout["items"])]
    if not rows:
        return None
    count = -(-len(rows) // PART)
    number = min(max(number, 1), count)
    shown = rows[(number - 1) * PART : number * PART]
    return Axis(_drawing(shown, texts, link), shown, number, count)


def _nested(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Go through the items with what ran inside each of them after it; `items` are in order."""
    known = {item["id"] for item in items}
    inside: defaultdict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for item in items:
        inside[item["parent_id"] if item["parent_id"] in known else None].append(item)
    waiting = [(item, 0) for item in reversed(inside.pop(None, []))]
    while waiting or inside:
        if not waiting:  # what is left hangs in circles
            waiting.append((inside.pop(next(iter(inside)))[0], 0))
        item, depth = waiting.pop()
        yield item, depth
        waiting += [(child, depth + 1) for child in reversed(inside.pop(item["id"], []))]


def _row(item: Mapping[str, Any], depth: int, turns: Mapping[int, Mapping[str, Any]], texts: Texts) -> Row:
    kind, label = item["kind"], item["label"] or ""
    waited_ms, busy_ms = None, 0.0
    if kind not in {"action", "model_call"}:
        kind = item["sender"]
        label = f"{texts.known('sender', kind)}: {label}" if label else texts.known("sender", kind)
        turn = turns.get(item["message_id"])
        if turn is not None:
            waited_ms, busy_ms = turn["duration_ms"], turn["busy_ms"]
    return Row(
        item["offset_ms"], item["duration_ms"], depth, kind, " ".join(label[:200].split()), item["message_id"],
        item["is_error"], waited_ms, busy_ms,
    )  # fmt: skip


def _drawing(rows: Sequence[Row], texts: Texts, link: Callable[[int], str]) -> Markup:
    stretches = _stretches(rows)
    scale = _Scale(stretches)
    height = _TOP + len(rows) * _ROW + 8
    parts = [_pause(scale.x(end), start - end, height, texts) for (_, end), (start, _) in pairwise(stretches)]
    parts += [_drawn(index, row, scale, texts, link(row.message_id)) for index, row in enumerate(rows)]
    return Markup(
        '<svg class="axis" viewBox="0 0 {} {}" width="{}" height="{}" role="group" aria-label="{}">{}</svg>'
    ).format(_WIDTH, height, _WIDTH, height, texts.t("timeline"), Markup("").join(parts))


def _stretches(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Return when the agent worked: from each message of the customer to the last thing before the next."""
    stretches: list[tuple[float, float]] = []
    for row in sorted(rows, key=lambda row: row.begin_ms):
        end = row.begin_ms + row.duration_ms
        if not stretches or (row.kind == "end_user" and row.begin_ms >= stretches[-1][1]):
            stretches.append((row.begin_ms, end))
        else:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], end))
    return stretches


class _Scale:
    """Where a moment lies on the axis."""

    def __init__(self, stretches: Sequence[tuple[float, float]]) -> None:
        pause = min(_PAUSE, _ALL_PAUSES / len(stretches))
        worked = sum(end - begin for begin, end in stretches) or 1.0
        self._per_ms = (_WIDTH - _NAMES - _ROOM_AFTER - pause * (len(stretches) - 1)) / worked
        self._stretches = stretches
        self._ends = [end for _, end in stretches]
        self._lefts = []
        left = float(_NAMES)
        for begin, end in stretches:
            self._lefts.append(left)
            left += (end - begin) * self._per_ms + pause

    def x(self, at_ms: float) -> float:
        place = min(bisect_left(self._ends, at_ms), len(self._ends) - 1)
        begin, end = self._stretches[place]
        return self._lefts[place] + (min(max(at_ms, begin), end) - begin) * self._per_ms


def _drawn(index: int, row: Row, scale: _Scale, texts: Texts, href: str) -> Markup:
    y = _TOP + index * _ROW
    begin, end = scale.x(row.begin_ms), scale.x(row.begin_ms + row.duration_ms)
    length = max(end - begin, _LEAST)
    after, shape = begin + length + 6, Markup("")
    if row.kind in {"action", "model_call"}:
        shape = _bar(begin, y + 7, length)
    else:
        after = begin + 11
        if row.waited_ms is not None:
            asked = scale.x(row.begin_ms - row.waited_ms)
            shape = Markup('<rect class="wait" x="{}" y="{}" width="{}" height="4" rx="2"/>').format(
                round(asked, 1), y + 11, round(max(begin - asked, 0), 1)
            )
        shape += Markup('<circle cx="{}" cy="{}" r="5"/>').format(round(begin, 1), y + 13)
    told = duration_of(row, texts)
    indent = min(row.depth, _DEEPEST)
    return Markup(
        '<g class="mark {}{}"><title>{}</title><line x1="0" x2="{}" y1="{}" y2="{}"/>'
        '<a href="{}"><text x="{}" y="{}">{}</text></a>{}<text class="length" x="{}" y="{}">{}</text></g>'
    ).format(
        row.kind,
        " failed" if row.has_error else "",
        f"{visible(row.label)} {told}",
        _WIDTH,
        y + _ROW,
        y + _ROW,
        href,
        8 + indent * 12,
        y + 17,
        visible(_short(row.label, _LABEL - 2 * indent)),
        shape,
        round(after, 1),
        y + 17,
        told,
    )


def duration_of(row: Row, texts: Texts) -> str:
    """Write how long an action took, or an answer and how much of it passed in actions."""
    if row.waited_ms is not None:
        share = row.busy_ms / row.waited_ms if row.waited_ms else 0.0
        return texts.t("waited", duration=texts.duration(row.waited_ms), share=texts.percent(share, 0))
    return texts.duration(row.duration_ms) if row.kind in {"action", "model_call"} else ""


def _bar(x: float, y: int, length: float) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="12" rx="2"/>').format(round(x, 1), y, round(length, 1))


def _short(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1].rstrip() + "…"


def _pause(x: float, duration_ms: float, height: int, texts: Texts) -> Markup:
    told = texts.duration(duration_ms) if duration_ms >= _NAMED_PAUSE_MS else ""
    return Markup(
        '<g class="pause"><line x1="{0}" x2="{0}" y1="22" y2="{1}"/><text x="{0}" y="14">{2}</text></g>'
    ).format(round(x + 12, 1), height, told)
