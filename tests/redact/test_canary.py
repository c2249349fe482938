"""A canary is said in every place there is, and then looked for in outbox, store, wire and logs, byte by byte."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import conversation, conversation_manager
from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.cli.main import main
from tests.faultserver import KEY, Fault, FaultServer
from tests.redact.test_processing import SECRET, broken, hide, raises, use_every_route

CANARY = SECRET.encode()
RULES: list[dict[str, Any]] = [
    {"redact": [hide]},
    {"redact": [re.compile(SECRET)]},
    {"redact": [broken]},
    {"redact": [lambda _: 3]},
    {"processors": [raises]},
    {"processors": [lambda _: None]},
]


def hits_on_disk(folder: Path) -> int:
    """How often the canary stands in the names and bytes of all files: database, -wal, -shm, outbox, rejected."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, "nothing was written: there is nothing to look through"
    return sum(path.read_bytes().count(CANARY) + str(path.relative_to(folder)).count(SECRET) for path in files)


@pytest.mark.parametrize("rules", RULES)
def test_nothing_in_outbox_store_and_logs(
    rules: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 hits, with events in the outbox and after they have reached the store, with every log line at DEBUG."""
    caplog.set_level(logging.DEBUG)
    home = tmp_path / "home"
    runtime = Runtime(home=home, journal_interval_ms=0, **rules)
    with used_as_default(runtime):
        deliver = runtime.pipeline._delivery.deliver
        monkeypatch.setattr(runtime.pipeline._delivery, "deliver", lambda *_: None)
        use_every_route()
        in_outbox = hits_on_disk(home)
        monkeypatch.setattr(runtime.pipeline._delivery, "deliver", deliver)
        runtime.flush(20)
        if "processors" not in rules:
            conversation_manager.submit_feedback("chat-1", "negative", f"from {SECRET}", {SECRET: SECRET})
            conversation_manager.update_conversation("chat-1", name=SECRET, device=SECRET, metadata={SECRET: SECRET})
        assert runtime.flush(20).pending == 0
        in_store = hits_on_disk(home)
        runtime.shutdown(5)
    assert (in_outbox, in_store, hits_on_disk(home), caplog.text.count(SECRET)) == (0, 0, 0, 0)


@pytest.mark.parametrize("capabilities", [("gzip-ingest", "events-batch"), None], ids=["batches", "one by one"])
@pytest.mark.parametrize("rules", RULES[:5])
def test_nothing_on_the_wire_nor_among_the_rejected(
    rules: dict[str, Any],
    capabilities: tuple[str, ...] | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """0 hits in every request's path, headers and body, on both ways to deliver; and in what the server refuses."""
    caplog.set_level(logging.DEBUG, "agentsight_auto")
    server = FaultServer(capabilities)
    server.refuses = lambda told: "not today" if "button_event" in told else None
    server.behave(Fault("status", 503), times=1)
    runtime = Runtime(home=tmp_path / "home", api_key=KEY, endpoint=server.url, **rules)
    try:
        with used_as_default(runtime):
            use_every_route()
            runtime.flush(20)
            if server.conversations and "processors" not in rules:
                conversation_manager.submit_feedback(
                    next(iter(server.conversations.values())), "negative", f"from {SECRET}", {SECRET: SECRET}
                )
            on_disk = hits_on_disk(tmp_path / "home")
            runtime.shutdown(5)
    finally:
        server.close()
    sent = [f"{asked.path}{asked.query}{asked.headers}".encode() + asked.content for asked in server.asked]
    assert sum(len(request) for request in sent) > 3000
    assert (sum(request.count(CANARY) for request in sent), on_disk, caplog.text.count(SECRET)) == (0, 0, 0)


def test_nothing_that_an_import_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is imported passes the processors of the settings."""
    monkeypatch.setenv("AGENTSIGHT_REDACT", "email")
    file = tmp_path / "chats.jsonl"
    file.write_text('{"id": "c-1", "messages": [{"role": "user", "content": "I am ann@example.com"}]}\n')
    assert main(["import", str(file)]) == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert (written.count(b"ann@"), b"I am [email]" in written) == (0, True)


def test_without_processors_it_is_found(tmp_path: Path) -> None:
    """The search itself works: with nothing set, the canary is in the store many times."""
    runtime = Runtime(home=tmp_path / "home", journal_interval_ms=0)
    with used_as_default(runtime):
        with conversation("chat-1") as chat:
            chat.track_human_message(SECRET)
            chat.track_action(SECRET, response=SECRET)
        assert runtime.flush(20).pending == 0
    assert hits_on_disk(tmp_path / "home") >= 3
    runtime.shutdown(5)
