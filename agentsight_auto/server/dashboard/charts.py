"""Charts as SVG, made here: no script draws them, and they are readable without one.

In: numbers with labels. Out: markup. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup


class Bar(NamedTuple):
    """One bar: its value, what it stands for in words, and the page behind it."""

    value: float
    label: str
    href: str | None = None
    begin: str = ""
    end: str = ""


_BAR = Markup(
    '<g class="bar" data-from="{begin}" data-to="{end}"><title>{label}</title>'
    '<rect class="hit" x="{x}" y="0" width="{pitch}" height="{height}"/>'
    '<rect class="ink" x="{x}" y="{y}" width="{width}" height="{tall}" rx="1"/></g>'
)


def bars(items: Sequence[Bar], *, title: str, height: int = 64, width: int = 1000) -> Markup:
    """Return a strip of bars that fills its container's width; each bar with a page is a link."""
    most = max((item.value for item in items), default=0) or 1
    pitch = width / max(len(items), 12)
    parts = []
    for index, item in enumerate(items):
        tall = max(item.value / most * (height - 2), 1.5) if item.value else 0.5
        shape = _BAR.format(
            begin=item.begin, end=item.end, label=item.label, x=round(index * pitch, 2), pitch=round(pitch, 2),
            height=height, y=round(height - tall, 2), width=round(max(pitch * 0.82, 0.5), 2), tall=round(tall, 2),
        )  # fmt: skip
        if item.href and item.value:
            shape = Markup('<a href="{}" aria-label="{}">{}</a>').format(item.href, item.label, shape)
        parts.append(shape)
    return Markup(
        '<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="group" aria-label="{}">{}</svg>'
    ).format(width, height, title, Markup("").join(parts))


def share(value: float, most: float) -> Markup:
    """Return a thin bar for a row of a table; the number beside it says the same."""
    length = round(100 * value / most, 1) if most else 0
    return Markup(
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="6" rx="3"/><rect class="ink" width="{}" height="6" rx="3"/></svg>'
    ).format(length)


def line(values: Sequence[float | None], *, title: str, height: int = 40, width: int = 240) -> Markup:
    """Return a small line without axes; gaps stay gaps."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    most, step = max(known) or 1, width / max(len(values) - 1, 1)
    path, is_open = [], False
    for index, value in enumerate(values):
        if value is not None:
            path.append(f"{'L' if is_open else 'M'}{index * step:.1f} {height - 2 - value / most * (height - 4):.1f}")
        is_open = value is not None
    return Markup(
        '<svg class="line" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path d="{}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(width, height, title, "".join(path))


def heat(rows: Sequence[tuple[str, Sequence[float]]], columns: Sequence[str], *, title: str, cell: str) -> Markup:
    """Return a table of cells, darker where there is more; `cell` says one in words: ``{row} {column}: {value}``."""
    most = max((value for _, values in rows for value in values), default=0) or 1
    body = Markup("").join(
        Markup("<tr><th scope=row>{}</th>{}</tr>").format(
            name,
            Markup("").join(
                Markup('<td class="heat-{}" title="{}"><span class="unseen">{}</span></td>').format(
                    0 if not value else 1 + min(int(value / most * 5), 4),
                    cell.format(row=name, column=column, value=f"{value:g}"),
                    f"{value:g}",
                )
                for column, value in zip(columns, values, strict=True)
            ),
        )
        for name, values in rows
    )
    head = Markup("").join(
        Markup("<th scope=col{}>{}</th>").format("" if index % 3 == 0 else Markup(' class="minor"'), name)
        for index, name in enumerate(columns)
    )
    return Markup(
        '<table class="heat"><caption class="unseen">{}</caption><thead><tr><td></td>{}</tr></thead>'
        "<tbody>{}</tbody></table>"
    ).format(title, head, body)
