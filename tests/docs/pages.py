"""The documentation as data: its pages, and the blocks, links and words on them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
HTTP_PAGE = DOCS / "http-delivery.md"
"""Its Python blocks run against a server."""
PAGES = [README, *sorted(DOCS.glob("*.md"))]
"""Every page whose Python blocks run."""
PROSE = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(?P<text>.+?)\s*$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block: the word behind the fence, the text and the line it starts on."""

    info: str
    text: str
    line: int

    @property
    def language(self) -> str:
        """The first word behind the fence."""
        return self.info.partition(" ")[0]

    @property
    def runs(self) -> bool:
        """Whether this is Python that must run."""
        return self.language == "python" and "notest" not in self.info.split()


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["info"].strip(), found["text"], text.count("\n", 0, found.start("text")) + 1)
        for found in _FENCE.finditer(text)
    ]


def shown_outputs(page: Path) -> list[tuple[Block, str]]:
    """Return each Python block that runs with the ``output`` block that follows it."""
    found = blocks(page)
    return [(block, after.text) for block, after in itertools.pairwise(found) if block.runs and after.info == "output"]


def commands(page: Path) -> list[str]:
    """Return the lines that a reader types: those after ``$`` in ``console`` blocks."""
    return [
        line.removeprefix("$ ")
        for block in blocks(page)
        if block.language == "console"
        for line in block.text.splitlines()
        if line.startswith("$ ")
    ]


def links(page: Path) -> list[str]:
    """Return the targets of all links, code left out."""
    return [found["target"] for found in _LINK.finditer(without_code(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as they are made from their text."""
    found = set()
    for heading in _HEADING.finditer(without_code(page)):
        text = re.sub(r"[^\w\s-]", "", heading["text"].lower())
        found.add(re.sub(r"\s", "-", text))
    return found


def without_code(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))
