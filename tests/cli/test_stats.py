from __future__ import annotations

from collections.abc import Callable

from agentsight_auto import events
from agentsight_auto._runtime import Runtime

from .support import Cli

NOW_US = 1_767_225_600_000_000


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


def record(tell: Callable[..., None]) -> None:
    """One production and one development conversation."""
    tell(
        events.ConversationStarted(event_id(1), "p", NOW_US, "mia", source="web", environment="production"),
        events.Message(event_id(2), "p", NOW_US, "end_user", "Hi"),
        events.Message(event_id(3), "p", NOW_US + 1_500_000, "agent", "Hello"),
        events.Action(event_id(4), "p", NOW_US + 2_000_000, "contact_human", duration_ms=20.0, error_msg="E: x"),
        events.Feedback(event_id(5), "p", NOW_US + 3_000_000, "positive"),
        events.TokenUsage(event_id(6), "p", NOW_US + 3_000_000, 10, 5),
        events.Message(event_id(7), "d", NOW_US, "end_user", "test"),
    )


def test_the_numbers_are_readable(cli: Cli, tell: Callable[..., None]) -> None:
    """Conversations, messages, response time, escalation, actions, feedback; what is left out is said."""
    record(tell)
    out = cli("stats").out
    for text in (
        "1 (0 only visited)",
        "2 (1 customer, 1 agent)",
        "1.5 s",
        "100.0%",
        "contact_human",
        "1 positive",
        "15",
    ):
        assert text in out
    assert "left out: development" in out
    assert "2 (0 only visited)" in cli("stats", "--include-development").out


def test_json_is_what_the_store_counts(cli: Cli, tell: Callable[..., None]) -> None:
    """The same document, with the same filters."""
    record(tell)
    runtime = Runtime(home=cli.home)
    expected = runtime.backend().stats({"customer_id": "mia"})
    runtime.shutdown(5)
    assert cli("stats", "--json", "--customer", "mia").json == expected


def test_nothing_recorded_has_the_same_shape(cli: Cli, tell: Callable[..., None]) -> None:
    """A program reads the same keys before the first conversation, and no file is made."""
    empty = cli("stats", "--json")
    assert empty.code == 0
    assert not cli.home.exists()
    assert "demo" in cli("stats").out
    record(tell)
    assert empty.json.keys() == cli("stats", "--json").json.keys()


def test_what_counts_as_a_hand_over_is_a_setting(cli: Cli, tell: Callable[..., None], monkeypatch: object) -> None:
    """AGENTSIGHT_ESCALATION_ACTIONS is honoured."""
    record(tell)
    monkeypatch.setenv("AGENTSIGHT_ESCALATION_ACTIONS", "call_boss")  # type: ignore[attr-defined]
    assert cli("stats", "--json").json["escalated_conversations"] == 0
