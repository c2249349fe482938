"""A real browser, a real server in a process of its own, and a store with made-up and real conversations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DATA

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.__violations.push(event.violatedDirective));
"""


def _missing(reason: str) -> None:
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's chromium; skips where it, or Playwright, is absent.

    It ends with its module: while it runs, Playwright keeps an event loop in this thread, and other tests need one too.
    """
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is absent: pages cannot be tried in a browser")
    if path is None:
        _missing("chromium is absent: pages cannot be tried in a browser (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 200 conversations of the demo, 20 slow ones of a month and, where they are, 200 real ones."""
    folder = tmp_path_factory.mktemp("browser") / "home"
    _run("demo", folder)
    _run("import", folder, str(_write_month(folder.parent / "month.jsonl")))
    if (DATA / "airline-support.jsonl").exists():
        _run("import", folder, str(DATA / "airline-support.jsonl"))
    return folder


def _write_month(path: Path) -> Path:
    """Write 20 conversations of 20 days, each with an action inside another that fails, and an answer after 9 s."""
    lines = []
    for number in range(20):
        begin = datetime.now(timezone.utc) - timedelta(days=number + 1)
        ids = [f"{number:016x}{place:016x}" for place in range(4)]

        def at(seconds: int, begin: datetime = begin) -> str:
            return (begin + timedelta(seconds=seconds)).isoformat()

        def action(event_id: str, name: str, span: tuple[int, int], **log: Any) -> dict[str, Any]:
            told = {"started_at": at(span[0]), "ended_at": at(span[1]), "duration_ms": 1000 * (span[1] - span[0])}
            message = {"event_id": event_id, "timestamp": at(span[0]), "sender": "agent", "content": ""}
            return {**message, "action_name": name, "action_logs": [{**told, **log}]}

        said = [
            {"event_id": ids[0], "timestamp": at(0), "sender": "end_user", "content": "Why is it so slow?"},
            action(ids[1], "plan_route", (1, 8)),
            action(ids[2], "ask_depot", (2, 7), parent_event_id=ids[1], error_message="TimeoutError: no answer"),
            {"event_id": ids[3], "timestamp": at(9), "sender": "agent", "content": "The depot is slow today."},
        ]
        known = {"name": f"Slow {number}", "source": "ticket", "environment": "production", "started_at": at(0)}
        lines.append(
            json.dumps({"agentsight_export": 1, "conversation_id": f"slow-{number}", **known, "messages": said})
        )
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _run(command: str, folder: Path, *arguments: str) -> None:
    call = [sys.executable, "-m", "agentsight_auto", "--home", str(folder), command, *arguments]
    subprocess.run(call, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def address(home: Path) -> Iterator[str]:
    """The address of ``agentsight-auto ui`` over that store, without the slash at the end."""
    call = [sys.executable, "-m", "agentsight_auto", "--home", str(home), "ui", "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"].rstrip("/")
        process.terminate()


@pytest.fixture
def context(chromium: Any) -> Iterator[BrowserContext]:
    """A fresh profile in Berlin, which notes what violates the content security policy."""
    fresh = chromium.new_context(
        locale="en-US", timezone_id="Europe/Berlin", viewport={"width": 1440, "height": 900}, color_scheme="light"
    )
    fresh.add_init_script(WATCH)
    fresh.set_default_timeout(10_000)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab; a script of ours that fails, or a dialog, fails the test."""
    tab = context.new_page()
    tab.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
    return tab
