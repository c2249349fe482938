"""`agentsight-auto demo`: what it records, what it says about it, and how it notices that something is missing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agentsight_auto import _runtime, agentsight_api, conversation
from agentsight_auto.demo.desk import Entry, current_desk
from agentsight_auto.demo.run import DemoResult, run_demo

_COMMAND = "import sys; from agentsight_auto.cli.main import main; sys.exit(main())"
_TIMEOUT_S = 60


def _agentsight(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _COMMAND, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=_TIMEOUT_S,
    )


def _stories(result: DemoResult) -> list[list[Entry]]:
    return [desk.log for desk in result.desks]


def test_the_command_records_200_conversations_and_finds_all_of_them_again(tmp_path: Path) -> None:
    """The README's first command: exit code 0, counts from the store, the next commands."""
    ran = _agentsight("demo", "--home", str(tmp_path / "shop"))
    assert ran.returncode == 0, ran.stderr
    lines = {line.split()[0]: line.split()[1] for line in ran.stdout.splitlines() if line.startswith("  ")}
    assert lines["conversations"] == "200"
    assert all(lines[name] != "0" for name in ("messages", "actions", "escalations", "attachments", "buttons"))
    assert "Every message and action is in its own conversation and in order." in ran.stdout
    assert "@track_action adds" in ran.stdout
    assert "200 of 200 conversations" in ran.stderr
    show = ran.stdout.splitlines()[-1].split()
    assert show[:2] == ["agentsight-auto", "show"]
    shown = _agentsight(*show[1:])
    assert shown.returncode == 0, shown.stderr
    assert "fallback_to_human" in shown.stdout
    assert "photo.png" in shown.stdout


def test_json_on_stdout_is_the_report_and_nothing_else(tmp_path: Path) -> None:
    """With --json a program can read what was recorded."""
    ran = _agentsight("demo", "--conversations", "12", "--json", "--home", str(tmp_path / "shop"))
    assert ran.returncode == 0, ran.stderr
    report = msgspec.json.decode(ran.stdout)
    assert report["conversations"] == 12
    assert report["is_complete"] is True
    assert report["cost_us"]["tracked"] > report["cost_us"]["undecorated"] > 0


@pytest.mark.parametrize("number", ["0", "-3", "many", "1000000"])
def test_a_number_that_makes_no_sense_is_a_usage_error(number: str, tmp_path: Path) -> None:
    """A number that cannot be used ends with exit code 2 and records nothing."""
    ran = _agentsight("demo", f"--conversations={number}", "--home", str(tmp_path / "shop"))
    assert ran.returncode == 2
    assert number in ran.stderr
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("AGENTSIGHT_DISABLED", "1"), ("AGENTSIGHT_API_ENDPOINT", "http://127.0.0.1:9")],
)
def test_where_nothing_can_be_recorded_the_demo_says_what_to_unset(name: str, value: str, tmp_path: Path) -> None:
    """Disabled or sent elsewhere: exit code 1, a message that names the variable, no file."""
    ran = _agentsight("demo", "--home", str(tmp_path / "shop"), **{name: value})
    assert ran.returncode == 1
    assert name in ran.stderr
    assert not (tmp_path / "shop").exists()


def test_a_store_that_loses_something_makes_the_command_fail(tmp_path: Path) -> None:
    """If the store holds less than was done, the exit code is 1 and the message names both counts."""
    home = tmp_path / "shop"
    assert _agentsight("demo", "--conversations", "1", "--home", str(home)).returncode == 0
    with sqlite3.connect(home / "agentsight.db") as database:
        database.execute(
            "CREATE TRIGGER forgetful AFTER INSERT ON token_usages "
            "BEGIN DELETE FROM token_usages WHERE rowid = NEW.rowid; END"
        )
    database.close()
    ran = _agentsight("demo", "--conversations", "3", "--home", str(home))
    assert ran.returncode == 1
    assert "total tokens" in ran.stderr
    assert "0 are stored" in ran.stderr


def test_a_second_run_adds_conversations_of_its_own(runtime: _runtime.Runtime) -> None:
    """Two runs into one store share no conversation id, and both are complete."""
    first, second = run_demo(20), run_demo(30)
    assert first.problems == second.problems == []
    assert first.run != second.run
    assert agentsight_api.fetch_conversations(page_size=1)["count"] == 50


def test_the_same_seed_tells_the_same_stories(runtime: _runtime.Runtime) -> None:
    """What is said and done depends on the seed alone, on threads and tasks that run as they please."""
    assert _stories(run_demo(40, seed=7)) == _stories(run_demo(40, seed=7))


def test_another_seed_tells_other_stories(runtime: _runtime.Runtime) -> None:
    """The seed is what the stories depend on."""
    assert _stories(run_demo(10, seed=7)) != _stories(run_demo(10, seed=8))


def test_a_message_in_a_conversation_where_nobody_said_it_is_noticed(runtime: _runtime.Runtime) -> None:
    """The report compares sequences, not only counts."""
    astray: list[str] = []

    def say_something_more() -> None:
        desk = current_desk.get(None)
        if desk is not None and not astray:
            astray.append(desk.conversation_id)
            with conversation(desk.conversation_id) as chat:
                chat.track_human_message("One more thing")

    problems = run_demo(4, on_done=say_something_more).problems
    assert any("human messages" in problem for problem in problems)
    assert any(astray[0] in problem for problem in problems)


def test_conversations_have_what_the_documented_filters_ask_for(runtime: _runtime.Runtime) -> None:
    """Customers, channels, nested metadata, feedback, escalations and failures are all there to be found."""
    run = run_demo(60).run
    find = agentsight_api.fetch_conversations
    assert find(metadata=f"demo.run:{run}")["count"] == 60
    for filters in (
        {"action_name": "fallback_to_human"},
        {"metadata": "plan:pro"},
        {"metadata": "shop.returning:true"},
        {"feedback_sentiment": "positive"},
        {"language": "de"},
        {"device": "mobile"},
        {"message_contains": "A-10"},
        {"customer_ip_address": "81.2.69.142"},
    ):
        assert 0 < find(**filters)["count"] < 61, filters
    assert {shape["environment"] for shape in find(page_size=60)["results"]} == {"production"}


def test_nested_tools_know_their_parent_and_secrets_are_masked(runtime: _runtime.Runtime) -> None:
    """refund_order holds check_refund_window holds find_order; the value of `passcode` is not kept as an argument."""
    run_demo(60)
    logs = [
        (message["action_name"], log)
        for shape in agentsight_api.fetch_conversations(page_size=60)["results"]
        for message in shape["messages"]
        for log in message["action_logs"]
    ]
    names = {log["id"]: name for name, log in logs}
    parents = {(name, names.get(log["parent_id"])) for name, log in logs}
    assert {("check_refund_window", "refund_order"), ("find_order", "check_refund_window")} <= parents
    assert ("ask_carrier", "track_shipment") in parents
    passcodes = {log["tools_used"]["parameters"]["passcode"] for name, log in logs if name == "verify_customer"}
    assert passcodes == {"[masked]"}
