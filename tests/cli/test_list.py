from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import events
from agentsight_auto._runtime import Runtime
from agentsight_auto.query.filters import KNOWN_FILTERS

from .support import Cli

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


@pytest.fixture
def recorded(tell: Callable[..., None], home: Path) -> None:
    """Three conversations that differ in everything that can be filtered."""
    known = {
        "customer_id": "Mia", "customer_ip_address": "81.2.69.142", "device": "mobile", "source": "whatsapp",
        "language": "en", "name": "Late order", "environment": "production",
        "metadata": {"plan": "gold", "address": {"city": "Vienna"}},
    }  # fmt: skip
    tell(
        events.ConversationStarted(event_id(1), "rich", NOW_US, **known),
        events.Message(event_id(2), "rich", NOW_US + 1, "end_user", "Where is my ORDER?"),
        events.Action(event_id(3), "rich", NOW_US + 2, "find_order", error_msg="ValueError: no"),
        events.Action(event_id(4), "rich", NOW_US + 3, "find_order"),
        events.Feedback(event_id(5), "rich", NOW_US + 65_000_000, "negative", "customer"),
        events.ConversationStarted(event_id(6), "plain", NOW_US + 86_400_000_000),
        events.Message(event_id(7), "gone", NOW_US + 5, "agent", "bye"),
    )
    runtime = Runtime(home=home)
    runtime.backend().mark_conversation("rich", True)
    runtime.backend().delete_conversation("gone")
    runtime.shutdown(5)


def found(cli: Cli, *arguments: str) -> list[str]:
    """The ids that a list shows, newest first."""
    done = cli("list", "--json", *arguments)
    assert done.code == 0, done.err
    return [conversation["conversation_id"] for conversation in done.json["results"]]


def test_a_home_that_does_not_exist_is_told_kindly_and_not_made(cli: Cli) -> None:
    """Looking creates nothing, neither for people nor for programs."""
    done = cli("list")
    assert done.code == 0
    assert "agentsight-auto demo" in done.out
    assert cli("list", "--json").json == {"count": 0, "next": None, "previous": None, "results": []}
    assert not cli.home.exists()


@pytest.mark.usefixtures("recorded")
def test_a_row_tells_the_essentials(cli: Cli) -> None:
    """Id, where from, customer, messages, actions with errors, duration, feedback, mark."""
    row = next(line for line in cli("list").out.splitlines() if line.startswith("rich"))
    for text in ("whatsapp/mobile", "Mia", "2 (1 failed)", "1 min 5 s", "negative", "marked"):
        assert text in row


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    "options",
    [
        "--id rich", "--customer Mia", "--customer-contains MI", "--name order", "--device mobile", "--source whatsapp",
        "--language en", "--ip 81.2.69.142", "--environment prod", "--marked",
        "--since 2025-12-31 --until 2026-01-01T12:00Z",
        "--contains order", "--action FIND", "--has-messages", "--has-feedback", "--has-action", "--sentiment negative",
        "--feedback-source customer", "--metadata plan:gold", "--metadata plan:gold --metadata address.city:Vienna",
    ],
)  # fmt: skip
def test_each_filter_finds_the_one_and_not_the_other(cli: Cli, options: str) -> None:
    """What applies to one conversation only, finds it alone."""
    assert found(cli, *shlex.split(options)) == ["rich"]


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    "options", ["--no-marked", "--no-messages", "--no-feedback", "--no-action", "--since 2026-01-01T12:00Z"]
)
def test_each_opposite_finds_the_other(cli: Cli, options: str) -> None:
    """The negated options leave the one out."""
    assert found(cli, *shlex.split(options)) == ["plain"]


@pytest.mark.usefixtures("recorded")
def test_deleted_conversations_are_listed_only_when_asked(cli: Cli) -> None:
    """And then say that they are deleted."""
    assert found(cli) == ["plain", "rich"]
    assert found(cli, "--include-deleted") == ["plain", "gone", "rich"]
    assert "deleted" in cli("list", "--include-deleted").out


def test_every_option_is_a_filter_that_the_store_knows(cli: Cli) -> None:
    """No option is misspelt on its way."""
    from argparse import ArgumentParser

    from agentsight_auto.cli.filters import add_filters

    parser = ArgumentParser()
    add_filters(parser)
    names = {action.dest.removeprefix("filter_") for action in parser._actions if action.dest.startswith("filter_")}
    assert names <= set(KNOWN_FILTERS)


def test_pages_follow_each_other(cli: Cli, tell: Callable[..., None]) -> None:
    """The command for the next page is printed, and typed as it is shows that page."""
    tell(*(events.ConversationStarted(event_id(number), f"c{number}", NOW_US + number) for number in range(5)))
    done = cli("list", "--page-size", "2")
    assert "5 conversations, page 1 of 3" in done.out
    command = shlex.split(done.out.rpartition("Next: ")[2].strip())
    assert command[0] == "agentsight-auto"
    following = cli(*command[1:])
    assert "c2" in following.out
    assert "page 2 of 3" in following.out
    assert "Next:" not in cli("list", "--page-size=2", "--page=3").out


def test_all_shows_every_page(cli: Cli, tell: Callable[..., None]) -> None:
    """One JSON document for programs, one count for people."""
    tell(*(events.ConversationStarted(event_id(number), f"c{number}", NOW_US + number) for number in range(230)))
    document = cli("list", "--all", "--json").json
    assert [result["conversation_id"] for result in document["results"]] == [f"c{n}" for n in reversed(range(230))]
    assert document["count"] == 230
    assert cli("list", "--all").out.rstrip().endswith("230 conversations.")
    assert cli("list", "--all", "--json", "--customer", "nobody").json["results"] == []


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("options", "code"),
    [("--page 0", 1), ("--page 9", 1), ("--page x", 2), ("--since yesterday", 2), ("--sentiment angry", 2),
     ("--metadata x", 2),
     ("--environment ???", 2), ("--marked --no-marked", 2), ("--nonsense", 2)],
)  # fmt: skip
def test_what_cannot_be_answered_is_told_in_a_line(cli: Cli, options: str, code: int) -> None:
    """Exit code 2 for arguments that cannot be used, 1 for pages that are not there; never a traceback."""
    done = cli("list", *shlex.split(options))
    assert done.code == code
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.strip()


def test_recorded_text_cannot_play_with_the_terminal(cli: Cli, tell: Callable[..., None]) -> None:
    """Markup, escapes and line ends in ids and names are shown as what they are."""
    hostile = "a[bold red]b\x1b[2Jc\nd\u202ee"
    tell(events.ConversationStarted(event_id(1), hostile, NOW_US, customer_id=hostile))
    out = cli("list").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "a[bold red]b\\x1b[2Jc d\\u202ee" in out
    assert json.loads(cli("list", "--json").out)["results"][0]["customer_id"] == hostile


def test_a_broken_store_is_told_in_a_line(cli: Cli) -> None:
    """What is not a database is left alone."""
    cli.home.mkdir()
    store = cli.home / "agentsight.db"
    store.write_bytes(b"This is not a database, not at all." * 100)
    before = store.read_bytes()
    for command in (["list"], ["show", "x"], ["stats"], ["export"]):
        done = cli(*command)
        assert done.code == 1
        assert "not a SQLite database" in done.err
        assert len(done.err.strip().splitlines()) == 1
    assert store.read_bytes() == before


def test_options_common_to_all_stand_before_or_after_the_command(
    cli: Cli, tell: Callable[..., None], capsys: Any
) -> None:
    """`--home` and `--json` are found in both places."""
    from agentsight_auto.cli.main import main

    tell(events.ConversationStarted(event_id(1), "c", NOW_US))
    capsys.readouterr()
    assert main(["--home", str(cli.home), "--json", "list"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["--help"], 0), ([], 2), (["nonsense"], 2), (["--home"], 2)]
)
def test_the_program_itself_has_help_and_a_version(arguments: list[str], code: int) -> None:
    """And exit code 2 for what it does not know."""
    from agentsight_auto.cli.main import main

    assert main(arguments) == code


@pytest.mark.parametrize("command", ["list", "show", "stats", "export", "import", "doctor", "demo"])
def test_each_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    """Exit code 0, and something to copy."""
    done = cli(command, "--help")
    assert done.code == 0
    assert f"agentsight-auto {command}" in done.out.partition("examples:")[2]


def test_disabled_recording_can_still_be_read(
    cli: Cli, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AGENTSIGHT_DISABLED turns recording off, not looking."""
    tell(events.ConversationStarted(event_id(1), "c", NOW_US))
    monkeypatch.setenv("AGENTSIGHT_DISABLED", "1")
    assert found(cli) == ["c"]


def test_the_cost_of_model_calls_is_a_column_where_there_are_any(
    cli: Cli, tell: Callable[..., None], recorded: None
) -> None:
    """Dollars, a lower bound where some calls have no price, and never nothing for what is unpriced."""
    assert "cost" not in cli("list").out.splitlines()[0].split()
    priced, unpriced = {"model": "gpt-4o-mini", "cost_usd": 0.00042}, {"model": "ours"}
    counters = (100, 20, 120, 0)
    tell(
        events.TokenUsage(event_id(20), "rich", NOW_US + 9, *counters, priced),
        events.TokenUsage(event_id(21), "rich", NOW_US + 10, *counters, unpriced),
        events.TokenUsage(event_id(22), "plain", NOW_US + 86_400_000_001, *counters, unpriced),
        events.TokenUsage(event_id(23), "exact", NOW_US, *counters, priced),
        events.TokenUsage(event_id(24), "counted", NOW_US, *counters, None),
    )
    lines = {line.split()[0]: line for line in cli("list").out.splitlines() if line.strip()}
    assert "cost" in lines["conversation"].split()
    assert "≥ $0.000420" in lines["rich"]
    assert "unpriced" in lines["plain"]
    assert ("$0.000420" in lines["exact"], "≥" in lines["exact"]) == (True, False)
    assert "$" not in lines["counted"] + lines["plain"]
