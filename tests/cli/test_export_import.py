from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agentsight_auto import events
from agentsight_auto._runtime import Runtime
from agentsight_auto.store.attachments import AttachmentFolder

from .support import Cli, run

NOW_US = 1_767_225_600_000_000
LINE = {"id": "a", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


def test_the_airline_file_goes_in_and_out(
    cli: Cli, airline_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The documented counts, twice without change; the export imported elsewhere exports to the same bytes."""
    report = cli("import", str(airline_file), "--json")
    assert report.code == 0
    assert report.json["conversations"] == {"new": 200, "extended": 0, "unchanged": 0}
    new = report.json["events"]["new"]
    assert (new["human_messages"], new["agent_messages"], new["actions"]) == (1490, 1380, 1164)
    assert cli("list", "--json", "--action", "transfer_to_human_agents").json["count"] == 48
    exports = [tmp_path / name for name in ("first.jsonl", "second.jsonl", "copy.jsonl")]
    cli("export", "-o", str(exports[0]))
    assert "200 conversations, 4,034 events: unchanged" in cli("import", str(airline_file)).out
    cli("export", "-o", str(exports[1]))
    elsewhere = Cli(capsys, tmp_path / "elsewhere")
    elsewhere("import", str(exports[0]))
    elsewhere("export", "-o", str(exports[2]))
    first, second, copy = (path.read_bytes() for path in exports)
    assert first == second == copy


def test_bad_lines_are_told_and_the_rest_is_imported(cli: Cli, tmp_path: Path) -> None:
    """Exit code 1, a line on stderr for each with its number, and in the JSON."""
    path = tmp_path / "mixed.jsonl"
    path.write_text(f'{json.dumps(LINE)}\n{{"id": \n{{"messages": "no"}}\n{json.dumps({**LINE, "id": "b"})}\n')
    done = cli("import", str(path), "--json")
    assert done.code == 1
    assert [bad["line"] for bad in done.json["bad"]] == [2, 3]
    assert done.json["conversations"]["new"] == 2
    assert [line.partition(": ")[0] for line in done.err.splitlines()] == [f"{path}, line 2", f"{path}, line 3"]


def test_what_a_bad_line_holds_cannot_play_with_the_terminal(cli: Cli, tmp_path: Path) -> None:
    """The reason may quote the line; escapes in it are shown."""
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"messages": [], "id": {"\x1b[2J": 1}}))
    done = cli("import", str(path))
    assert done.code == 1
    assert "\x1b" not in done.err


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_told_in_a_line(cli: Cli, tmp_path: Path, name: str) -> None:
    """And no store is made for it."""
    done = cli("import", str(tmp_path / name))
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert not cli.home.exists()


def test_import_reads_stdin(home: Path) -> None:
    """`-` is what comes through the pipe."""
    done = run("import", "-", "--json", home=home, stdin=json.dumps(LINE).encode())
    assert (done.code, done.json["conversations"]["new"]) == (0, 1)
    assert done.err == ""


def test_an_import_finds_places_with_the_geo_database(
    cli: Cli, tmp_path: Path, airline_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As live capture does."""
    monkeypatch.setenv("AGENTSIGHT_GEOIP_DB", str(airline_file.parent / "GeoIP2-City-Test.mmdb"))
    path = tmp_path / "one.json"
    path.write_text(json.dumps([{**LINE, "customer_ip_address": "81.2.69.142"}], indent=1))
    cli("import", str(path))
    assert cli("show", "a", "--json").json["geo_location"]["city"] == "London"


def test_export_keeps_to_the_filters(cli: Cli, tell: Callable[..., None]) -> None:
    """JSON lines, the oldest first, only what was asked for; the count goes to stderr."""
    tell(*(events.ConversationStarted(event_id(n), f"c{n}", NOW_US + n, customer_id="ab"[n % 2]) for n in range(4)))
    done = cli("export", "--customer", "a")
    assert [json.loads(line)["conversation_id"] for line in done.out.splitlines()] == ["c0", "c2"]
    assert "2 conversations exported" in done.err
    assert cli("export", "--json", "--customer", "a").out == done.out


def test_attachments_travel_when_asked(cli: Cli, tell: Callable[..., None], tmp_path: Path) -> None:
    """One whose bytes have gone is told, and the exit code says that the export is not whole."""
    folder = AttachmentFolder(Runtime(home=cli.home).settings.attachments_path)
    refs = []
    for name in ("kept", "gone"):
        digest, size_bytes = folder.write(name.encode())
        refs.append(events.AttachmentRef(digest, size_bytes, f"{name}.txt", "text/plain"))
    tell(events.Attachments(event_id(1), "c", NOW_US, "end_user", refs[:1]))
    plain, whole = cli("export"), cli("export", "--attachments")
    assert (plain.code, whole.code) == (0, 0)
    assert "data" not in json.loads(plain.out)["messages"][0]["attachments"][0]
    assert json.loads(whole.out)["messages"][0]["attachments"][0]["data"] == "a2VwdA=="
    tell(events.Attachments(event_id(2), "c", NOW_US + 1, "end_user", refs[1:]))
    folder.path(refs[1].sha256).unlink()
    done = cli("export", "--attachments", "-o", str(tmp_path / "x.jsonl"), "--json")
    assert (done.code, done.json["attachments_left_out"]) == (1, 1)
    assert "gone.txt" in done.err


def test_csv_is_read_back_and_executes_nothing(cli: Cli, tell: Callable[..., None], tmp_path: Path) -> None:
    """A message that is a formula arrives as text."""
    tell(
        events.Message(event_id(1), "c", NOW_US, "end_user", "=cmd|' /C calc'!A0"),
        events.Action(event_id(2), "c", NOW_US + 1, "find", None, None, 12.5, {"a": 1}, "+1"),
    )
    path = tmp_path / "out.csv"
    assert cli("export", "--format", "csv", "-o", str(path)).code == 0
    with path.open(newline="") as stream:
        message, action = csv.DictReader(stream, strict=True)
    assert message["content"] == "'=cmd|' /C calc'!A0"
    assert (action["action_name"], action["duration_ms"], action["response"]) == ("find", "12.5", "'+1")
    assert cli("export", "--format", "csv").out.count("\n") == 3


def test_an_export_appears_when_it_is_complete(cli: Cli, tell: Callable[..., None], tmp_path: Path) -> None:
    """It is its owner's to read; one that fails leaves the old file and no draft."""
    tell(events.Message(event_id(1), "c", NOW_US, "agent", "Hi"))
    path = tmp_path / "exports" / "out.jsonl"
    assert cli("export", "-o", str(path)).code == 1
    path.parent.mkdir()
    assert cli("export", "-o", str(path)).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert cli("export", "-o", str(path), "--since", "yesterday").code == 2
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["out.jsonl"]


def test_nothing_to_export_is_no_failure(cli: Cli) -> None:
    """An empty export, and no store is made for it."""
    done = cli("export")
    assert (done.code, done.out) == (0, "")
    assert not cli.home.exists()


@pytest.mark.parametrize("options", [["--attachments"], ["--json"]])
def test_csv_refuses_what_it_cannot_hold(cli: Cli, options: list[str]) -> None:
    """Bytes and JSON are no table: exit code 2."""
    assert cli("export", "--format", "csv", *options).code == 2


def test_live_and_imported_conversations_stand_side_by_side(cli: Cli, tmp_path: Path) -> None:
    """An import delivers first what is waiting, and adds to it."""
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(LINE))
    runtime = Runtime(home=cli.home)
    from agentsight_auto.capture.scope import ConversationScope

    scope = ConversationScope(runtime, "live")
    scope.track_human_message("Hello")
    runtime.shutdown(5)
    cli("import", str(path))
    assert {result["conversation_id"] for result in cli("list", "--json").json["results"]} == {"live", "a"}
