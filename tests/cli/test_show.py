from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentsight_auto import events
from agentsight_auto._runtime import Runtime
from agentsight_auto.cli.recorded_text import clean_text, one_line
from agentsight_auto.store.attachments import AttachmentFolder

from .support import Cli

NOW_US = 1_767_225_600_000_000
S = 1_000_000


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


@pytest.fixture
def chat(tell: Callable[..., None], home: Path) -> None:
    """One conversation with everything."""
    folder = AttachmentFolder(Runtime(home=home).settings.attachments_path)
    digest, size_bytes = folder.write(b"x" * 2048)
    picture = events.AttachmentRef(digest, size_bytes, "cat.png", "image/png")
    long = {"function": "find_order", "parameters": {"order_id": "A-17", "note": "n" * 500}}
    tell(
        events.ConversationStarted(
            event_id(1),
            "chat-1",
            NOW_US,
            "mia",
            None,
            "mobile",
            "whatsapp",
            "en",
            "Late order",
            "production",
            {"plan": "gold"},
        ),
        events.Message(event_id(2), "chat-1", NOW_US, "end_user", "Where is\nmy order?", None, [picture]),
        events.Action(event_id(3), "chat-1", NOW_US + S, "find_order", None, None, 1234.5, long, {"found": "r" * 500}),
        events.Message(event_id(4), "chat-1", NOW_US + 2 * S, "agent", "I look"),
        events.Action(
            event_id(5), "chat-1", NOW_US + 3 * S, "ask_shop", error_msg="TimeoutError: 5 s", parent_id=event_id(3)
        ),
        events.Action(event_id(6), "chat-1", NOW_US + 4 * S, "dial", parent_id=event_id(5)),
        events.Button(event_id(7), "chat-1", NOW_US + 5 * S, "confirm", "Yes, please", "yes"),
        events.TokenUsage(event_id(8), "chat-1", NOW_US + 6 * S, 1500, 20, 1520, 0),
        events.Feedback(event_id(9), "chat-1", NOW_US + 7 * S, "negative", "customer", "Too slow"),
        events.ConversationEnded(event_id(10), "chat-1", NOW_US + 90 * S, "ValueError: no such order"),
    )


@pytest.mark.usefixtures("chat")
def test_the_header_tells_who_when_where_and_how_it_ended(cli: Cli) -> None:
    """Name, customer, channel, environment, duration, error and metadata."""
    head = cli("show", "chat-1").out.partition("\n\n")[0]
    for text in (
        "chat-1",
        "Late order",
        "mia",
        "whatsapp, mobile, en",
        "production",
        "lasted 1 min 30 s",
        "gold",
        "no such order",
    ):
        assert text in head


@pytest.mark.usefixtures("chat")
def test_everything_stands_in_its_place(cli: Cli) -> None:
    """Messages in order; actions where they ran, with those inside them below, indented."""
    lines = cli("show", "chat-1").out.splitlines()
    marks = [
        "Where is",
        "my order?",
        "attached cat.png",
        "find_order(",
        "ask_shop",
        "dial",
        "I look",
        "pressed [Yes, please]",
    ]
    places = [next(number for number, line in enumerate(lines) if mark in line) for mark in marks]
    assert places == sorted(places)
    columns = [lines[place].index(mark) for place, mark in zip(places, marks, strict=True)]
    assert columns[0] == columns[1]
    assert "image/png, 2.0 KiB" in lines[places[2]]
    outer, inner, innermost = (lines[places[index]] for index in (3, 4, 5))
    assert "1.2 s  ok" in outer
    assert "failed" in inner
    assert inner.index("└") < innermost.index("└")
    assert "TimeoutError: 5 s" in lines[places[4] + 1]


@pytest.mark.usefixtures("chat")
def test_the_end_tells_feedback_and_tokens(cli: Cli) -> None:
    """Who judged it how, and what it cost."""
    out = cli("show", "chat-1").out
    assert "negative from customer" in out
    assert "Too slow" in out
    assert "1,520 (1,500 prompt, 20 completion)" in out


@pytest.mark.usefixtures("chat")
def test_long_values_are_shortened_unless_in_full(cli: Cli) -> None:
    """Arguments and results are cut with an ellipsis; --full shows every character."""
    short, full = cli("show", "chat-1").out, cli("show", "chat-1", "--full").out
    assert "…" in short
    assert "n" * 200 not in short
    assert "n" * 500 in full
    assert "r" * 500 in full


@pytest.mark.usefixtures("chat")
def test_json_is_what_fetch_conversation_returns(cli: Cli, home: Path) -> None:
    """The documented structure, nothing else on stdout."""
    runtime = Runtime(home=home)
    expected = runtime.backend().fetch_conversation("chat-1")
    runtime.shutdown(5)
    assert cli("show", "chat-1", "--json").json == expected


def test_the_text_id_is_tried_before_the_database_id(cli: Cli, tell: Callable[..., None]) -> None:
    """Digits may be either; the text id wins."""
    tell(events.Message(event_id(1), "2", NOW_US, "agent", "the first row, called 2"))
    tell(events.Message(event_id(2), "other", NOW_US, "agent", "the second row"))
    tell(events.Message(event_id(3), "third", NOW_US, "agent", "the third row"))
    assert "called 2" in cli("show", "2").out
    assert "the third row" in cli("show", "3").out


@pytest.mark.parametrize("name", ["nobody", "77", "9" * 30, "\u00b2", "", "  ", "[red]x[/red]"])
def test_an_unknown_id_is_told_in_a_line(cli: Cli, tell: Callable[..., None], name: str) -> None:
    """Exit code 1 (2 for an empty id), nothing on stdout, no traceback."""
    tell(events.Message(event_id(1), "c", NOW_US, "agent", "Hi"))
    done = cli("show", name)
    assert done.code == (1 if name.strip() else 2)
    assert done.out == ""
    assert len(done.err.splitlines()) == 1


def test_nothing_recorded_yet_makes_no_file(cli: Cli) -> None:
    """Exit code 1, and a hint."""
    done = cli("show", "c")
    assert done.code == 1
    assert "agentsight-auto demo" in done.err
    assert not cli.home.exists()


def test_recorded_text_is_text(cli: Cli, tell: Callable[..., None]) -> None:
    """Markup and escapes in messages, names, results and errors are shown and not obeyed."""
    hostile = "[bold]x[/bold]\x1b]0;title\x07\x9b31m\u202e"
    tell(
        events.Message(event_id(1), "c", NOW_US, "end_user", hostile),
        events.Action(event_id(2), "c", NOW_US, hostile, tools_used=hostile, response=hostile, error_msg=hostile),
        events.Button(event_id(3), "c", NOW_US, hostile, hostile, hostile),
        events.Feedback(event_id(4), "c", NOW_US, "neutral", comment=hostile),
    )
    for options in ([], ["--full"]):
        out = cli("show", "c", *options).out
        assert not any(character in out for character in "\x1b\x07\x9b\u202e")
        assert out.count("[bold]x[/bold]") >= 5


def test_actions_whose_parents_go_in_circles_are_all_shown(cli: Cli, tell: Callable[..., None]) -> None:
    """Only an import can bring such a thing; it must not hide or hang anything."""
    tell(
        events.Action(event_id(1), "c", NOW_US, "one", parent_id=event_id(2)),
        events.Action(event_id(2), "c", NOW_US, "two", parent_id=event_id(1)),
        events.Action(event_id(3), "c", NOW_US, "self", parent_id=event_id(3)),
        events.Action(event_id(4), "c", NOW_US, "child", parent_id=event_id(3)),
        events.Action(event_id(5), "c", NOW_US, "orphan", parent_id=event_id(99)),
    )
    out = cli("show", "c").out
    for name in ("one", "two", "self", "child", "orphan"):
        assert out.count(f" {name}  ok") == 1


def test_deep_nesting_is_shown(cli: Cli, tell: Callable[..., None]) -> None:
    """Two thousand levels neither fail nor run off to the right."""
    tell(*(events.Action(event_id(n + 1), "c", NOW_US + n, f"level{n}", parent_id=event_id(n)) for n in range(2000)))
    lines = [line for line in cli("show", "c").out.splitlines() if "level" in line]
    assert len(lines) == 2000
    assert max(map(len, lines)) < 100


def test_control_characters_become_visible() -> None:
    """Line ends and tabs stay what they mean, the rest is written out."""
    assert clean_text("a\r\nb\tc\x00\x7f\x85d\u2066") == "a\nb    c\\x00\\x7f\nd\\u2066"
    assert one_line("  a \n b  ") == "a b"
    assert one_line("abcdef", 4) == "abc…"
