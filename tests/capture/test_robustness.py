"""What hostile but fair use has broken once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import (
    agentsight_api,
    conversation,
    conversation_tracker,
    current_conversation,
    events,
    flush,
    propagate,
    track_action,
)
from agentsight_auto._runtime import Runtime
from agentsight_auto.exceptions import (
    AgentSightException,
    InvalidAttachmentException,
    InvalidConversationDataException,
    NoApiKeyException,
)
from agentsight_auto.testing import ManualClock, Recording, recording


def current_id() -> str | None:
    current = current_conversation()
    return current and current.conversation_id


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class ObjectId:
    def __init__(self, value: str) -> None:
        self.value = value

    def __str__(self) -> str:
        return self.value


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("repr")

    @property
    def __class__(self) -> Any:
        raise RuntimeError("class")


def test_leaving_a_block_never_waits_for_the_store(runtime: Runtime, tmp_path: Path) -> None:
    """While another process holds the store's lock, blocks are left in milliseconds."""
    with conversation("first"):
        pass
    assert flush(10).is_complete
    holder = sqlite3.connect(tmp_path / "home" / "agentsight.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    slowest = 0.0
    for number in range(20):
        started = time.monotonic()
        with conversation(f"c-{number}") as chat:
            chat.track_human_message("x")
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.02)
    holder.execute("ROLLBACK")
    holder.close()
    assert slowest < 3


def test_open_blocks_are_journalled_while_delivery_is_stuck(runtime: Runtime, tmp_path: Path) -> None:
    """A worker that waits for the store's lock does not hold the journal back."""
    with conversation("first"):
        pass
    assert flush(10).is_complete
    holder = sqlite3.connect(tmp_path / "home" / "agentsight.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = run(
        """
        import os, time
        from agentsight_auto import conversation
        with conversation("left"):
            pass
        time.sleep(0.3)  # the worker is inside the store now
        chat = conversation("open").__enter__()
        chat.track_human_message("old enough")
        time.sleep(0.6)
        os._exit(0)
        """
    )
    holder.execute("ROLLBACK")
    holder.close()
    assert done.returncode == 0
    assert [m["content"] for m in agentsight_api.fetch_conversation("open")["messages"]] == ["old enough"]


def test_a_child_forked_while_the_store_is_imported_delivers(runtime: Runtime) -> None:
    """Fork right after the first event, when the worker imports SQLAlchemy: no hang, and nothing is lost."""
    done = run(
        """
        import os, time
        from agentsight_auto import agentsight_api, conversation, flush
        with conversation("parent"):
            pass
        time.sleep(0.1)
        child = os.fork()
        if child == 0:
            with conversation("child") as chat:
                chat.track_human_message("from the child")
            flush(2)
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert done.returncode == 0, done.stderr
    assert [m["content"] for m in agentsight_api.fetch_conversation("child")["messages"]] == ["from the child"]


def test_a_child_that_cannot_load_the_store_any_more_says_so(runtime: Runtime) -> None:
    """Forked in the middle of the import it raises where it is asked, hangs nowhere, and its events are found."""
    done = run(
        """
        import os, threading
        from agentsight_auto import _opening, agentsight_api, conversation, flush
        from agentsight_auto.exceptions import StoreException
        is_held = threading.Event()
        def hold():
            with _opening._importing:  # as the worker's import holds it
                is_held.set()
                threading.Event().wait()
        threading.Thread(target=hold, daemon=True).start()
        is_held.wait()
        with conversation("parent"):
            pass
        child = os.fork()
        if child == 0:
            with conversation("child") as chat:
                chat.track_human_message("from the child")
            pending = flush(1).pending
            try:
                agentsight_api.fetch_conversation("child")
            except StoreException as error:
                os._exit(0 if pending == 3 and "forked" in str(error) else 2)
            os._exit(1)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert done.returncode == 0, done.stderr
    assert [m["content"] for m in agentsight_api.fetch_conversation("child")["messages"]] == ["from the child"]


def test_ids_of_any_type_stay_apart(recorded: Recording) -> None:
    """An id is its own text, whatever its type; an object without one is no id."""
    for value in (ObjectId("alice"), ObjectId("bobby"), b"carol", 12):
        with conversation(value, customer_id=value):
            pass
    assert recorded.conversation_ids == ["alice", "bobby", "carol", "12"]
    assert [start.customer_id for start in recorded.of(events.ConversationStarted)] == ["alice", "bobby", "carol", "12"]
    with pytest.raises(InvalidConversationDataException, match="no text of its own"):
        conversation_tracker.get_or_create_conversation(object())
    with conversation(object()) as chat:
        assert chat.conversation_id.startswith("conv_")


def test_a_propagated_generator_leaves_its_consumer_where_it_was(recorded: Recording) -> None:
    """Carried from A and drained in B, it runs in A and B stays current."""

    def numbers():
        yield current_id()
        yield current_id()

    with conversation("A"):
        carried = propagate(numbers)
    with conversation("B"):
        assert [(inside, current_id()) for inside in carried()] == [("A", "B"), ("A", "B")]
    assert current_id() is None


def test_one_block_entered_through_exit_stacks_by_many_stays_apart(recorded: Recording) -> None:
    """Helpers that call __enter__ and __exit__ end the entry of their own thread or task."""
    block = conversation()
    both = threading.Barrier(8)

    def work(number: int) -> str | None:
        with contextlib.suppress(KeyError), contextlib.ExitStack() as stack:
            scope = stack.enter_context(block)
            both.wait(10)
            scope.track_human_message(f"{number}")
            if number == 3:
                raise KeyError(number)
        return current_id()

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(work, range(8))) == [None] * 8
    (three,) = [m.conversation_id for m in recorded.of(events.Message) if m.content == "3"]
    assert {end.conversation_id for end in recorded.of(events.ConversationEnded) if end.error} == {three}


@pytest.mark.parametrize(
    "environment",
    [
        {"AGENTSIGHT_HOME": "~nobody-of-that-name/x"},
        {"AGENTSIGHT_GEOIP_DB": "~nobody-of-that-name/x"},
        {"AGENTSIGHT_DURABILITY": "for ever", "AGENTSIGHT_IDLE_MINUTES": "NaN", "AGENTSIGHT_JOURNAL_INTERVAL_MS": "x"},
    ],
)
def test_settings_that_cannot_be_used_do_not_reach_the_program(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program runs, its events are delivered, and the problem is logged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTSIGHT_HOME")
    done = run(
        """
        from agentsight_auto import conversation, flush
        with conversation("c") as chat:
            chat.track_human_message("x")
        print(flush(10).delivered)
        """,
        **environment,
    )
    assert done.stdout.strip() == "3"
    assert "ignores a setting" in done.stderr


def test_a_working_directory_that_is_gone_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without AGENTSIGHT_HOME."""
    code = f"""
        import os, shutil
        from agentsight_auto import conversation, flush  # Python itself cannot import from a folder that is gone
        os.makedirs({str(tmp_path / "gone")!r}, exist_ok=True)
        os.chdir({str(tmp_path / "gone")!r})
        shutil.rmtree({str(tmp_path / "gone")!r})
        with conversation("c") as chat:
            chat.track_human_message("x")
        print(flush(5).captured)
    """
    assert run(code).stdout.strip() == "3"
    monkeypatch.delenv("AGENTSIGHT_HOME")
    without = run(code)
    assert without.stdout.strip() == "3"
    assert "Traceback" not in without.stderr


def test_a_dotenv_file_that_is_not_utf_8_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings count, and a warning says how it was read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTSIGHT_HOME")
    (tmp_path / ".env").write_bytes("# K\xfcche\nAGENTSIGHT_DISABLED=1\n".encode("latin-1"))
    done = run("from agentsight_auto import conversation\nwith conversation('c'): pass")
    assert "not UTF-8" in done.stderr
    assert not (tmp_path / ".agentsight").exists()


def test_a_send_that_fails_inside_does_not_claim_success(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not known to be answered is said to be kept."""
    monkeypatch.setattr("agentsight_auto._guard.raise_errors", False)
    conversation_tracker.get_or_create_conversation("c")
    monkeypatch.setattr(runtime.pipeline, "release", lambda key: 1 / 0)
    (item,) = conversation_tracker.send_tracked_data(1)["items"]
    assert item["success"] is False
    assert "kept" in item["error"]


def test_sending_to_an_endpoint_without_a_key_says_so_at_once(runtime: Runtime) -> None:
    """The first call that needs the key raises, and what was tracked is still there."""
    runtime.configure(endpoint="http://127.0.0.1:9")
    conversation_tracker.get_or_create_conversation("c")
    with pytest.raises(NoApiKeyException):
        conversation_tracker.send_tracked_data()
    assert conversation_tracker.get_tracked_data_summary()["summary"]["total"] == 1


def test_a_scope_that_never_sends_stays_small(recorded: Recording) -> None:
    """Items are folded away, tokens keep their sum."""
    with conversation("c") as chat:
        for _ in range(25_000):
            chat.track_token_usage(1, 1)
            if len(chat.unsent.items) > 10_001:
                pytest.fail("the scope keeps every event")
        assert chat.get_token_usage()["total_tokens"] == 50_000


def test_blocks_left_in_another_context_do_not_pile_up(recorded: Recording) -> None:
    """The chain of what is current stays short."""
    with ThreadPoolExecutor(1) as executor:
        for number in range(50):
            block = conversation(f"c-{number}")
            block.__enter__()
            executor.submit(block.__exit__, None, None, None).result(5)
    depth, frame = 0, recorded._runtime.current.get()
    while frame is not None:
        depth, frame = depth + 1, frame.outer
    assert depth <= 2
    recorded._runtime.current.set(None)


@pytest.mark.parametrize("data", ["plain text content", "SGVsbG8", "SGVs\nbG8=", "__79"])
def test_base64_is_checked_and_read_in_all_its_forms(recorded: Recording, data: str) -> None:
    """Plain text is refused; missing padding, line ends and the URL-safe alphabet are read."""
    if " " in data:
        with pytest.raises(InvalidAttachmentException, match="not base64"):
            conversation_tracker.track_attachments([{"data": data}])
    else:
        conversation_tracker.track_attachments([{"data": data}])
        assert recorded.of(events.Attachments)[0].attachments[0].size_bytes in {3, 5}


def test_attachments_are_kept_all_or_none(recorded: Recording, tmp_path: Path) -> None:
    """A closed file, a reader that raises, and a refused one after a good one leave no file behind."""
    closed = (tmp_path / "closed").open("wb+")
    closed.close()
    folder = Path(recorded._runtime.settings.attachments_path)
    for bad in (closed, types.SimpleNamespace(read=lambda size: 1 / 0)):
        with pytest.raises(InvalidAttachmentException, match="Attachment 2"):
            conversation_tracker.track_attachments([{"data": b"good"}, {"data": bad}], mode="form_data")
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.track_token_usage(10**5000),
        lambda t: t.track_token_usage(2**53, 2**53),
        lambda t: t.track_action("a", duration_ms=10**400),
        lambda t: t.track_action("a", started_at="1901-01-01T00:00:00Z"),
        lambda t: t.track_action("a", started_at=Hostile()),
        lambda t: t.track_button(Hostile(), "l", "v"),
        lambda t: t.track_attachments([{"data": "aGk="}], mode=Hostile()),
        lambda t: t.track_human_message("x", metadata=Hostile()),
        lambda t: t.get_or_create_conversation("c", environment=Hostile()),
        lambda t: t.configure(durability=Hostile()),
    ],
)
def test_documented_calls_raise_documented_exceptions_only(recorded: Recording, call: Any) -> None:
    """Also for arguments whose repr or class raises."""
    with pytest.raises(AgentSightException):
        call(conversation_tracker)


def test_a_block_keeps_what_it_can_of_its_fields(recorded: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """One field that cannot be read does not take the others with it."""
    monkeypatch.setattr("agentsight_auto._guard.raise_errors", False)
    with conversation("c", source="web", environment=Hostile()):  # type: ignore[arg-type]
        pass
    (start,) = recorded.of(events.ConversationStarted)
    assert (start.source, start.environment) == ("web", "development")


async def test_types_coroutine_functions_stay_awaitable(recorded: Recording) -> None:
    """A decorated `types.coroutine` function can be awaited, and its action is recorded."""

    @track_action
    @types.coroutine
    def old_style():
        yield from asyncio.sleep(0).__await__()
        return 5

    with conversation("c"):
        assert await old_style() == 5
    assert recorded.action_names() == ["old_style"]


def test_init_subclass_keeps_its_class(recorded: Recording) -> None:
    """Python makes a plain __init_subclass__ a classmethod by itself; decorated, it is one too."""
    made = []

    class Base:
        @track_action
        def __init_subclass__(cls) -> None:
            made.append(cls.__name__)

    class Child(Base):
        pass

    assert made == ["Child"]


def test_a_running_action_keeps_its_conversation_beyond_the_idle_limit() -> None:
    """However long it takes, what it does belongs to the conversation it runs in."""
    clock = ManualClock()
    with recording(clock=clock) as recorded:
        conversation_tracker.get_or_create_conversation("bound")
        with track_action("long"):
            clock.advance(3600)
            with track_action("inner"):
                pass
        assert {action.conversation_id for action in recorded.of(events.Action)} == {"bound"}


def test_overlapping_recordings_in_threads_leave_the_default_as_it_was() -> None:
    """Blocks that end in another order than they began never leave a dead runtime behind."""
    from agentsight_auto import _runtime

    before = _runtime.default()
    entered, ended = threading.Event(), threading.Event()

    def first() -> None:
        with recording():
            entered.set()
            ended.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with recording():
        ended.set()
        thread.join(10)
    assert _runtime.default() is before


def test_a_log_handler_that_records_does_not_hang(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are announced without a lock held."""
    monkeypatch.setenv("AGENTSIGHT_DURABILITY", "nonsense")
    seen = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            thread = threading.Thread(target=lambda: seen.append(runtime.settings.durability))
            thread.start()
            thread.join(5)

    handler = Recorder(logging.WARNING)
    logging.getLogger("agentsight_auto").addHandler(handler)
    try:
        assert runtime.settings.durability == "process"
    finally:
        logging.getLogger("agentsight_auto").removeHandler(handler)
    assert seen == ["process"]


@pytest.mark.parametrize(("timeout_s", "least_s", "most_s"), [("0", 0, 4), ("5", 4, 25)])
def test_the_exit_waits_as_long_as_the_setting_says(
    timeout_s: str, least_s: float, most_s: float, tmp_path: Path
) -> None:
    """With a store that is locked the process still ends in time."""
    home = tmp_path / "home"
    with recording():
        pass
    run("from agentsight_auto import conversation\nwith conversation('c'): pass")
    holder = sqlite3.connect(home / "agentsight.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = run(
        """
        import atexit, time
        started = []
        atexit.register(lambda: print(time.monotonic() - started[0]))
        from agentsight_auto import conversation
        with conversation("c"):
            pass
        started.append(time.monotonic())
        """,
        AGENTSIGHT_EXIT_TIMEOUT_S=timeout_s,
    )
    holder.execute("ROLLBACK")
    holder.close()
    assert least_s <= float(done.stdout) < most_s


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.track_human_message(),
        lambda t: t.track_agent_message("x", meta={}),
        lambda t: t.track_token_usage(1, 2, 3, 4, 5),
        lambda t: t.track_button(),
        lambda t: t.track_action("a", started=1),
    ],
)
def test_a_call_that_does_not_fit_its_signature_is_counted_and_goes_through(
    recorded: Recording, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    """On the tracker and on a block's scope alike: the program goes on."""
    monkeypatch.setattr("agentsight_auto._guard.raise_errors", False)
    with conversation("c") as chat:
        call(conversation_tracker)
        call(chat)
