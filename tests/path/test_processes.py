"""The ways a process can end, fork and share a home; judged from another process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agentsight_auto import agentsight_api
from agentsight_auto._runtime import Runtime


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stored_texts() -> list[str]:
    return sorted(message["content"] for found in agentsight_api.iter_conversations() for message in found["messages"])


ENDS = {
    "clean exit": "pass",
    "uncaught exception": "raise ValueError('the user program')",
    "sys.exit in a thread": "import sys, threading; t = threading.Thread(target=sys.exit); t.start(); t.join()",
    "os._exit": "import os; os._exit(0)",
    "SIGTERM without a handler": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_lost_however_the_process_ends(end: str, runtime: Runtime) -> None:
    """A thousand events outside and inside blocks are found afterwards, and nothing of ours is printed."""
    code = """
        from agentsight_auto import conversation, conversation_tracker
        for number in range(100):
            with conversation(f"c-{number}") as chat:
                for turn in range(5):
                    chat.track_human_message(f"{number} {turn}")
        conversation_tracker.get_or_create_conversation("bound")
        conversation_tracker.track_human_message("waits for a send that never comes")
    """
    done = run(textwrap.dedent(code) + ENDS[end])
    assert "agentsight" not in done.stderr
    assert len(stored_texts()) == 501
    assert runtime.pipeline.waiting().events == 0


def test_a_block_that_is_open_at_a_clean_exit_is_kept(runtime: Runtime) -> None:
    """The end of the process writes what open blocks have recorded."""
    run("from agentsight_auto import conversation; conversation('c').__enter__().track_human_message('still open')")
    assert stored_texts() == ["still open"]


def test_a_forked_child_that_leaves_an_inherited_block_repeats_nothing(runtime: Runtime) -> None:
    """Parent and child both leave the block they share; each event is stored once, the end is the parent's."""
    done = run(
        """
        import os, sys
        from agentsight_auto import conversation, shutdown
        with conversation("shared") as chat:
            chat.track_human_message("before the fork")
            child = os.fork()
            chat.track_human_message("child" if child == 0 else "parent")
        if child == 0:
            with conversation("own") as own:
                own.track_human_message("child's own")
            os._exit(0)
        os.waitpid(child, 0)
        """
    )
    assert done.returncode == 0, done.stderr
    assert stored_texts() == ["before the fork", "child", "child's own", "parent"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_deliver_everything(method: str, runtime: Runtime, tmp_path: Path) -> None:
    """Four workers and their parent record into one home; nothing is lost or doubled."""
    script = tmp_path / "pool.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import multiprocessing
            from agentsight_auto import conversation, track_action

            @track_action
            def tool(x):
                return x

            def work(number):
                with conversation(f"c-{{number}}") as chat:
                    chat.track_human_message(f"text {{number}}")
                    tool(number)

            if __name__ == "__main__":
                work(-1)
                with multiprocessing.get_context({method!r}).Pool(4) as pool:
                    pool.map(work, range(40))
                    pool.close()
                    pool.join()
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    texts = stored_texts()
    assert len(texts) == 41 * 2
    assert len({text for text in texts if text.startswith("text")}) == 41


def test_two_processes_record_into_one_home_at_once(runtime: Runtime) -> None:
    """Both write the same store file; every event is there once."""
    code = """
        import sys
        from agentsight_auto import conversation
        for number in range(200):
            with conversation(f"{sys.argv[1]}-{number}") as chat:
                chat.track_human_message(f"{sys.argv[1]} {number}")
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), name], stderr=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
    assert stored_texts() == sorted(f"{name} {number}" for name in ("left", "right") for number in range(200))


def test_the_exit_is_quick_while_the_store_cannot_be_opened(runtime: Runtime, tmp_path: Path) -> None:
    """A store that is broken delays the end of the process by two seconds at most and prints nothing."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "agentsight.db").write_bytes(b"not a database" * 100)
    done = run(
        """
        import atexit, time
        from agentsight_auto import conversation
        with conversation("c") as chat:
            chat.track_human_message("kept")
        started = time.monotonic()
        import agentsight_auto
        agentsight_auto.shutdown()
        print(time.monotonic() - started < 6)
        """
    )
    assert done.stdout.strip() == "True"
    (tmp_path / "home" / "agentsight.db").unlink()
    assert stored_texts() == ["kept"]


def test_a_read_only_home_breaks_nothing(tmp_path: Path) -> None:
    """Where no file can be made the program runs on, and the report says what waits."""
    if os.geteuid() == 0:
        home = "/proc/agentsight"
    else:
        home = str(tmp_path / "locked" / "home")
        (tmp_path / "locked").mkdir(mode=0o500)
    done = run(
        """
        from agentsight_auto import conversation, flush, track_action

        @track_action
        def tool(x):
            return x

        with conversation("c") as chat:
            chat.track_human_message("in memory")
            print(tool(3))
        print(flush(0.5).pending)
        """,
        AGENTSIGHT_HOME=home,
    )
    assert done.stdout.split() == ["3", "4"]
    assert "Traceback" not in done.stderr
