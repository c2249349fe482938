from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import pickle
import warnings
from typing import Any

import pytest

from agentsight_auto import conversation, track_action
from agentsight_auto.exceptions import ConfigurationException
from agentsight_auto.testing import Recording


@track_action
def add(left: int, right: int = 2) -> int:
    """Add two numbers."""
    return left + right


@track_action
async def add_later(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


@track_action
def count_to(last: int):
    received = []
    for number in range(1, last + 1):
        received.append((yield number))
    return received


@track_action
async def count_later(last: int):
    for number in range(1, last + 1):
        await asyncio.sleep(0)
        yield number


class Shop:
    @track_action
    def find(self, order_id: str) -> str:
        return f"order {order_id}"

    @track_action
    @classmethod
    def above_class(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    @classmethod
    @track_action
    def below_class(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    @track_action
    @staticmethod
    def above_static(name: str) -> str:
        return name

    @staticmethod
    @track_action
    def below_static(name: str) -> str:
        return name

    @property
    @track_action
    def total(self) -> int:
        return 7


class Tool:
    def __call__(self, order_id: str) -> str:
        return f"tool {order_id}"


class LaterTool:
    async def __call__(self, order_id: str) -> str:
        return f"later {order_id}"


def only(recorded: Recording) -> dict[str, Any]:
    (action,) = recorded.actions()
    return action


def test_a_decorated_function_records_name_arguments_result_and_duration(recorded: Recording) -> None:
    """One call is one action with everything the contract promises."""
    with conversation("c"):
        assert add(1, right=3) == 4
    action = only(recorded)
    assert action["action_name"] == "add"
    assert action["conversation_id"] == "c"
    assert action["tools_used"] == {"function": "add", "parameters": {"left": 1, "right": 3}}
    assert action["response"] == 4
    assert action["error_msg"] is None
    assert isinstance(action["duration_ms"], float)
    assert 0 < action["duration_ms"] < 1000
    assert action["started_at_us"] <= action["ended_at_us"]


def test_defaults_that_were_not_passed_are_not_recorded(recorded: Recording) -> None:
    """Only what the caller passed is an argument."""
    with conversation("c"):
        add(1)
    assert only(recorded)["tools_used"]["parameters"] == {"left": 1}


def test_an_exception_becomes_the_error_and_goes_on_its_way(recorded: Recording) -> None:
    """The same exception object reaches the caller, and its text the record."""
    error = LookupError("no such order")

    @track_action("look up")
    def fail() -> None:
        raise error

    with conversation("c"), pytest.raises(LookupError) as caught:
        fail()
    assert caught.value is error
    action = only(recorded)
    assert action["action_name"] == "look up"
    assert action["error_msg"] == "LookupError: no such order"
    assert action["response"] is None


async def test_a_coroutine_is_recorded_when_it_runs(recorded: Recording) -> None:
    """The duration covers the awaited body, and the result is that of the await."""
    with conversation("c"):
        assert await add_later(1, 2) == 3
    assert only(recorded)["response"] == 3


async def test_a_cancelled_coroutine_records_the_cancellation_and_passes_it_on(recorded: Recording) -> None:
    """CancelledError is recorded as the error and cancels the task as it would undecorated."""

    @track_action
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    with conversation("c"):
        task = asyncio.create_task(wait_for_ever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert only(recorded)["error_msg"].startswith("CancelledError")


async def test_a_task_cancelled_before_it_starts_warns_of_nothing(recorded: Recording) -> None:
    """A coroutine that never ran leaves no action and no warning (warnings are errors here)."""
    task = asyncio.create_task(add_later(1, 2))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.actions() == []


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {"key": 1}), ((1,), {}), ((1,), {"other": 2})])
def test_a_coroutine_function_refuses_wrong_arguments_at_the_call(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    """As Python does, and not when it is awaited."""

    async def find(order: int, shop: int = 0, *, key: int) -> int:
        return order + shop + key

    with pytest.raises(TypeError) as bare:
        find(*args, **kwargs)
    with pytest.raises(TypeError) as decorated:
        track_action(find)(*args, **kwargs)
    assert str(decorated.value) == str(bare.value)

    async def pay(order: int, shop: int = 0) -> int:
        return order + shop

    for wrong in ((), (1, 2, 3)):
        with pytest.raises(TypeError, match="pay"):
            track_action(pay)(*wrong)


@pytest.mark.parametrize("args", [(1,), (1, 2), (1, 2, 3, 4)])
async def test_a_coroutine_function_with_defaults_and_more_is_called_as_it_is(
    recorded: Recording, args: tuple[int, ...]
) -> None:
    """Any number of arguments that fits."""

    @track_action
    async def add(first: int, second: int = 10, *rest: int) -> int:
        return first + second + sum(rest)

    with conversation("chat-1"):
        result = await add(*args)
    assert result == args[0] + sum(args[1:] or [10])
    assert only(recorded)["response"] == result


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("kwargs", [{}, {"shop": 1}])
def test_a_coroutine_that_nobody_awaits_warns_once_under_the_functions_name(kwargs: dict[str, int]) -> None:
    """Also when the function got its name later, from a decorator above or by hand."""

    @track_action
    async def find(order: int = 0, shop: int = 0) -> None:
        """Do nothing."""

    find.__name__, find.__qualname__ = "look_up", "Shop.look_up"
    coroutine = find(**kwargs)
    assert (coroutine.__name__, coroutine.__qualname__) == ("look_up", "Shop.look_up")
    with warnings.catch_warnings(record=True) as told:
        del coroutine
        gc.collect()
    assert [str(warning.message) for warning in told] == ["coroutine 'Shop.look_up' was never awaited"]


def test_a_generator_keeps_send_throw_and_its_return_value(recorded: Recording) -> None:
    """What the consumer sends reaches the generator, and ``yield from`` gets its return value."""

    def consume() -> Any:
        return (yield from count_to(2))

    with conversation("c"):
        generator = consume()
        assert next(generator) == 1
        assert generator.send("a") == 2
        with pytest.raises(StopIteration) as stop:
            generator.send("b")
    assert stop.value.value == ["a", "b"]
    assert only(recorded)["response"] == {"yielded": 2, "items": [1, 2]}


def test_breaking_out_of_a_generator_runs_its_finally_at_once(recorded: Recording) -> None:
    """The user's cleanup is not put off, and the record says that the consumer stopped."""
    cleaned = []

    @track_action
    def stream():
        try:
            yield "a"
            yield "b"
        finally:
            cleaned.append(True)

    with conversation("c"):
        generator = stream()
        next(generator)
        generator.close()
        assert cleaned == [True]
    action = only(recorded)
    assert action["response"] == "a"
    assert action["metadata"] == {"is_closed_early": True}
    assert action["error_msg"] is None


def test_an_exception_thrown_into_a_generator_reaches_it(recorded: Recording) -> None:
    """``throw`` is handled by the user's generator, which may go on."""

    @track_action
    def patient():
        try:
            yield 1
        except KeyError:
            yield 2

    with conversation("c"):
        generator = patient()
        next(generator)
        assert generator.throw(KeyError("x")) == 2
        assert list(generator) == []
    assert only(recorded)["error_msg"] is None


async def test_a_stream_of_text_is_recorded_as_its_text(recorded: Recording) -> None:
    """The pieces of a streaming answer are joined."""

    @track_action
    async def answer():
        for word in ("Hel", "lo"):
            yield word

    with conversation("c"):
        assert [word async for word in answer()] == ["Hel", "lo"]
    assert only(recorded)["response"] == "Hello"


def test_methods_record_neither_self_nor_cls(recorded: Recording) -> None:
    """Above and below classmethod and staticmethod, bound and unbound, only real arguments are recorded."""
    shop = Shop()
    with conversation("c"):
        assert shop.find("A") == "order A"
        assert Shop.find(shop, "B") == "order B"
        assert Shop.above_class("x") == "Shop x"
        assert shop.below_class("y") == "Shop y"
        assert shop.above_static("s") == "s"
        assert Shop.below_static("t") == "t"
        assert shop.total == 7
    assert [action["tools_used"].get("parameters") for action in recorded.actions()] == [
        {"order_id": "A"},
        {"order_id": "B"},
        {"name": "x"},
        {"name": "y"},
        {"name": "s"},
        {"name": "t"},
        {},
    ]


async def test_partials_and_callable_objects_work(recorded: Recording) -> None:
    """The kind of a callable object is that of its ``__call__``."""
    with conversation("c"):
        assert track_action(functools.partial(add.__wrapped__, 1))(right=5) == 6
        assert track_action("tool")(Tool())("A") == "tool A"
        later = track_action("later")(LaterTool())
        assert await later("B") == "later B"
    assert [action["action_name"] for action in recorded.actions()] == ["add", "tool", "later"]


def test_the_decorator_changes_nothing_one_can_see() -> None:
    """Kind, signature, name, documentation and pickling are those of the function."""
    assert inspect.signature(add) == inspect.signature(add.__wrapped__)
    assert add.__name__ == "add"
    assert add.__doc__ == "Add two numbers."
    assert inspect.isfunction(add)
    assert inspect.iscoroutinefunction(add_later)
    assert inspect.isgeneratorfunction(count_to)
    assert inspect.isasyncgenfunction(count_later)
    assert inspect.iscoroutinefunction(track_action(LaterTool()).__call__)
    assert list(inspect.signature(Shop().find).parameters) == ["order_id"]
    assert pickle.loads(pickle.dumps(add)) is add


def test_what_cannot_be_pickled_says_why() -> None:
    """A function decorated inside another one cannot be found by its name, and the error says so."""

    @track_action
    def local() -> None: ...

    with pytest.raises(pickle.PicklingError, match="decorated inside a function"):
        pickle.dumps(local)


@pytest.mark.parametrize("thing", [property(lambda self: 1), Shop, 3])
def test_what_cannot_be_decorated_is_a_type_error(thing: Any) -> None:
    """Classes, raw properties and what is not callable are refused where the user decorates."""
    with pytest.raises(TypeError, match="track_action"):
        track_action()(thing)


def test_a_blank_name_is_refused() -> None:
    """The error comes where the decorator is written, not when the function runs."""
    with pytest.raises(ConfigurationException, match="blank"):
        track_action("  ")


def test_nested_actions_know_their_parent(recorded: Recording) -> None:
    """An action inside an action carries the event id of the outer one; the outer one comes first."""

    @track_action
    def outer() -> None:
        add(1, 1)
        with track_action("block"):
            add(2, 2)

    with conversation("c"):
        outer()
        add(3, 3)
    names = {action["id"]: action["action_name"] for action in recorded.actions()}
    assert [(a["action_name"], names.get(a["parent_id"])) for a in recorded.actions()] == [
        ("outer", None),
        ("add", "outer"),
        ("block", "outer"),
        ("add", "block"),
        ("add", None),
    ]


def test_the_block_form_records_what_is_set_on_it(recorded: Recording) -> None:
    """Response, tools, error text and metadata can be given by hand."""
    with conversation("c"), track_action("search", metadata={"a": 1}) as action:
        action.tools_used = {"engine": "fts"}
        action.response = {"hits": 3}
    done = only(recorded)
    assert (done["tools_used"], done["response"], done["metadata"]) == ({"engine": "fts"}, {"hits": 3}, {"a": 1})


def test_one_block_object_may_be_entered_many_times_at_once(recorded: Recording) -> None:
    """The object holds no state of an entry: nested and repeated entries are separate actions."""
    block = track_action("again")
    with conversation("c"):
        with block, block:
            pass
        with block:
            pass
    first, second, third = recorded.actions()
    assert second["parent_id"] == first["id"]
    assert third["parent_id"] is None


def test_secrets_and_excluded_parameters_are_masked(recorded: Recording) -> None:
    """Names that look like secrets are always masked, others on request; the call gets the real values."""

    @track_action(exclude=["iban"])
    def pay(api_key: str, iban: str, amount: int) -> str:
        return f"{api_key} {iban}"

    with conversation("c"):
        assert pay("k-1", "DE00", amount=3) == "k-1 DE00"
    assert only(recorded)["tools_used"]["parameters"] == {"api_key": "[masked]", "iban": "[masked]", "amount": 3}


def test_arguments_and_results_can_be_left_out(recorded: Recording) -> None:
    """Both can be turned off per function."""

    @track_action(capture_args=False, capture_response=False)
    def quiet(text: str) -> str:
        return text

    with conversation("c"):
        quiet("private")
    assert only(recorded)["tools_used"] == {"function": "quiet"}
    assert only(recorded)["response"] is None


def test_arguments_are_recorded_as_they_were_at_the_call(recorded: Recording) -> None:
    """A function that changes its argument does not change the record, nor a caller that changes the result."""

    @track_action
    def grow(items: list[int]) -> list[int]:
        items.append(9)
        return items

    with conversation("c"):
        grow([1]).append(10)
    assert only(recorded)["tools_used"]["parameters"] == {"items": [1]}
    assert only(recorded)["response"] == [1, 9]


def test_whatever_stands_for_self_is_not_recorded(recorded: Recording) -> None:
    """Also a plain text that a method is called with by hand."""
    with conversation("c"):
        assert Shop.find("in place of a shop", "A-17") == "order A-17"  # type: ignore[arg-type]
    (action,) = recorded.actions()
    assert action["tools_used"]["parameters"] == {"order_id": "A-17"}
