from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.events import Action, ConversationStarted, Message, encode_event
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.interchange.chat_format import read_chat
from agentsight_auto.interchange.incoming import BadConversation, Incoming, moment_us, place_in_time

NOW_US = 1_800_000_000_000_000
MAY_US = 1_715_000_000_000_000


def chat(*messages: dict[str, Any], **line: Any) -> Incoming:
    """Read a conversation of these messages."""
    return read_chat({"id": "c", "messages": list(messages), **line}, limits=Limits(), now_us=NOW_US)


def user(text: Any, **more: Any) -> dict[str, Any]:
    """A message of the user."""
    return {"role": "user", "content": text, **more}


def says(text: Any, **more: Any) -> dict[str, Any]:
    """A message of the assistant."""
    return {"role": "assistant", "content": text, **more}


def calls(*named: tuple[str, str, Any], content: str | None = None) -> dict[str, Any]:
    """A message of the assistant with tool calls: id, name, arguments."""
    functions = [{"id": key, "type": "function", "function": {"name": name, "arguments": a}} for key, name, a in named]
    return {"role": "assistant", "content": content, "tool_calls": functions}


def result(key: str, content: Any, **more: Any) -> dict[str, Any]:
    """A message of a tool."""
    return {"role": "tool", "tool_call_id": key, "content": content, **more}


def of(incoming: Incoming, kind: type) -> list[Any]:
    """The events of one kind."""
    return [event for event in incoming.events if isinstance(event, kind)]


def test_roles_become_senders() -> None:
    """User, assistant, system and developer are the customer, the agent and the system."""
    incoming = chat(
        {"role": "system", "content": "Be kind"}, {"role": "developer", "content": "x"}, user("Hi"), says("Hello")
    )
    said = [(message.sender, message.content) for message in of(incoming, Message)]
    assert said == [("system", "Be kind"), ("system", "x"), ("end_user", "Hi"), ("agent", "Hello")]


def test_a_tool_call_is_an_action_with_its_result() -> None:
    """Arguments are parsed, the response is the content of the tool message, duration and error are unknown."""
    incoming = chat(user("Hi"), calls(("k", "find", '{"order": "A-17", "n": 2}')), result("k", '{"ok": true}'))
    (action,) = of(incoming, Action)
    assert action.action_name == "find"
    assert action.tools_used == {"function": "find", "parameters": {"order": "A-17", "n": 2}}
    assert action.response == '{"ok": true}'
    assert action.duration_ms is None
    assert action.error_msg is None


def test_text_beside_tool_calls_comes_first() -> None:
    """What the assistant says while it calls stands before the calls, in order."""
    incoming = chat(calls(("1", "a", "{}"), ("2", "b", "{}"), content="One moment"))
    kinds = [getattr(event, "action_name", getattr(event, "content", None)) for event in incoming.events[1:]]
    assert kinds == ["One moment", "a", "b"]


def test_an_id_that_repeats_belongs_to_the_latest_call() -> None:
    """Models reuse call ids: each result goes to the call before it, an unanswered earlier one stays without."""
    incoming = chat(
        calls(("k", "first", "{}")),
        result("k", "1"),
        calls(("k", "second", "{}")),
        calls(("k", "third", "{}")),
        result("k", "3"),
    )
    assert [action.response for action in of(incoming, Action)] == ["1", None, "3"]


def test_parallel_calls_get_their_own_results() -> None:
    """Results in any order find their calls."""
    incoming = chat(calls(("1", "a", "{}"), ("2", "b", "{}")), result("2", "two"), result("1", "one"))
    assert [action.response for action in of(incoming, Action)] == ["one", "two"]


def test_a_result_that_nobody_asked_for_is_kept() -> None:
    """It becomes an action of its own rather than being lost."""
    (action,) = of(chat(user("Hi"), result("nobody", "surprise", name="search")), Action)
    assert (action.action_name, action.response) == ("search", "surprise")


def test_the_older_function_call_is_read() -> None:
    """`function_call` and the role `function` are the same thing without ids."""
    asked = {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": '{"a": 1}'}}
    (action,) = of(chat(asked, {"role": "function", "name": "find", "content": "found"}), Action)
    assert (action.tools_used["parameters"], action.response) == ({"a": 1}, "found")


def test_arguments_that_are_not_json_stay_text() -> None:
    """A model may write anything there."""
    (action,) = of(chat(calls(("k", "find", "{order: A-17"))), Action)
    assert action.tools_used["parameters"] == "{order: A-17"


def test_secrets_in_arguments_are_masked() -> None:
    """An import keeps no more than live capture would."""
    (action,) = of(chat(calls(("k", "login", '{"user": "mia", "password": "hunter2"}'))), Action)
    assert "hunter2" not in str(action)


def test_content_parts_are_joined() -> None:
    """Texts are joined; a picture leaves a mark, with its address if it has one."""
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    (message,) = of(chat(user(parts)), Message)
    assert message.content == "Look:\n[image_url: https://example.com/a.png]\n[image_url]"


def test_a_refusal_is_what_the_agent_said() -> None:
    """Also where it stands among the parts of the content."""
    incoming = chat(says(None, refusal="I cannot"), says([{"type": "refusal", "refusal": "No"}]))
    assert [message.content for message in of(incoming, Message)] == ["I cannot", "No"]


def test_blank_messages_are_no_messages() -> None:
    """Live capture refuses them, too."""
    assert of(chat(user(""), says(None), says("  "), user([])), Message) == []


def test_other_keys_are_metadata() -> None:
    """Of the line and of a message; documented fields of a conversation are its fields."""
    incoming = chat(
        user("Hi", name="Mia"), reward=1.0, tags=["a"], customer_id=17, source="web", metadata={"plan": "gold"}
    )
    (started,) = of(incoming, ConversationStarted)
    assert started.metadata == {"plan": "gold", "reward": 1.0, "tags": ["a"]}
    assert (started.customer_id, started.source) == ("17", "web")
    assert of(incoming, Message)[0].metadata == {"name": "Mia"}


def test_the_id_comes_from_the_line_or_its_content() -> None:
    """`conversation_id`, else `id`, else a hash that the same content always gets."""
    line = {"messages": [user("Hi")]}
    ids = [
        read_chat(value, limits=Limits(), now_us=now_us).conversation_id
        for value, now_us in (
            ({**line, "conversation_id": "a", "id": "b"}, 1),
            ({**line, "id": 7}, 1),
            (line, 1),
            (line, 2),
        )
    ]
    assert ids[:2] == ["a", "7"]
    assert ids[2] == ids[3] != read_chat({"messages": [user("Ho")]}, limits=Limits(), now_us=1).conversation_id


def test_event_ids_do_not_depend_on_now() -> None:
    """Without times the same line has the same event ids whenever it is read, and each its own."""
    line = {"id": "c", "messages": [user("Hi"), calls(("k", "a", "{}"), content="Well"), says("Done")]}
    first, second = (read_chat(line, limits=Limits(), now_us=now_us) for now_us in (NOW_US, NOW_US * 2))
    assert [event.id for event in first.events] == [event.id for event in second.events]
    assert len({event.id for event in first.events}) == len(first.events)


@pytest.mark.parametrize("key", ["timestamp", "created_at", "created"])
def test_times_are_taken_from_line_and_messages(key: str) -> None:
    """A message without a time follows 1 ms after the one before it; the line's time begins the conversation."""
    incoming = chat(user("a"), user("b", **{key: "2024-05-07T00:00:00Z"}), user("c"), **{key: MAY_US / 1e6})
    times = [message.at_us for message in of(incoming, Message)]
    assert times == [MAY_US, 1_715_040_000_000_000, 1_715_040_000_001_000]
    assert of(incoming, ConversationStarted)[0].at_us == MAY_US


def test_the_order_of_the_file_wins_over_its_clock() -> None:
    """Equal times and times that run backwards do not reorder what was said."""
    incoming = chat(*(user(str(number), timestamp=1_715_000_000 - number) for number in range(5)))
    times = [message.at_us for message in of(incoming, Message)]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ({"messages": "hello"}, "messages"),
        ({}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [user("Hi"), {"role": "robot", "content": "x"}]}, "messages[1]"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "k"}]}]}, "messages[0].tool_calls[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": "k"}]}, "messages[0].tool_calls"),
        ({"id": [1], "messages": []}, "id"),
        ({"id": "x" * 256, "messages": []}, "256"),
    ],
)
def test_what_is_not_the_format_is_named_with_its_place(line: Any, place: str) -> None:
    """The reason says where in the line the trouble is."""
    with pytest.raises(BadConversation, match=place.replace("[", r"\[").replace("]", r"\]")):
        read_chat(line, limits=Limits(), now_us=NOW_US)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1_715_000_000, MAY_US),
        (1_715_000_000.25, MAY_US + 250_000),
        (1_715_000_000_000, MAY_US),
        (MAY_US, MAY_US),
        (MAY_US * 1000, MAY_US),
        ("2024-05-06T12:53:20Z", MAY_US),
        ("yesterday", None),
        (True, None),
        (-1, None),
        (float("nan"), None),
        (10**400, None),
        ({}, None),
    ],
)
def test_times_are_read_in_every_usual_unit(given: Any, expected: int | None) -> None:
    """Seconds to nanoseconds by their size, or ISO 8601; what is no time is none."""
    assert moment_us(given) == expected


@given(st.lists(st.none() | st.integers(0, 2 * NOW_US)), st.none() | st.integers(0, NOW_US))
def test_times_always_rise(told: list[int | None], start_us: int | None) -> None:
    """Whatever a line tells, each fact comes after the one before it, and one that is told first keeps its time."""
    times = place_in_time(told, start_us, NOW_US)
    assert len(times) == len(told)
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    if told and told[0] is not None:
        assert times[0] == told[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(
    [
        "role",
        "content",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "name",
        "refusal",
        "timestamp",
        "id",
        "function",
        "x",
    ]
)
roles = st.sampled_from(["user", "assistant", "tool", "function", "system"])


@given(st.lists(st.dictionaries(keys, json_values | roles), max_size=5), st.dictionaries(keys, json_values, max_size=3))
def test_any_line_is_read_or_refused(messages: list[dict[str, Any]], line: dict[str, Any]) -> None:
    """No JSON makes reading fail in another way than with a reason."""
    try:
        incoming = read_chat({**line, "messages": messages}, limits=Limits(), now_us=NOW_US)
    except BadConversation:
        return
    assert isinstance(incoming.events[0], ConversationStarted)
    assert all(encode_event(event) for event in incoming.events)
