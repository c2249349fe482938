"""What was acknowledged survives kill -9, in all four ways in which events are acknowledged; judged from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentsight_auto import agentsight_api
from agentsight_auto._runtime import Runtime

CHILD = """
import os, signal, sys, time
from agentsight_auto import conversation, conversation_tracker, track_action, current_conversation

@track_action
def tool(number):
    return number

way, rounds = sys.argv[1], int(sys.argv[2])
if way == "block left":
    for number in range(rounds):
        with conversation(f"chat-{number}") as chat:
            chat.track_human_message(f"text {number}")
            tool(number)
        print(number, flush=True)
elif way == "outside a block":
    for number in range(rounds):
        conversation_tracker.get_or_create_conversation(f"chat-{number}")
        conversation_tracker.track_human_message(f"text {number}")
        tool(number)
        print(number, flush=True)
elif way == "older than the interval":
    for number in range(rounds):
        chat = conversation(f"chat-{number}").__enter__()
        chat.track_human_message(f"text {number}")
        tool(number)
    time.sleep(0.4)
    for number in range(rounds):
        print(number, flush=True)
elif way == "interval 0":
    for number in range(rounds):
        chat = conversation(f"chat-{number}").__enter__()
        chat.track_human_message(f"text {number}")
        tool(number)
        print(number, flush=True)
print("done", flush=True)
time.sleep(30)
"""

WAYS = ["block left", "outside a block", "older than the interval", "interval 0"]


def run_and_kill(home: Path, way: str, rounds: int, *, kill_after: int) -> int:
    """Run the child until it has acknowledged `kill_after` conversations, kill -9 it, return how many it had."""
    environment = {**os.environ, "AGENTSIGHT_HOME": str(home)}
    if way == "interval 0":
        environment["AGENTSIGHT_JOURNAL_INTERVAL_MS"] = "0"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, way, str(rounds)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None
    acknowledged = 0
    for line in child.stdout:
        acknowledged += line.strip() != "done"
        if acknowledged >= kill_after or line.strip() == "done":
            break
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait(10)
    child.stdout.close()
    return acknowledged + len([line for line in rest if line != "done"])


@pytest.mark.parametrize("way", WAYS)
def test_acknowledged_events_survive_kill_9_once_each(way: str, tmp_path: Path, runtime: Runtime) -> None:
    """Another process finds every acknowledged conversation whole, once, in order, by a filter."""
    acknowledged = run_and_kill(tmp_path / "home", way, 12, kill_after=7)
    assert acknowledged >= 7
    for number in range(acknowledged):
        page = agentsight_api.fetch_conversations(message_contains=f"text {number}", conversation_id=f"chat-{number}")
        assert page["count"] == 1
        messages = page["results"][0]["messages"]
        assert [(m["sender"], m["action_name"]) for m in messages] == [("end_user", None), ("agent", "tool")]
        assert messages[0]["content"] == f"text {number}"
        assert messages[1]["action_logs"][0]["response"] == number
    assert runtime.pipeline.waiting().events == 0
