from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import events
from agentsight_auto._runtime import Runtime
from agentsight_auto.cli import examination
from agentsight_auto.deliver.rejected import Rejected, RejectedEvent
from agentsight_auto.events import encode_event

from .support import ROOT, Cli

NOW_US = 1_767_225_600_000_000
KEY = "ags_0123456789abcdef0123456789abcdef_abcdef"


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


def settings_of(document: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """The settings in a doctor's JSON: value and origin by name."""
    return {setting["name"]: (setting["value"], setting["origin"]) for setting in document["settings"]}


def problems_of(document: dict[str, Any]) -> str:
    """All problems of a doctor's JSON as one text."""
    return "\n".join(f"{problem['what']} {problem['advice']}" for problem in document["problems"])


def test_a_home_that_does_not_exist_is_examined_and_not_made(cli: Cli) -> None:
    """Nothing is there yet, and that is no problem."""
    done = cli("doctor")
    assert done.code == 0
    assert "not made yet" in done.out
    document = cli("doctor", "--json").json
    assert (document["home"]["exists"], document["store"]["exists"], document["outbox"]["events"]) == (False, False, 0)
    assert not cli.home.exists()


def test_it_tells_what_is_where(cli: Cli, tell: Callable[..., None]) -> None:
    """Store with size, schema and conversations; the folders beside it."""
    tell(events.Message(event_id(1), "c", NOW_US, "agent", "Hi"))
    document = cli("doctor", "--json").json
    store = document["store"]
    assert store["path"] == str(cli.home / "agentsight.db")
    assert store["size_bytes"] > 0
    assert store["schema_version"] == store["newest_schema_version"]
    assert store["conversations"] == 1
    assert "1 conversation" in cli("doctor").out


def test_each_setting_tells_where_it_comes_from(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument, environment, .env file or default; a key is masked wherever it is shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"AGENTSIGHT_IDLE_MINUTES=7\nAGENTSIGHT_API_KEY={KEY}\nAGENTSIGHT_DURABILITY=disk\n")
    monkeypatch.setenv("AGENTSIGHT_DURABILITY", "memory")
    monkeypatch.setenv("AGENTSIGHT_MAX_TEXT_BYTES", "a lot")
    done = cli("doctor", "--json")
    settings = settings_of(done.json)
    assert settings["home"] == (str(cli.home), "--home")
    assert settings["durability"] == ("memory", "environment")
    assert settings["idle_minutes"] == (7.0, ".env")
    assert settings["capture_args"] == (True, "default")
    assert "cannot be used" in settings["max_text_bytes"][1]
    assert done.json["env_file"] == str(tmp_path / ".env")
    assert "AGENTSIGHT_MAX_TEXT_BYTES" in problems_of(done.json)
    assert KEY[4:] not in done.out + cli("doctor").out


def test_a_misspelt_variable_is_noticed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest real one is named."""
    monkeypatch.setenv("AGENTSIGHT_DURABLITY", "disk")
    assert "Did you mean AGENTSIGHT_DURABILITY?" in problems_of(cli("doctor", "--json").json)


def test_rejected_events_are_listed_and_sent_again(cli: Cli, tell: Callable[..., None]) -> None:
    """With reason and conversation, exit code 1; --retry resends them; what is accepted now has gone."""
    tell(events.ConversationStarted(event_id(1), "c", NOW_US))
    good = events.Message(event_id(2), "c", NOW_US, "agent", "Hello again")
    bad = events.Message(event_id(3), "c", NOW_US, "robot", "no such sender")
    rejected = Rejected(cli.home / "outbox")
    rejected.add(
        [RejectedEvent(NOW_US, "the store was in a bad mood", encode_event(event).decode()) for event in (good, bad)]
    )
    done = cli("doctor", "--json")
    assert done.code == 1
    told = done.json["outbox"]["rejected"]
    assert (told["count"], told["by_reason"]) == (2, {"the store was in a bad mood": 2})
    assert told["latest"][0]["conversation_id"] == "c"
    assert "doctor --retry" in cli("doctor").out
    retried = cli("doctor", "--retry", "--json")
    assert retried.json["retried"] == {"sent": 2, "rejected_again": 1, "waiting": 0}
    assert retried.json["outbox"]["rejected"]["count"] == 1
    assert "Hello again" in cli("show", "c").out


def test_damaged_records_are_told(cli: Cli) -> None:
    """Set aside with their place; they are lost data, so the exit code is 1."""
    folder = cli.home / "outbox" / "corrupt"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "1-00000000-00000001.segment.corrupt-20260101T000000Z").write_bytes(b"torn")
    done = cli("doctor", "--json")
    assert done.code == 1
    assert done.json["outbox"]["set_aside"]["corrupt"]["count"] == 1
    assert str(folder) in problems_of(done.json)


def test_waiting_events_are_counted_and_left_where_they_are(cli: Cli) -> None:
    """Looking delivers nothing."""
    from agentsight_auto.deliver.outbox import Outbox

    outbox = Outbox(cli.home / "outbox", segment_bytes=1 << 20, is_synced=False)
    outbox.append([encode_event(events.Message(event_id(n), "c", NOW_US, "agent", "Hi")) for n in range(3)])
    for _ in range(2):
        assert cli("doctor", "--json").json["outbox"]["events"] == 3
    outbox.forget()


def not_a_database(path: Path) -> None:
    """Write something that is no database."""
    path.write_bytes(b"not a database at all " * 100)


def another_program(path: Path) -> None:
    """Make a database of somebody else."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def newer(path: Path) -> None:
    """Make a store of a later version."""
    Runtime(home=path.parent).backend().close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'later', '2030-01-01')")
    connection.close()


def damaged(path: Path) -> None:
    """Overwrite the middle of a store."""
    runtime = Runtime(home=path.parent)
    runtime.backend()
    runtime.shutdown(5)
    with path.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xff" * 40_000)


def a_folder(path: Path) -> None:
    """Make a folder where the file should be."""
    path.mkdir()


@pytest.mark.parametrize("break_store", [not_a_database, another_program, newer, damaged, a_folder])
def test_a_broken_store_is_explained(cli: Cli, break_store: Callable[[Path], None]) -> None:
    """What is wrong and what to do, exit code 1, and nothing in it is changed."""
    cli.home.mkdir(mode=0o700)
    path = cli.home / "agentsight.db"
    break_store(path)
    before = None if path.is_dir() else path.read_bytes()
    done = cli("doctor")
    assert done.code == 1
    assert "problem" in done.out
    assert str(path) in done.out
    assert "Traceback" not in done.err
    if before is not None:
        assert path.read_bytes() == before
    assert any(problem["loses_data"] for problem in cli("doctor", "--json").json["problems"])


def test_an_empty_store_file_is_no_problem(cli: Cli) -> None:
    """It is filled at the first event."""
    cli.home.mkdir(mode=0o700)
    (cli.home / "agentsight.db").touch()
    assert cli("doctor").code == 0


def test_a_home_that_is_a_file_is_explained(cli: Cli) -> None:
    """Exit code 1 and what to set."""
    cli.home.write_text("a file")
    done = cli("doctor")
    assert done.code == 1
    assert "is not a folder" in done.out


def test_a_home_that_others_may_read_is_told(cli: Cli) -> None:
    """With the command that cures it; no data is lost by it."""
    cli.home.mkdir()
    cli.home.chmod(0o755)
    done = cli("doctor")
    assert done.code == 0
    assert f"chmod 700 {cli.home}" in done.out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_home_that_cannot_be_written_is_a_problem(cli: Cli) -> None:
    """Recording would fail there."""
    cli.home.mkdir(mode=0o500)
    assert cli("doctor").code == 1


@pytest.mark.parametrize(
    ("version", "code", "text"),
    [
        ((3, 37, 2), 1, "too old"),
        ((3, 40, 1), 0, "very rarely"),
        ((3, 51, 2), 0, "very rarely"),
        ((3, 51, 3), 0, "No problems"),
    ],
)
def test_the_version_of_sqlite_is_judged(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], code: int, text: str
) -> None:
    """Older than 3.38 does not work; up to 3.51.2 several writers can, very rarely, do damage."""
    monkeypatch.setattr(examination.sqlite3, "sqlite_version_info", version)
    done = cli("doctor")
    assert done.code == code
    assert text in done.out


def test_a_full_disk_is_a_problem(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room is a note, none a problem."""
    for free_bytes, code in ((10 * 1024**2, 1), (500 * 1024**2, 0)):
        usage = type("Usage", (), {"free": free_bytes})
        monkeypatch.setattr(examination.shutil, "disk_usage", lambda _, usage=usage: usage)
        done = cli("doctor")
        assert done.code == code
        assert "MiB are free" in done.out


def test_a_remote_api_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor says where events go and what is missing to get there; readers fail with a line."""
    monkeypatch.setenv("AGENTSIGHT_API_KEY", KEY)
    done = cli("doctor", "--json")
    assert done.code == 0
    assert done.json["records_to"] == "https://api.agentsight.io"
    monkeypatch.delenv("AGENTSIGHT_API_KEY")
    monkeypatch.setenv("AGENTSIGHT_API_ENDPOINT", "http://127.0.0.1:9")
    done = cli("doctor", "--json")
    assert done.code == 1
    assert done.json["records_to"] == "http://127.0.0.1:9"
    assert any("AGENTSIGHT_API_KEY" in problem["what"] for problem in done.json["problems"])
    listed = cli("list")
    assert listed.code == 1
    assert len(listed.err.strip().splitlines()) == 1


def test_a_home_that_cannot_be_made_is_explained(cli: Cli) -> None:
    """A name that no file system takes: doctor explains, readers fail with a line."""
    cli.home.mkdir(mode=0o700)
    cli.home = cli.home / ("x" * 300)
    done = cli("doctor")
    assert done.code == 1
    assert "problem" in done.out
    for command in (["list"], ["show", "c"], ["export"], ["stats"]):
        failed = cli(*command)
        assert failed.code == 1
        assert len(failed.err.strip().splitlines()) == 1


_PROGRAM = """
import sys, types, agentsight_auto
from agentsight_auto import conversation
sys.path.insert(0, {folder!r})
states = agentsight_auto.instrument("threads", "mcp", "celery")
assert [(one.name, one.state) for one in states][0] == ("threads", "active")
with conversation("c") as chat:
    chat.track_human_message("hello")
try:
    import mcp.client.session
except ImportError:
    pass
assert agentsight_auto.flush().pending == 0
"""


def test_what_became_of_the_integrations_of_a_program_is_told(cli: Cli, home: Path, tmp_path: Path) -> None:
    """Of one that has ended, in this environment or another: what was active, and what was skipped and why."""
    for name in ("mcp/__init__.py", "mcp/client/__init__.py", "mcp/client/session.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = tmp_path / "mcp-0.9.dist-info" / "METADATA"
    found.parent.mkdir()
    found.write_text("Metadata-Version: 2.1\nName: mcp\nVersion: 0.9\n")
    program = tmp_path / "agent.py"
    program.write_text(_PROGRAM.format(folder=str(tmp_path)))
    environment = {**os.environ, "AGENTSIGHT_HOME": str(home), "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = cli("doctor", "--json").json["programs"]
    assert [(one["program"], one["is_running"]) for one in told] == [(str(program), False)]
    states = {one["name"]: one for one in told[0]["integrations"]}
    assert states["threads"]["state"] == "active"
    assert states["mcp"]["state"] == "skipped"
    assert "0.9 is older than" in states["mcp"]["reason"]
    out = cli("doctor").out
    assert f"process {told[0]['pid']}, ended" in out
    assert "active: threads" in out
    assert "mcp 0.9 skipped" in out


def test_doctor_itself_is_no_program(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking writes nothing, even where the settings would install integrations."""
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("AGENTSIGHT_INSTRUMENT", "threads")
    assert cli("doctor", "--json").json["programs"] == []
    assert not (home / "integrations").exists()
