from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import agentsight_auto


def run(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_cold_import_loads_nothing_heavy_and_starts_nothing(tmp_path: Path) -> None:
    """Nothing heavy is loaded and neither store nor clients, no thread runs, no file appears."""
    code = (
        "import sys, threading, agentsight_auto\n"
        "print([m for m in ('httpx', 'httpcore', 'sqlalchemy', 'dotenv', 'rich', 'sqlite3') if m in sys.modules])\n"
        "print([m for m in sys.modules if m.startswith(tuple('agentsight_auto.' + part for part in "
        "('store', 'query', 'integrations', 'redact', 'api', 'tracker', 'manager')))])\n"
        "print(threading.active_count())"
    )
    assert run(code, tmp_path).splitlines() == ["[]", "[]", "1"]
    assert list(tmp_path.iterdir()) == []


def test_importing_leaves_signals_and_hooks_as_they_are(tmp_path: Path) -> None:
    """No signal handler, exception hook or logging handler is installed."""
    code = (
        "import logging, signal, sys, threading\n"
        "before = [signal.getsignal(s) for s in signal.valid_signals()], sys.excepthook, threading.excepthook\n"
        "import agentsight_auto\n"
        "with agentsight_auto.conversation('c') as chat: chat.track_human_message('x')\n"
        "agentsight_auto.shutdown()\n"
        "after = [signal.getsignal(s) for s in signal.valid_signals()], sys.excepthook, threading.excepthook\n"
        "print(before == after, logging.getLogger().handlers, logging.getLogger('agentsight_auto').handlers)"
    )
    assert run(code, tmp_path) == "True [] []"


def test_the_public_names_are_pinned() -> None:
    """Adding or removing a public name is a decision, not an accident."""
    assert agentsight_auto.__all__ == sorted(agentsight_auto.__all__)
    assert set(agentsight_auto.__all__) == {
        "AgentSightAPI",
        "AsyncAgentSightAPI",
        "ConversationManager",
        "ConversationTracker",
        "FlushReport",
        "__version__",
        "agentsight_api",
        "configure",
        "conversation",
        "conversation_manager",
        "conversation_tracker",
        "current_conversation",
        "flush",
        "instrument",
        "propagate",
        "shutdown",
        "track_action",
        "uninstrument",
    }
    for name in agentsight_auto.__all__:
        assert hasattr(agentsight_auto, name)


def test_names_that_are_loaded_late_are_there_like_the_others() -> None:
    """They are listed, can be imported and are the same each time; other names are missing as usual."""
    assert set(agentsight_auto.__all__) <= set(dir(agentsight_auto))
    assert agentsight_auto.conversation_tracker is agentsight_auto.conversation_tracker
    space: dict[str, object] = {}
    exec("from agentsight_auto import *", space)
    assert set(agentsight_auto.__all__) <= space.keys()
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = agentsight_auto.no_such_name


def test_the_fixture_records_in_a_users_test(tmp_path: Path) -> None:
    """A user's test that takes `agentsight_recording` sees what its code recorded, and writes nothing."""
    (tmp_path / "test_user.py").write_text(
        "from agentsight_auto import conversation, track_action\n"
        "@track_action\n"
        "def find(x): return x\n"
        "def test_it(agentsight_recording):\n"
        "    with conversation('c') as chat:\n"
        "        chat.track_human_message('hi'); find(1)\n"
        "    assert agentsight_recording.messages('c') == [('end_user', 'hi')]\n"
        "    assert agentsight_recording.action_names() == ['find']\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "1 passed" in done.stdout
    assert not (tmp_path / ".agentsight").exists()
