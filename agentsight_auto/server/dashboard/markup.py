"""Recorded text as safe HTML.

In: what somebody wrote. Out: markup in which nothing of theirs can run or load. Loses: HTML, which is shown as text,
and images, which become links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

_LONGEST_MARKDOWN = 20_000
"""Longer texts are shown as they are: parsing Markdown takes more than proportionally longer."""
_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "mark", "ol", "p",
    "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto", "tel"}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that reorder the text around them."""


def visible(text: str) -> str:
    """Return the text with control characters shown as symbols, and without those that turn text around."""
    return _UNSEEN.sub(lambda match: _symbol(match[0]), text)


def _symbol(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code) if character != "\r" else ""
    return "\u2421" if code == 0x7F else "\ufffd" if code < 0xA0 else ""


def plain(text: str, needle: str = "") -> Markup:
    """Return the text escaped, with what was searched for marked."""
    return Markup("").join(
        Markup("<mark>{}</mark>").format(part) if is_hit else escape(part)
        for part, is_hit in _split(visible(text), needle)
    )


def rich(text: str, needle: str = "") -> Markup:
    """Return Markdown as HTML, with what was searched for marked; very long texts are only escaped."""
    if len(text) > _LONGEST_MARKDOWN:
        return Markup('<p class="as-is">{}</p>').format(plain(text, needle))
    return _rich(visible(text), needle)


@lru_cache(maxsize=2000)
def _rich(text: str, needle: str) -> Markup:
    html = _markdown.render(text, {"needle": needle})
    return Markup(  # noqa: S704 - sanitised here
        nh3.clean(
            html,
            tags=_TAGS,
            attributes={"a": {"href"}, "ol": {"start"}},
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer nofollow",
        )
    )


def pretty_json(value: Any) -> str:
    """Return a recorded value for reading: text as it is, everything else as indented JSON."""
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def snippet(text: str, needle: str = "", length: int = 160) -> str:
    """Return the words of a text around what was searched for, or its first ones, on one line."""
    line = " ".join(visible(text).split())
    at = line.casefold().find(needle.casefold()) if needle else 0
    begin = max(0, at - length // 3) if at > length // 2 else 0
    part = line[begin : begin + length].strip()
    return ("… " if begin else "") + part + (" …" if begin + length < len(line) else "")


def _split(text: str, needle: str) -> Sequence[tuple[str, bool]]:
    if not needle.strip():
        return [(text, False)]
    pieces = re.split(f"({re.escape(needle)})", text, flags=re.IGNORECASE)
    return [(piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece]


def _text(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    del self, options
    return str(plain(tokens[index].content, env.get("needle", "")))


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Offer a link instead of the image: loading it would tell its host who reads this."""
    token = tokens[index]
    words = self.renderInlineAsText(token.children or [], options, env) or token.attrGet("src") or ""
    return f'<a href="{escape(str(token.attrGet("src") or ""))}">\u2b1a {escape(words)}</a>'


def _make_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20})
    markdown.enable(["table", "strikethrough"])
    markdown.add_render_rule("text", _text)
    markdown.add_render_rule("image", _image)
    return markdown


_markdown = _make_markdown()
