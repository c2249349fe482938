"""Recorded text that tries to run: on no page does any of it run, load, or touch the policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agentsight_auto import _runtime, conversation, conversation_manager, track_action

from .payloads import PAYLOADS

if TYPE_CHECKING:
    from playwright.sync_api import Page


def record(home: Path) -> None:
    """Put the corpus into every place that recorded text has."""
    runtime = _runtime.Runtime(home=home)
    with _runtime.used_as_default(runtime):
        for number, chunk in enumerate(PAYLOADS[start : start + 40] for start in range(0, len(PAYLOADS), 40)):
            with conversation(f"xss-{number}", name="hostile", metadata={text: text for text in chunk}) as chat:
                for text in chunk:
                    chat.track_human_message(text)
                    chat.track_agent_message(text)
                    chat.track_button("event" + text, text, text)
                    with track_action(text[:200], tools_used={"function": text, "parameters": {text: text}}) as action:
                        action.response = {text: [text]}
                chat.track_attachments([{"filename": text[:200], "data": b"x"} for text in chunk[:8]], mode="form_data")
        for number, text in enumerate(PAYLOADS):
            fields: dict[str, Any] = {"source": text[:200], "device": text[:200], "language": text[:60]}
            with conversation(f"xss-{number}-{text[:150]}", customer_id=text[:200], name=text[:200], **fields) as chat:
                chat.track_human_message(text)
        runtime.backend(wait_s=20)
        conversation_manager.submit_feedback("xss-0", "negative", comment=" ".join(PAYLOADS)[:4900])
        runtime.shutdown(20)


@dataclass
class Seen:
    """What happened while the pages were open; `shown` counts payloads that stand there as text."""

    pages: int = 0
    shown: int = 0
    executions: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def visit_everything(page: Page, address: str, home: Path) -> Seen:
    """Record the corpus, then open every page on which it shows, and with it in every parameter."""
    record(home)
    seen = Seen()
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:")) else seen.elsewhere.append(request.url),
    )
    for path in _paths(page, address):
        page.goto(address + path)
        for details in page.query_selector_all("details:not(.menu):not([open])")[:3]:
            details.evaluate("element => { element.open = true }")
        if page.evaluate("window.__xss") is not None:
            seen.executions.append(path)
        seen.violations += [f"{path}: {found}" for found in page.evaluate("window.__violations")]
        seen.shown += page.inner_html("body").count("__xss")
        seen.pages += 1
    return seen


_PARAMETERS = (
    "search", "from", "device", "environment", "find", "next", "cursor", "action_name", "insight", "by", "at",
)  # fmt: skip


def _paths(page: Page, address: str) -> list[str]:
    paths = [
        "/?environment=all",
        "/?environment=all&search=__xss",
        "/numbers/?environment=all&range=all",
        "/actions/?environment=all",
        "/health/",
    ]
    page.goto(address + paths[0])
    for title in ("hostile",):
        page.goto(f"{address}/?environment=all&name={title}")
        chats = page.eval_on_selector_all("a.open", "links => links.map(link => link.getAttribute('href'))")
        for chat in chats:
            bare = chat.split("?")[0]
            paths += [bare, f"{bare}?raw=1&find=__xss", f"{bare}?find={quote('<img')}", f"{bare}timeline/"]
    for place, name in enumerate(_PARAMETERS):
        paths += [f"/?{name}={quote(text)}" for text in PAYLOADS[place::40][:3]]
    return paths + [f"/?environment=all&search={quote(text)}" for text in PAYLOADS[50::23]]


def test_nothing_recorded_ever_runs(page: Page, address: str, home: Path) -> None:
    """0 executions, 0 dialogs, 0 violations, 0 requests to other hosts, on every page with the corpus on it."""
    assert len(PAYLOADS) > 100
    seen = visit_everything(page, address, home)
    assert (seen.executions, seen.violations, seen.dialogs, seen.elsewhere) == ([], [], [], [])
    assert seen.shown > 5 * len(PAYLOADS)  # it was really there, as text
