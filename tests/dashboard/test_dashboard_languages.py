"""Every word on every page is a text of the reader's language, or was recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from babel import Locale

from agentsight_auto.query.definitions import METRICS
from agentsight_auto.server.dashboard import languages
from agentsight_auto.store.keys import list_keys, revoke_key
from tests.server.support import Client, Served

from .support import Browser

CODE = "de"
RECORDED = re.compile(r"\u00a7\w*")
"""Everything recorded in this test begins with this sign."""
TOLD = re.compile(r"\u27e6.*?\u27e7", re.DOTALL)
UNITS = {"\u00b5s", "ms", "s", "min", "h", "d", "B", "KiB", "MiB", "GiB", "TiB", "GMT", "UTC"}
NAMES = {
    "production",
    "fallback",
    "to",
    "human",  # an environment, and the action that `escalate` records
    "AgentSight",
    "Agent",
    "agentsight",
    "auto",
    "Python",
    "SQLite",
    "JSON",
    "lines",
    "CSV",
    "Enter",
    "Deutsch",
    "English",
    "p50",
    "p95",
}
SPOKEN = ("title", "aria-label", "placeholder", "alt")


def marked(entry: Any) -> Any:
    """Return a text, or each of its forms, between brackets that no text has."""
    if isinstance(entry, Mapping):
        return {form: marked(text) for form, text in entry.items()}
    return f"\u27e6{entry}\u27e7"


class Words(HTMLParser):
    """What a page says: texts and spoken attributes, without code, times, and what fields hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in {"code", "pre", "time", "kbd", "textarea", "option", "script"}
        self.said += [value or "" for name, value in attrs if name in SPOKEN and tag != "time"]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in {"code", "pre", "time", "kbd", "textarea", "option", "script"}

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)


def untold(html: str) -> set[str]:
    """Return the words of a page that are neither texts of the language nor recorded."""
    locale = Locale.parse(CODE)
    calendar = {
        word.rstrip(".")
        for names in (locale.months, locale.days)
        for widths in names.values()
        for words in widths.values()
        for word in words.values()
    }
    rest = " ".join(RECORDED.sub(" ", TOLD.sub(" ", text)) for text in Words(html).said)
    return set(re.findall(r"[^\W\d_]+\d*", rest)) - UNITS - NAMES - calendar


@pytest.fixture
def pages(served: Served, visitor: Browser, client: Client, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Every view with everything on it, in a language whose every text is marked."""
    known = dict(languages.catalogs())
    pseudo = {key: marked(text) for key, text in known[CODE].items()}
    monkeypatch.setattr(languages, "catalogs", lambda: {"en": known["en"], CODE: pseudo})
    at = "2026-11-01T10:00:00Z"
    number = client.open("\u00a7a", name="\u00a7name", source="\u00a7web", customer_id="\u00a7mia", timestamp=at)
    client.open("\u00a7empty", timestamp=at)
    client.say("\u00a7a", "\u00a7question", timestamp=at, metadata={"\u00a7key": "\u00a7value"})
    action = {
        "kind": "action",
        "conversation_id": "\u00a7a",
        "at_us": 1_793_527_205_000_000,
        "action_name": "\u00a7act",
    }
    events = [{**action, "id": "0" * 31 + "1", "error_msg": "\u00a7error", "duration_ms": 12.0, "tools_used": {}}]
    events.append({**action, "id": "0" * 31 + "2", "parent_id": "0" * 31 + "1", "metadata": {"kind": "model_call"}})
    usage = {"kind": "token_usage", "conversation_id": "\u00a7a", "prompt_tokens": 3, "completion_tokens": 4}
    for place, price in ((3, {"cost_usd": 0.5}), (4, {})):
        metadata = {"model": f"\u00a7model{place}", **price}
        events.append({**usage, "id": "0" * 31 + str(place), "at_us": action["at_us"], "metadata": metadata})
    assert {row["status"] for row in client.post("/api/events/", {"events": events}).json()["results"]} == {"stored"}
    message = client.say("\u00a7a", "\u00a7answer", sender="agent", timestamp="2026-11-01T10:00:09Z")
    here = f"/conversations/{number}/"
    for path, fields in (
        ("feedback/", {"sentiment": "negative", "comment": "\u00a7slow"}),
        ("message-feedback/", {"sentiment": "positive", "message": message}),
        ("end/", {"how": "escalate", "note": "\u00a7angry"}),
    ):
        assert visitor.post(here + path, fields).status_code == 303
    visitor.post("/preferences/", {"language": CODE})
    asked = [
        "/", "/?search=%C2%A7answer&is_marked=false&environment=all", "/?source=%C2%A7none", here,
        here + "?find=%C2%A7x", "/?status=%C2%A7",
        here + "timeline/", "/conversations/2/", "/numbers/?range=all", "/numbers/", "/actions/?range=all",
        "/actions/?from=2001-01-01&to=2001-01-02", "/health/", "/conversations/99/", "/?from=%C2%A7",
        *(f"/numbers/?range=all&by={by}" for by in ("device", "language", "country", "hour", "weekday")),
    ]  # fmt: skip
    found = {path: visitor.get(path).text for path in asked}
    found["delete"] = visitor.post(here + "delete/").text
    revoke_key(served.service.database, list_keys(served.service.database)[0].id, at_us=1)
    found["/sign-in/"] = visitor.get("/sign-in/").text
    found["failed"] = visitor.sign_in("ags_x").text
    return found


def test_no_word_of_another_language_is_left_on_any_page(pages: Mapping[str, str]) -> None:
    """What is said is a text of the chosen language, recorded, a date, a unit, or a name."""
    assert {path: words for path, html in pages.items() if (words := untold(html))} == {}
    assert all(html.count("\u27e6") > 3 for html in pages.values())
    for recorded in (
        "\u00a7act",
        "\u00a7error",
        "\u00a7slow",
        "\u00a7angry",
        "\u00a7key",
        "\u00a7model3",
        "\u00a7model4",
    ):
        assert any(recorded in html for html in pages.values()), recorded
    assert sum(html.count("\u00a7") for html in pages.values()) > 50


def test_each_metric_and_filter_has_its_words_in_every_language() -> None:
    """Titles, definitions, lists and chips are translated, not shown in English where they lack."""
    from agentsight_auto.query.lifecycle import LISTS
    from agentsight_auto.server.dashboard.asking import NAMES as PARAMETERS

    silent = {"range", "from", "to", "ordering"}
    for code, catalog in languages.catalogs().items():
        wanted = {f"list_{name}" for name in LISTS} | {f"filter_{name}" for name in PARAMETERS if name not in silent}
        if code != "en":
            wanted |= {f"{kind}_{metric.name}" for metric in METRICS for kind in ("metric", "define")}
        assert wanted - catalog.keys() == set(), code


def test_a_language_that_is_written_from_right_to_left_turns_the_page(
    visitor: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new file of texts is all it takes: its direction comes with its locale."""
    english = languages.catalogs()["en"]
    monkeypatch.setattr(
        languages, "catalogs", lambda: {"en": english, "he": {"conversations_view": "\u05e9\u05d9\u05d7\u05d5\u05ea"}}
    )
    visitor.cookies["agentsight_language"] = "he"
    text = visitor.get("/").text
    assert '<html lang="he" dir="rtl"' in text
    assert "\u05e9\u05d9\u05d7\u05d5\u05ea" in text
