from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentsight_auto import events

from .support import ROOT, run, start

NOW_US = 1_767_225_600_000_000


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


def many(count: int) -> list[events.AnyEvent]:
    """So many conversations with a long message each."""
    return [events.Message(event_id(n), f"c{n}", NOW_US + n, "agent", "x" * 5000) for n in range(count)]


def test_the_module_runs_as_the_command(home: Path) -> None:
    """Help and a usage error have their exit codes, and leave no file."""
    helped, misused = run("list", "--help", home=home), run("list", "--page", "x", home=home)
    assert (helped.code, misused.code) == (0, 2)
    assert "examples:" in helped.out
    assert "--page" in misused.err
    assert not home.exists()


def test_help_loads_neither_the_store_nor_http(home: Path) -> None:
    """What only asks how it works waits for nothing heavy."""
    code = (
        "import sys\n"
        "from agentsight_auto.cli.main import main\n"
        "main(['--version'])\n"
        "assert not {'sqlalchemy', 'httpx', 'dotenv'} & sys.modules.keys()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0


def test_what_a_killed_process_left_is_found(home: Path) -> None:
    """A block was left, then kill -9: the command line delivers it and shows it."""
    code = (
        "import os, signal\n"
        "from agentsight_auto import configure, conversation, track_action\n"
        f"configure(home={str(home)!r})\n"
        "@track_action\n"
        "def find_order(order_id): return {'order': order_id}\n"
        "with conversation('chat-1', customer_id='mia') as chat:\n"
        "    chat.track_human_message('Where is my order?')\n"
        "    find_order('A-17')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    listed = run("list", "--json", "--customer", "mia", "--action", "find_order", home=home)
    assert [result["conversation_id"] for result in listed.json["results"]] == ["chat-1"]
    assert "find_order(order_id=A-17)" in run("show", "chat-1", home=home).out


def test_a_reader_that_leaves_early_is_no_error(home: Path, tell: Callable[..., None]) -> None:
    """`export | head -1` ends quietly."""
    tell(*many(200))
    with start("export", home=home) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert err == b""


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["export"], ["doctor"]])
def test_a_reader_that_never_reads_is_no_error(home: Path, tell: Callable[..., None], arguments: list[str]) -> None:
    """What is still buffered at the end is dropped without a word."""
    tell(*many(2))
    with start(*arguments, home=home) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert err == b""


def test_ctrl_c_ends_with_a_line(home: Path) -> None:
    """An import that waits for its stdin is interrupted: exit code 130 and no traceback."""
    with start("import", "-", home=home) as process:
        deadline = time.monotonic() + 30
        while not (home / "agentsight.db").exists() and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b"Interrupted.\n"


def test_text_that_the_terminal_cannot_show_is_escaped(home: Path, tell: Callable[..., None]) -> None:
    """An ASCII terminal gets escapes and no failure; JSON stays UTF-8."""
    tell(events.Message(event_id(1), "c", NOW_US, "end_user", "Grüße 👋"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = run("show", "c", home=home, env=environment)
    assert shown.code == 0
    assert "Gr\\xfc\\xdfe \\U0001f44b" in shown.out
    assert run("show", "c", "--json", home=home, env=environment).json["messages"][0]["content"] == "Grüße 👋"
