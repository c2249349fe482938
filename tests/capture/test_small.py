"""Calls with small arguments and results: what waits as it is, and is put together when the buffer is written."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from agentsight_auto import _guard, _runtime, conversation, conversation_tracker, track_action
from agentsight_auto._lines import lines_of
from agentsight_auto.capture.small import SMALL_TEXT
from agentsight_auto.events import Action, Message
from agentsight_auto.testing import ManualClock, Recording, recording


class Text(str):
    __slots__ = ()


@track_action
def find(order_id: Any, limit: Any = 3) -> Any:
    return order_id


@track_action
def outer(order_id: str) -> str:
    with track_action("block"):
        pass
    return str(find(order_id))


def actions(recorded: Recording) -> list[Action]:
    return [event for event in recorded.events if isinstance(event, Action)]


def test_small_and_large_values_are_recorded_alike(recorded: Recording) -> None:
    """Where a text gets too long to wait as it is, or is no text, the event says the same."""
    values = ["a" * (SMALL_TEXT - 1), "a" * SMALL_TEXT, "", None, True, 7, -(2**53) + 1, 2**53, 1.5, ["x"], {"y": 1}]
    with conversation("c"):
        for value in values:
            find(value)
    assert [action.response for action in actions(recorded)] == values
    used = [action.tools_used for action in actions(recorded)]
    assert used == [{"function": "find", "parameters": {"order_id": value}} for value in values]
    assert all(action.started_at_us == action.at_us <= action.ended_at_us for action in actions(recorded))


def test_the_nested_action_names_the_small_call_around_it(recorded: Recording) -> None:
    """Its id is asked for while it still waits to be put together, and is the same later."""
    with conversation("c"):
        outer("A-1")
    by_name = {action.action_name: action for action in actions(recorded)}
    assert by_name["find"].parent_id == by_name["block"].parent_id == by_name["outer"].id
    assert by_name["outer"].parent_id is None


def test_nul_and_surrogates_of_small_values_are_left_out(recorded: Recording) -> None:
    with conversation("c"):
        find("A\0-\ud800-1")
    [action] = actions(recorded)
    assert "\0" not in action.response
    assert "\ud800" not in action.response
    assert action.tools_used["parameters"]["order_id"] == action.response


def test_a_limit_below_what_is_small_is_kept(recorded: Recording) -> None:
    _runtime.default().configure(max_value_bytes=512)
    with conversation("c"):
        find("\u00e9" * 250)
    [action] = actions(recorded)
    assert action.response["truncated"]


def test_what_is_wrapped_can_be_replaced(recorded: Recording) -> None:
    tracked = track_action(lambda value: value)
    tracked.__wrapped__ = lambda value: value + 1
    with conversation("c"):
        assert tracked(1) == 2
    assert [action.response for action in actions(recorded)] == [2]


def test_a_method_called_while_its_class_is_made_is_recorded(recorded: Recording) -> None:
    """Whether the first argument is the instance is not known yet when the call ends, and is when it is written."""
    with conversation("c"):

        class Made:
            @track_action
            def add(this: Any, other: Any = 2) -> Any:
                return other

            added = add(1, 3), add(4)

        Made().add(5)
    given = [action.tools_used["parameters"] for action in actions(recorded)]
    assert given == [{"this": 1, "other": 3}, {"this": 4}, {"other": 5}]
    assert Made.added == (3, 2)


def test_one_event_that_cannot_be_put_together_holds_back_no_other() -> None:
    """It is counted."""

    class Broken:
        def line(self) -> bytes:
            raise ValueError

    before = _guard.failures["recording: ValueError"]
    assert lines_of([b"1", Broken(), b"2"]) == [b"1", b"2"]
    assert _guard.failures.pop("recording: ValueError") == before + 1


def test_a_binding_that_only_small_calls_use_stays_in_use() -> None:
    """Every call counts as use, so the calls of an hour lie in one conversation."""
    clock = ManualClock()
    with recording(clock=clock) as recorded:
        conversation_tracker.get_or_create_conversation("c")
        for _ in range(4):
            clock.advance(20 * 60)
            find("A-1")
        assert {action.conversation_id for action in actions(recorded)} == {"c"}


def test_what_a_long_block_keeps_of_its_small_calls_is_bounded(recorded: Recording) -> None:
    """Of the oldest only kind and time, of the newest all; tokens keep their sum."""
    with conversation("c") as chat:
        for number in range(5_000):
            find(number)
            if number % 1_000 == 0:
                chat.track_token_usage(1, 1)
        kept = chat.get_tracked_data_summary()
        assert chat.get_token_usage()["total_tokens"] == 10
    items = [item for item in kept["items"] if item["type"] == "action"]
    assert 1_000 <= len(items) < 4_000
    assert items[-1]["data"]["response"] == 4_999
    assert "response" not in items[0]["data"]


def test_a_binding_whose_messages_processors_drop_stays_in_use() -> None:
    clock = ManualClock()
    with recording(clock=clock, processors=[lambda event: None if isinstance(event, Message) else event]) as recorded:
        conversation_tracker.get_or_create_conversation("c")
        for _ in range(4):
            clock.advance(20 * 60)
            conversation_tracker.track_human_message("Hello")
        find("A-1")
        assert {action.conversation_id for action in actions(recorded)} == {"c"}


@pytest.mark.parametrize("name", [Text("named"), 5, None])
def test_a_callable_with_a_name_of_its_own_kind_is_recorded(recorded: Recording, name: Any) -> None:
    class Finder:
        __name__ = name

        def __call__(self, order_id: str) -> str:
            return order_id

    with conversation("c") as chat:
        track_action(Finder())("A-1")
        track_action(Text("given"))(Finder())("A-1")
        assert chat.get_tracked_data_summary()["summary"]["actions"] == 2
    expected = "named" if isinstance(name, str) else "Finder"
    assert [action.action_name for action in actions(recorded)] == [expected, "given"]
    assert {action.tools_used["function"] for action in actions(recorded)} == {expected}


def test_what_a_deep_call_has_no_room_to_put_together_is_written_later(
    recorded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes near the limit of recursion when the buffer is full does not cost the calls that wait in it."""
    monkeypatch.setattr(_guard, "raise_errors", False)
    before = _guard.failures["recording: RecursionError"]

    def deep() -> int:
        """Return how many frames lie above this one."""
        try:
            height = deep()
        except RecursionError:
            return 0
        if height < 30:
            for _ in range(130):  # more than the buffer holds
                with contextlib.suppress(RecursionError):
                    find("A-1")
        return height + 1

    with conversation("c"):
        deep()
    assert len(actions(recorded)) > 1_000
    assert _guard.failures["recording: RecursionError"] == before


def test_what_a_long_block_keeps_of_calls_with_many_arguments_is_bounded(recorded: Recording) -> None:
    """Each has 2 KB of text, and about 1 MiB is kept."""

    @track_action
    def merge(a: str, b: str, c: str, d: str, e: str, f: str, g: str, h: str) -> None: ...

    with conversation("c") as chat:
        for number in range(2_000):
            merge(*(f"{number:08}{place}" + "a" * 240 for place in range(8)))
        kept = chat.get_tracked_data_summary()
    assert 100 < sum("tools_used" in item["data"] for item in kept["items"]) < 600
