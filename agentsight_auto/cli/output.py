"""Where the command line writes: tables and text for people, JSON for programs, complaints on stderr.

In: recorded text, made clean by `recorded_text`. Out: stdout and stderr.
Colours and boxes appear on terminals only; elsewhere lines are as long as their text.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TextIO

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentsight_auto.cli.recorded_text import one_line

_UNLIMITED_WIDTH = 100_000


class Output:
    """The two streams of one invocation; with `is_json` nothing but JSON goes to stdout."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character
        self.console = _console(sys.stdout)
        self.error_console = _console(sys.stderr)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at stdout."""
        return self.console.is_terminal

    def print(self, text: Text | str = "") -> None:
        """Write clean text for people."""
        self.console.print(text, soft_wrap=not self.is_terminal)

    def print_hanging(self, head: Text, body: Text | str) -> None:
        """Write clean text beside a head, so that its further lines and what is wrapped stand under the first one."""
        body = Text(body) if isinstance(body, str) else body
        if self.is_terminal:
            grid = Table.grid()
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(head, body)
            self.console.print(grid)
            return
        for index, line in enumerate(body.split("\n", allow_blank=True)):
            beginning = head if index == 0 else Text(" " * head.cell_len)
            self.print(Text.assemble(beginning, line))

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Text | str]],
        *,
        right: Sequence[str] = (),
        fixed: Sequence[str] = (),
    ) -> None:
        """Write clean cells as a table, without a head if no column has a name.

        Columns in `right` are aligned there. The first column and those in `fixed` are never wrapped.
        """
        has_head = any(columns)
        if not self.is_terminal:
            lines = [columns, *rows] if has_head else list(rows)
            for line in _aligned(lines, [column in right for column in columns]):
                self.console.print(line, soft_wrap=True)
            return
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, show_header=has_head)
        for index, column in enumerate(columns):
            justify: Literal["left", "right"] = "right" if column in right else "left"
            table.add_column(column, justify=justify, overflow="fold", no_wrap=index == 0 or column in fixed)
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def json(self, document: Any) -> None:
        """Write one JSON document on one line."""
        self.write(msgspec.json.encode(document) + b"\n")

    def write_json(self, document: Any) -> None:
        """Write JSON that is a part of a larger document."""
        self.write(msgspec.json.encode(document))

    def write(self, data: bytes) -> None:
        """Write bytes to stdout as they are: JSON is UTF-8 whatever the terminal speaks."""
        binary = getattr(sys.stdout, "buffer", None)
        if binary is not None:
            sys.stdout.flush()
            binary.write(data)
        else:
            sys.stdout.write(data.decode())

    def complain(self, message: str) -> None:
        """Write one line to stderr."""
        self.error_console.print(Text(one_line(message)), soft_wrap=True)

    def note(self, message: str) -> None:
        """Write a line about the work to stderr, dim; it is no complaint."""
        self.error_console.print(Text(one_line(message), style="dim"), soft_wrap=True)


def _aligned(lines: Sequence[Sequence[Text | str]], is_right: Sequence[bool]) -> Iterator[str]:
    """Return lines whose cells stand in columns, however wide, without spaces at their end."""
    cells = [[str(cell) for cell in line] for line in lines]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = []
        for cell, width, to_right in zip(line, widths, is_right, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if to_right else cell + space)
        yield "  ".join(padded).rstrip()


class _Console(Console):
    """A console that leaves it to `main` what becomes of a reader that has gone."""

    def on_broken_pipe(self) -> None:
        """Go on raising what was raised."""
        raise  # noqa: PLE0704 - called while BrokenPipeError is being handled


def _console(stream: TextIO) -> Console:
    console = _Console(file=stream, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console = _Console(
            file=stream, markup=False, highlight=False, emoji=False, no_color=True, width=_UNLIMITED_WIDTH
        )
    return console


def silence_stdout() -> None:
    """Send what is still buffered nowhere: the reader of the pipe has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        import os  # noqa: PLC0415 - on the way out

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
