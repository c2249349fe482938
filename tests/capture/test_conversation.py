from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from agentsight_auto import conversation, conversation_tracker, current_conversation, events, propagate, track_action
from agentsight_auto.exceptions import ConfigurationException
from agentsight_auto.testing import Recording


@track_action
def tool(name: str = "") -> str:
    return name


def where(recorded: Recording) -> list[tuple[str, str]]:
    return [(a.conversation_id, a.tools_used["parameters"].get("name", "")) for a in recorded.of(events.Action)]


def current_id() -> str | None:
    current = current_conversation()
    return current and current.conversation_id


def test_a_block_records_its_fields_and_its_end(recorded: Recording) -> None:
    """The start carries what is known, the end how it was left."""
    with conversation("c", customer_id=7, device="mobile", source="web", environment="PROD", metadata={"plan": "pro"}):
        pass
    start, end = recorded.events
    assert isinstance(start, events.ConversationStarted)
    assert (start.customer_id, start.device, start.source) == ("7", "mobile", "web")
    assert (start.environment, start.metadata, start.is_used) == ("production", {"plan": "pro"}, True)
    assert isinstance(end, events.ConversationEnded)
    assert end.error is None


def test_an_exception_that_leaves_the_block_is_recorded_and_goes_on(recorded: Recording) -> None:
    """The outcome of the conversation is the exception's text; the program sees the same object."""
    error = RuntimeError("model overloaded")
    with pytest.raises(RuntimeError) as caught, conversation("c"):
        raise error
    assert caught.value is error
    assert recorded.of(events.ConversationEnded)[0].error == "RuntimeError: model overloaded"


def test_without_an_id_each_entry_is_a_new_conversation(recorded: Recording) -> None:
    """One object entered twice opens two conversations with generated ids."""
    block = conversation()
    for _ in range(2):
        with block:
            tool()
    first, second = recorded.conversation_ids
    assert first != second
    assert first.startswith("conv_")
    assert len(first) == 17


def test_nesting_restores_the_outer_conversation(recorded: Recording) -> None:
    """After the inner block the outer one is current again, and nothing outside."""
    with conversation("outer"):
        tool("1")
        with conversation("inner"):
            tool("2")
        tool("3")
    assert current_conversation() is None
    assert where(recorded) == [("outer", "1"), ("inner", "2"), ("outer", "3")]


def test_one_object_entered_by_many_threads_at_once_keeps_them_apart(recorded: Recording) -> None:
    """The object holds no state: two threads inside the same block object have two conversations."""
    block = conversation()
    both = threading.Barrier(2)
    seen: list[str | None] = []

    def work() -> None:
        with block:
            both.wait(5)
            seen.append(current_id())
            both.wait(5)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(seen)) == 2
    assert len(recorded.of(events.ConversationEnded)) == 2


def test_blocks_left_in_another_order_than_entered_leave_nothing_behind(recorded: Recording) -> None:
    """Two generators that hold blocks across a yield may end in any order."""

    @contextmanager
    def holding(name: str):
        with conversation(name):
            yield

    first, second = holding("a"), holding("b")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert current_id() == "b"
    second.__exit__(None, None, None)
    assert current_id() is None


def test_a_block_left_in_another_thread_does_no_harm(recorded: Recording) -> None:
    """Leaving where the block is not current touches nothing there, and records the end."""
    stack = ExitStack()
    stack.enter_context(conversation("a"))

    def leave() -> str | None:
        with conversation("mine"):
            stack.close()
            return current_id()

    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(leave).result(5) == "mine"
    assert {end.conversation_id for end in recorded.of(events.ConversationEnded)} == {"a", "mine"}


def test_a_decorated_generator_belongs_to_where_it_was_created(recorded: Recording) -> None:
    """Opened in A and drained in B, its actions are A's, and the consumer stays in B throughout."""

    @track_action
    def stream():
        for number in range(3):
            tool(str(number))
            yield number

    with conversation("A"):
        opened = stream()
    with conversation("B"):
        for _ in opened:
            assert current_id() == "B"
        tool("after")
    assert where(recorded)[1:] == [("A", "0"), ("A", "1"), ("A", "2"), ("B", "after")]


async def test_a_decorated_async_generator_belongs_to_where_it_was_created(recorded: Recording) -> None:
    """The same for async generators, with awaits between."""

    @track_action
    async def stream():
        for number in range(3):
            await asyncio.sleep(0)
            tool(str(number))
            yield number

    with conversation("A"):
        opened = stream()
    with conversation("B"):
        async for _ in opened:
            assert current_id() == "B"
    assert {place for place, name in where(recorded) if name} == {"A"}


def test_a_decorated_handler_opens_a_conversation_per_call(recorded: Recording) -> None:
    """``id_from`` names the parameter or computes the id, positionally and by keyword, with a default."""

    @conversation(id_from="chat", source="web")
    def handle(text: str, chat: str = "unknown") -> str | None:
        tool(text)
        return current_id()

    @conversation(id_from=lambda request: request["id"])
    def compute(request: dict) -> str | None:
        return current_id()

    assert handle("hi", "c1") == "c1"
    assert handle(chat="c2", text="ho") == "c2"
    assert handle("hu") == "unknown"
    assert compute({"id": 12}) == "12"
    assert where(recorded) == [("c1", "hi"), ("c2", "ho"), ("unknown", "hu")]


async def test_decorated_coroutines_and_generators_hold_their_conversation(recorded: Recording) -> None:
    """A decorated coroutine is a block; a decorated generator is one for its whole life but not for its consumer."""

    @conversation("co")
    async def coroutine() -> str | None:
        await asyncio.sleep(0)
        return current_id()

    @conversation("gen")
    def generator():
        yield current_id()
        yield current_id()

    @conversation("agen")
    async def async_generator():
        yield current_id()

    assert await coroutine() == "co"
    seen = []
    for inside in generator():
        seen.append((inside, current_id()))
    assert seen == [("gen", None), ("gen", None)]
    assert [inside async for inside in async_generator()] == ["agen"]
    assert {end.conversation_id for end in recorded.of(events.ConversationEnded)} == {"co", "gen", "agen"}


def test_an_unknown_id_from_is_refused_where_it_is_written() -> None:
    """The error names the parameters there are."""
    with pytest.raises(ConfigurationException, match="'chatid' is no parameter of 'handle': it has chat"):

        @conversation(id_from="chatid")
        def handle(chat: str) -> None: ...


def test_a_failing_id_from_does_not_break_the_handler(recorded: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call goes through under a generated id."""
    monkeypatch.setattr("agentsight_auto._guard.raise_errors", False)

    @conversation(id_from=lambda request: request["missing"])
    def handle(request: dict) -> str:
        return "answered"

    assert handle({}) == "answered"
    assert recorded.conversation_ids[0].startswith("conv_")


def test_blocks_sanitise_what_they_cannot_use(recorded: Recording) -> None:
    """A blank id, an unknown environment and odd metadata never raise."""
    with conversation("  ", environment="no such!", metadata=["not", "a", "dict"], customer_id=object()):
        tool()
    with conversation("x" * 300) as long:
        pass
    assert len(long.conversation_id) == 255
    assert recorded.of(events.ConversationStarted)[0].environment == "development"


def test_without_consent_nothing_inside_is_recorded(recorded: Recording) -> None:
    """``record=False`` is honoured by everything inside: actions, messages, bindings, nested blocks."""
    with conversation("secret", record=False) as chat:
        chat.track_human_message("private")
        tool()
        with track_action("block") as action:
            action.response = "private"
        conversation_tracker.track_agent_message("private")
        conversation_tracker.get_or_create_conversation("other")
        conversation_tracker.track_agent_message("private")
        with conversation("nested"):
            tool()
        assert chat.send_tracked_data()["items"] == []
    tool("after")
    assert [event for event in recorded.events if "private" in repr(event)] == []
    assert len(recorded.actions()) == 1


def test_propagate_carries_the_conversation_into_threads(recorded: Recording) -> None:
    """The carried function may run many times at once, and the thread is left as it was."""

    @track_action("outer")
    def outer() -> None:
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(propagate(tool), "abcd"))
            assert executor.submit(current_conversation).result(5) is None

    with conversation("c"):
        outer()
    parent = recorded.of(events.Action)[0]
    assert sorted(where_name for place, where_name in where(recorded)[1:]) == list("abcd")
    assert {(action.conversation_id, action.parent_id) for action in recorded.of(events.Action)[1:]} == {
        ("c", parent.id)
    }


async def test_tasks_that_outlive_their_block_record_into_it(recorded: Recording) -> None:
    """A task that inherited the scope goes on recording there after the block has ended."""
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        tool("late")

    with conversation("c"):
        task = asyncio.create_task(late())
    ended.set()
    await task
    assert where(recorded) == [("c", "late")]
    assert current_conversation() is None


def test_outside_a_conversation_an_implicit_one_is_opened_and_warned_of_once(
    recorded: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """Both calls go to the same generated conversation of this thread."""

    def work() -> None:
        tool("1")
        tool("2")

    with ThreadPoolExecutor(1) as executor:
        executor.submit(work).result(5)
    assert len(recorded.conversation_ids) == 1
    assert [record for record in caplog.records if "outside a conversation" in record.message] != []
    assert len([record for record in caplog.records if "outside a conversation" in record.message]) == 1


async def test_a_thousand_tasks_and_sixty_four_threads_stay_apart(recorded: Recording) -> None:
    """Thousands of events with awaits in between, none in a wrong conversation."""

    async def chat(name: str) -> None:
        async with conversation(name) as scope:
            for turn in range(3):
                scope.track_human_message(f"{name} {turn}")
                await asyncio.sleep(0)
                tool(name)
                await asyncio.to_thread(tool, name)

    def threaded(name: str) -> None:
        with conversation(name) as scope:
            for turn in range(20):
                scope.track_human_message(f"{name} {turn}")
                tool(name)

    threads = [threading.Thread(target=threaded, args=(f"thread-{number}",)) for number in range(64)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(chat(f"task-{number}") for number in range(1000)))
    for thread in threads:
        await asyncio.to_thread(thread.join, 30)
    actions = where(recorded)
    assert len(actions) == 1000 * 6 + 64 * 20
    assert [pair for pair in actions if pair[0] != pair[1]] == []
    texts = recorded.of(events.Message)
    assert len(texts) == 1000 * 3 + 64 * 20
    assert [text for text in texts if not text.content.startswith(f"{text.conversation_id} ")] == []
