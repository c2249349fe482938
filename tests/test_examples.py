"""Every example runs as its docstring says, in a process and a folder of its own."""

from __future__ import annotations

import ast
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
_TIMEOUT_S = 60

_FILE_LINES = [
    {
        "id": "one",
        "reward": 1.0,
        "messages": [
            {"role": "user", "content": "Cancel my flight"},
            {
                "role": "assistant",
                "content": "One moment.",
                "tool_calls": [
                    {"id": "call", "function": {"name": "cancel", "arguments": '{"flight": "XY1", "seats": [1, 2]}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "call", "content": '{"status": "cancelled"}'},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call", "function": {"name": "transfer_to_human_agents", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call", "content": "Transfer successful"},
        ],
    },
    {"id": "two", "reward": 0.0, "messages": [{"role": "user", "content": "Hello?"}]},
]


def _run(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder, with no setting but the defaults."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AGENTSIGHT_")}
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_TIMEOUT_S,
    )


def _output(name: str, folder: Path, *arguments: str) -> str:
    ran = _run(name, folder, *arguments)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return ran.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_says_what_it_shows_how_to_run_it_and_what_it_prints(path: Path) -> None:
    """The docstring of an example is its documentation, and this file has a test for it."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert f"Run:    python examples/{path.name}" in docstring
    assert "Prints:" in docstring
    assert "Leaves:" in docstring
    assert f'"{path.name}"' in Path(__file__).read_text(encoding="utf-8")


def test_quickstart_prints_the_conversation_with_its_action(tmp_path: Path) -> None:
    """The ten lines record two messages with the action between them."""
    shape = json.loads(_output("quickstart.py", tmp_path))
    assert shape["conversation_id"] == "chat-1"
    assert [message["action_name"] or message["sender"] for message in shape["messages"]] == [
        "end_user",
        "find_order",
        "agent",
    ]
    assert (tmp_path / ".agentsight" / "agentsight.db").exists()


def test_threads_keep_each_lookup_in_its_conversation(tmp_path: Path) -> None:
    """Shared workers record into the conversation that handed them the work, also in a second run."""
    for _ in range(2):
        lines = [line.split() for line in _output("threads.py", tmp_path).splitlines()]
        assert [(name, sorted(calls)) for name, *calls in lines] == [
            ("threads-a", ["A/lamp", "A/rope", "A/tent"]),
            ("threads-b", ["B/lamp", "B/rope", "B/tent"]),
        ]


def test_asyncio_tasks_keep_each_call_in_its_conversation(tmp_path: Path) -> None:
    """Interleaved conversations have four actions each, their own."""
    lines = _output("asyncio_tasks.py", tmp_path).splitlines()
    for number, line in enumerate(lines, 1):
        name, calls = line.split(maxsplit=1)
        assert name == f"async-{number}"
        texts = ast.literal_eval(calls)
        assert len(texts) == 4
        assert all(str(number) in text for text in texts)
    assert len(lines) == 3


def test_a_stream_drained_elsewhere_stays_in_its_conversation(tmp_path: Path) -> None:
    """The generator's actions are where it was made."""
    assert _output("streaming_generator.py", tmp_path).splitlines() == [
        "stream-a ['stream_answer', 'look_up', 'look_up']",
        "stream-b no actions",
        "You asked about TENTS ROPES",
    ]


def test_the_tracker_sends_all_that_was_tracked(tmp_path: Path) -> None:
    """Every item is answered with success, and the summary counts them."""
    lines = _output("tracker_style.py", tmp_path).splitlines()
    assert lines[0] == "waiting: 6 of ticket-4711"
    sent = [line.split()[1:] for line in lines if line[0].isdigit()]
    kinds = ("conversation", "question", "action", "answer", "action", "button")
    assert sorted(sent) == sorted([kind, "sent"] for kind in kinds)
    assert "'errors': 0" in lines[-2]
    assert lines[-1] == "feedback: positive"


def test_redaction_leaves_nothing_personal(tmp_path: Path) -> None:
    """What is printed is what is recorded: marks in place of the address, the number, the card and the key."""
    said, _, called, dropped = _output("redaction.py", tmp_path).splitlines()
    assert said == "I am [email], policy [redacted], card [card]. Call me: [phone]."
    parameters = "{'number': '[redacted]', 'api_key': '[masked]'}"
    assert called == f"{parameters} {{'number': '[redacted]', 'holder': '[email]'}}"
    assert dropped == "{'dropped_by_processor': 1}"


def test_the_example_tests_pass_as_a_script_and_under_pytest(tmp_path: Path) -> None:
    """An agent is tested in memory: no store is opened."""
    assert _output("testing_your_agent.py", tmp_path) == "2 tests passed\n"
    assert list(tmp_path.iterdir()) == []
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "testing_your_agent.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    assert "2 passed" in ran.stdout


def test_the_openai_tool_loop_is_recorded_by_itself(tmp_path: Path) -> None:
    """The model, the tool inside it, the model again; messages, tokens and cost."""
    pytest.importorskip("openai", reason="the openai SDK is not installed: pip install -e .[integrations-test]")
    assert _run("openai_tool_loop.py", tmp_path).stdout.splitlines() == [
        "end_user: Where is order A-17?",
        "chat gpt-4o-mini",
        "find_order",
        "chat gpt-4o-mini",
        "agent: A-17 was shipped with DHL.",
        "179 tokens, $0.00003675",
    ]


def test_the_langgraph_agent_is_recorded_by_itself(tmp_path: Path) -> None:
    """Model and tools in turn, each once, though the framework calls an SDK that is installed too."""
    for name in ("langgraph", "langchain_openai"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install -e .[integrations-test]")
    assert _run("langgraph_agent.py", tmp_path).stdout.splitlines() == [
        "end_user: Book me the next flight to Oslo.",
        "chat gpt-4o-mini",
        "find_flight",
        "chat gpt-4o-mini",
        "book",
        "chat gpt-4o-mini",
        "agent: You are booked on LH123 at 09:40.",
        "396 tokens, $0.00007560",
    ]


@pytest.fixture
def transcripts(tmp_path: Path) -> Path:
    """A small file of two conversations; the ids of its tool calls repeat, as they do in real ones."""
    path = tmp_path / "transcripts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in _FILE_LINES), encoding="utf-8")
    return path


def test_replay_of_the_real_conversations_holds_exactly_what_the_file_holds(tmp_path: Path, airline_file: Path) -> None:
    """200 conversations, 1,490 and 1,380 messages, 1,164 actions of which 48 hand-overs, each in its place."""
    printed = _output("replay_transcripts.py", tmp_path, str(airline_file))
    counts = {line[:34].strip(): line[34:].split() for line in printed.splitlines() if line[34:].strip()}
    assert counts["conversations"] == ["200", "200"]
    assert counts["user messages"] == ["1,490", "1,490"]
    assert counts["agent messages"] == ["1,380", "1,380"]
    assert counts["actions"] == ["1,164", "1,164"]
    assert counts["of them transfer_to_human_agents"] == ["48", "48"]
    assert "Every conversation holds exactly what its line holds, in order." in printed


def test_replay_into_a_store_that_holds_the_ids_records_nothing(tmp_path: Path, transcripts: Path) -> None:
    """A second replay says what to do and changes nothing; with a prefix it goes through."""
    arguments = (str(transcripts), "--home", str(tmp_path / "store"))
    _output("replay_transcripts.py", tmp_path, *arguments)
    again = _run("replay_transcripts.py", tmp_path, *arguments)
    assert again.returncode == 1
    assert "--prefix" in again.stderr
    assert _rows(tmp_path / "store", "conversations") == 2
    printed = _output("replay_transcripts.py", tmp_path, *arguments, "--prefix", "second-")
    assert "actions                                 2      2" in printed
    assert _rows(tmp_path / "store", "conversations") == 4


def test_replay_notices_a_store_that_holds_something_else(tmp_path: Path, transcripts: Path) -> None:
    """A result that is not what the file says is named by its conversation, with exit code 1."""
    arguments = (str(transcripts), "--home", str(tmp_path / "store"))
    _output("replay_transcripts.py", tmp_path, *arguments)
    database = sqlite3.connect(tmp_path / "store" / "agentsight.db")
    with database:
        database.execute(
            "CREATE TRIGGER inventive AFTER INSERT ON action_logs "
            """BEGIN UPDATE action_logs SET response = '"made up"' WHERE rowid = NEW.rowid; END"""
        )
    database.close()
    ran = _run("replay_transcripts.py", tmp_path, *arguments, "--prefix", "second-")
    assert ran.returncode == 1
    assert "second-one differs from the file." in ran.stderr
    assert "second-two" not in ran.stderr


def test_replay_of_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    """No traceback: the message names the file."""
    ran = _run("replay_transcripts.py", tmp_path, "missing.jsonl")
    assert ran.returncode == 1
    assert "missing.jsonl" in ran.stderr
    assert "Traceback" not in ran.stderr


def _rows(home: Path, table: str) -> int:
    database = sqlite3.connect(home / "agentsight.db")
    (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    database.close()
    return int(count)


# -- web frameworks and workers: each with the real package, and a provider that speaks HTTP on this machine ----------


def _lines(printed: str) -> list[str]:
    """Return what `show` tells of the events, without times and durations."""
    return [re.sub(r"^\d\d:\d\d:\d\d  |  \d[\d.]* (?:µs|ms|s)(?=  )", "", line) for line in printed.splitlines()]


def test_the_fastapi_endpoint_streams_within_the_conversation(tmp_path: Path) -> None:
    """Two turns: the streamed call of the model and what it said, from a customer on a phone."""
    pytest.importorskip("fastapi", reason="pip install agentsight-auto[integrations-test]")
    lines = _lines(_output("fastapi_chat.py", tmp_path))
    assert lines[:2] == ["streamed: You asked: Do you sell tents? ", "streamed: You asked: How much are they? "]
    assert "from      web, mobile, en" in lines
    assert "where     192.0.2.10" in lines
    assert [line.split()[0] for line in lines[-6:]] == ["customer", "action", "agent"] * 2
    assert lines[-1].endswith("You asked: How much are they? ")


def test_the_whatsapp_webhook_takes_the_conversation_from_the_body(tmp_path: Path) -> None:
    """A text and a pressed button, and the replies that the messaging API got."""
    pytest.importorskip("flask", reason="pip install agentsight-auto[integrations-test]")
    lines = _lines(_output("flask_whatsapp.py", tmp_path))
    assert lines[:2] == ["sent to 41790000000 - Which day do you mean?", "sent to 41790000000 - On Sunday: closed."]
    assert "from      whatsapp, mobile, en" in lines
    assert "customer  pressed [Sunday]  day = sunday" in lines
    assert sum("send_reply" in line and line.endswith("ok") for line in lines) == 2


def test_the_django_view_shows_the_call_that_failed(tmp_path: Path) -> None:
    """The second request fails: Django answers 500, and the conversation says why."""
    pytest.importorskip("django", reason="pip install agentsight-auto[integrations-test]")
    lines = _lines(_output("django_view.py", tmp_path))
    assert lines[0] == "200 {'ticket': 't-1', 'text': 'Your order is shipped.'}"
    assert "outcome   LookupError: no order B-4" in lines
    assert "action    find_order(number=B-4)  failed" in lines


def test_the_celery_task_works_in_the_conversation_that_sent_it(tmp_path: Path) -> None:
    """The worker's action and message follow those of the program that sent the task."""
    pytest.importorskip("celery", reason="pip install agentsight-auto[integrations-test]")
    lines = _lines(_output("celery_task.py", tmp_path))
    assert [line for line in lines if line.startswith(("customer  P", "agent", "action"))] == [
        "customer  Please send me the invoice of A-17.",
        "agent     It is on its way.",
        "action    make_invoice(order=A-17)  ok",
        "agent     I have sent you invoice-A-17.pdf.",
    ]


def test_the_phone_call_keeps_what_its_thread_hears(tmp_path: Path) -> None:
    """Three turns on the telephone library's thread, and the hand-over at the end."""
    lines = _lines(_output("voice_call.py", tmp_path))
    assert "from      voice, phone, en" in lines
    assert sum(line.startswith("action    recognise") for line in lines) == 3
    assert [line for line in lines if line.startswith("agent")][-1] == "agent     I am putting you through."
    assert "action    fallback_to_human(reason=asked for)  ok" in lines
