"""Recorded text that tries to run: on no page does any of it run, load, or touch the policy."""

from __future__ import annotations

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


def test_nothing_recorded_ever_runs(page: Page, address: str, home: Path) -> None:
    """0 executions, 0 dialogs, 0 violations, 0 requests to other hosts, on every page with the corpus on it."""
    assert len(PAYLOADS) > 100
    record(home)
    dialogs: list[str] = []
    elsewhere: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on(
        "request", lambda request: None if request.url.startswith((address, "data:")) else elsewhere.append(request.url)
    )
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
    for name in ("search", "from", "device", "environment", "find", "next", "cursor"):
        for text in PAYLOADS[:46:9]:
            paths.append(f"/?{name}={quote(text)}")
    paths += [f"/?environment=all&search={quote(text)}" for text in PAYLOADS[50::23]]
    seen = 0
    for path in paths:
        page.goto(address + path)
        for details in page.query_selector_all("details:not(.menu):not([open])")[:3]:
            details.evaluate("element => { element.open = true }")
        assert page.evaluate("window.__xss") is None, path
        assert page.evaluate("window.__violations") == [], path
        seen += page.inner_html("body").count("__xss")
    assert (dialogs, elsewhere) == ([], [])
    assert seen > 5 * len(PAYLOADS)  # it was really there, as text
