"""The bounded copy of any value."""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import sys
import threading
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentsight_auto.snapshot import (
    DEFAULT_VALUE_BYTES,
    MIN_VALUE_BYTES,
    bounded_text,
    describe_error,
    safe_json,
    sanitize_text,
    snapshot,
    snapshot_mapping,
    snapshot_metadata,
)
from agentsight_auto.snapshot.redaction import MASK

encode = msgspec.json.encode


def size_of(copy: Any) -> int:
    """Encode as the outbox does, read it back, and return the length."""
    line = encode(copy)
    line.decode("utf-8")
    assert msgspec.json.decode(line) == copy
    return len(line)


# --- values that are kept as they are -------------------------------------------------------------------------------

clean_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
plain_keys = clean_text.filter(lambda name: "[masked]" not in str(snapshot({name: "x"})))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | clean_text,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(plain_keys, inner, max_size=6),
    max_leaves=40,
)


@given(json_values)
@example({"a": [1, 2.5, None, True, {"b": 'é\n"\\'}]})
@example([10**6, -(10**6), 2**63 - 1, -(2**63), 0.1, 1e300, -0.0])
def test_small_json_values_come_back_equal(value: Any) -> None:
    """What is JSON already and small is copied as it is, with the same types."""
    copy = snapshot(value, 1 << 20)
    assert copy == value
    assert encode(copy) == encode(value)


@given(json_values)
def test_a_change_after_the_snapshot_does_not_reach_it(value: Any) -> None:
    """The copy shares no container with the value."""
    copy = snapshot(value, 1 << 20)
    before = encode(copy)

    def ruin(part: Any) -> None:
        if isinstance(part, list):
            for item in part:
                ruin(item)
            part[:] = ["changed"]
        elif isinstance(part, dict):
            for item in part.values():
                ruin(item)
            part.clear()

    ruin(value)
    assert encode(copy) == before


@pytest.mark.parametrize("value", [{"a": "text", "n": 1}, {"a": {"b": ["c"]}}, ["a", 1], ("a",), {}, []])
def test_containers_are_always_new(value: Any) -> None:
    """Also the quick way for small flat dicts copies."""
    first, second = snapshot(value), snapshot(value)
    assert first == second
    assert first is not value
    assert first is not second


# --- the documented normalisation -----------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, "two")


class Level(enum.IntEnum):
    HIGH = 3


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Sender(str, enum.Enum):
    USER = "end_user"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Order:
    number: int
    lines: list[str]
    total: float = dataclasses.field(init=False, repr=False)
    kind: Any = "order"


@dataclasses.dataclass(frozen=True)
class SlottedOrder:
    __slots__ = ("number", "text")
    number: int
    text: str


@attrs.define
class Customer:
    name: str
    password: str
    _private: int = 1


@attrs.define(slots=False)
class LooseCustomer:
    name: str


class Reply(msgspec.Struct):
    text: str
    parts: list[int] = []


class Plain:
    def __init__(self) -> None:
        self.secret = "hidden"


class TextKey(str):
    __slots__ = ()


class HouseZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise AssertionError("the user's time zone was asked")


def a_function() -> None:
    """Stand for any function."""


LOCK = threading.Lock()

NORMALISED: list[tuple[Any, Any]] = [
    ((1, "a"), [1, "a"]),
    ({7}, [7]),
    (frozenset([7]), [7]),
    (deque([1, 2]), [1, 2]),
    ({"a": 1}.keys(), ["a"]),
    ({"a": 1}.values(), [1]),
    ({"a": 1}.items(), [["a", 1]]),
    (float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
    (2**63, str(2**63)),
    (-(2**63) - 1, str(-(2**63) - 1)),
    (2**4000, "<int, 4001 bits>"),
    (2**3999, str(2**3999)),
    (b"abc", "<bytes, 3 bytes>"),
    (bytearray(5), "<bytes, 5 bytes>"),
    (memoryview(b"abcd"), "<bytes, 4 bytes>"),
    (Colour.RED, "red"),
    (Colour.PAIR, [1, "two"]),
    (Level.HIGH, 3),
    (Access.READ | Access.WRITE, 3),
    (Sender.USER, "end_user"),
    (True, True),
    (datetime(2026, 11, 21, 8, 30, tzinfo=timezone.utc), "2026-11-21T08:30:00+00:00"),
    (datetime(2026, 11, 21, 8, 30, tzinfo=ZoneInfo("UTC")), "2026-11-21T08:30:00+00:00"),
    (datetime(2026, 11, 21, 8, 30, tzinfo=HouseZone()), f"2026-11-21T08:30:00 <{__name__}.HouseZone>"),
    (date(2026, 11, 21), "2026-11-21"),
    (time(8, 30), "08:30:00"),
    (timedelta(hours=1), "1:00:00"),
    (Decimal("1.50"), "1.50"),
    (Decimal("1E+999999"), "1E+999999"),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Path("/tmp/a"), "/tmp/a"),
    (PurePosixPath("a/b"), "a/b"),
    (1 + 2j, "(1+2j)"),
    (Point(1, 2), {"x": 1, "y": 2}),
    (namedtuple("Pair", "a b")([1], "x"), {"a": [1], "b": "x"}),  # noqa: PYI024 - the other way to make one
    (Order(1, ["a"]), {"number": 1, "lines": ["a"], "kind": "order"}),
    (Customer("Ann", "abc"), {"name": "Ann", "password": MASK, "_private": 1}),
    (LooseCustomer("Ann"), {"name": "Ann"}),
    (Reply("hi", [1]), {"text": "hi", "parts": [1]}),
    (OrderedDict(a=1), {"a": 1}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (Plain(), f"<{__name__}.Plain>"),
    (Plain, f"<class {__name__}.Plain>"),
    (int, "<class int>"),
    (a_function, f"<function {__name__}.a_function>"),
    (LOCK, "<_thread.lock>"),
    ((number for number in [1]), "<generator>"),
    (object(), "<object>"),
    (range(3), "<range>"),
    (ValueError("no", 1), "ValueError: no, 1"),
    ({1: "a", 2.5: "b", None: "c", False: "d"}, {"1": "a", "2.5": "b", "null": "c", "false": "d"}),
    ({("a", 1): "x"}, {'["a",1]': "x"}),
    ({b"content-type": 1}, {"content-type": 1}),
    ({TextKey("k"): 1}, {"k": 1}),
    ({Colour.RED: 1}, {"red": 1}),
    ({date(2026, 1, 2): 1}, {"2026-01-02": 1}),
    ({1: "a", "1": "b"}, {"1": "a", "1 (2)": "b"}),
    ("\0a\ud800b?", "\ufffda\ufffdb?"),
    ({"\0k\ud800": "v"}, {"\ufffdk\ufffd": "v"}),
]


@pytest.mark.parametrize(("value", "expected"), NORMALISED, ids=lambda part: type(part).__name__)
def test_each_type_has_its_documented_form(value: Any, expected: Any) -> None:
    """A value that JSON has no type for gets the documented form, alone and inside a container."""
    assert snapshot(value) == expected
    assert snapshot([value, value]) == [expected, expected]
    assert snapshot({"field": value}) == {"field": expected}
    assert type(snapshot(value)) in {bool, int, float, str, list, dict}
    size_of(snapshot({"field": value}))


def test_slots_are_read() -> None:
    """A dataclass with slots has no instance dict; its fields are found all the same."""
    assert snapshot(SlottedOrder(4, "x")) == {"number": 4, "text": "x"}


@pytest.mark.parametrize("table", ["__pydantic_fields__", "model_fields", "__fields__"])
def test_pydantic_models_are_read_without_importing_pydantic(table: str) -> None:
    """The fields of both generations lie in the instance's dict, extra ones of the second in a slot."""
    model = type(
        "Model", (), {table: {"name": object(), "count": object()}, "__slots__": ("__dict__", "__pydantic_extra__")}
    )
    instance = model()
    instance.__dict__.update(name="Ann", count=2, cached="no field")
    instance.__pydantic_extra__ = {"more": 1}
    was_loaded = "pydantic" in sys.modules
    assert snapshot(instance) == {"name": "Ann", "count": 2, "more": 1}
    assert ("pydantic" in sys.modules) == was_loaded


def test_repeated_values_are_not_cycles() -> None:
    """The same list twice side by side is copied twice."""
    shared = [1]
    assert snapshot({"a": shared, "b": shared, "c": [shared]}) == {"a": [1], "b": [1], "c": [[1]]}


def test_cycles_and_deep_nesting_end() -> None:
    """A container inside itself is marked, and so is what is nested more than 32 levels deep."""
    cycle: dict[str, Any] = {"name": "a"}
    cycle["self"] = [cycle]
    assert snapshot(cycle) == {"name": "a", "self": ["<cycle>"]}
    assert snapshot_metadata(cycle) == {"name": "a", "self": ["<cycle>"]}
    order = Order(1, [])
    order.kind = order
    assert snapshot(order)["kind"] == "<cycle>"

    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    copy, depth = snapshot(deep), 0
    while isinstance(copy, list):
        copy, depth = copy[0], depth + 1
    assert (copy, depth) == ("<nested too deep>", 32)


def test_a_value_is_copied_where_the_stack_is_almost_used_up() -> None:
    """At any distance from the recursion limit the call returns something that encodes."""
    value = {"a": [[[[["deep"]]]]]}

    def descend() -> int:
        try:
            below = descend()
        except RecursionError:
            below = 0
        if below < 60:
            size_of_result = len(repr(type(snapshot(value))))
            assert size_of_result
        return below + 1

    assert descend() > 100


# --- secrets --------------------------------------------------------------------------------------------------------


def test_secrets_are_masked_at_any_depth() -> None:
    """Keys, fields, byte keys and header pairs with a secret's name lose their values, whatever those are."""
    value = {
        "Authorization": "Bearer abc",
        "nested": [{"deep": ({"api_key": ["abc"], "prompt_tokens": 3},)}],
        "headers": [("X-Api-Key", "abc"), ("Accept", "abc-not-secret")],
        "customer": Customer("Ann", "abc"),
        b"password": "abc",
        TextKey("access_token"): {"x": "abc"},
        "client_secret": None,
    }
    copy = snapshot(value)
    assert copy["Authorization"] == copy["password"] == copy["access_token"] == copy["client_secret"] == MASK
    assert copy["nested"] == [{"deep": [{"api_key": MASK, "prompt_tokens": 3}]}]
    assert copy["headers"] == [["X-Api-Key", MASK], ["Accept", "abc-not-secret"]]
    assert copy["customer"]["password"] == MASK
    assert snapshot(value) == copy, "what is remembered of names changes nothing"
    assert snapshot_metadata(value) == copy
    assert snapshot_mapping(value.items()) == copy


# --- limits ---------------------------------------------------------------------------------------------------------

any_text = st.text(st.characters(), max_size=60) | st.text(st.sampled_from('a\0\ud800"\\\1é世😀?'), max_size=400)
any_leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**5000), 2**5000)
    | st.floats()
    | any_text
    | st.binary(max_size=40)
    | st.decimals()
    | st.datetimes()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from([Colour.PAIR, Level.HIGH, Point(1, 2), Plain(), Plain, a_function, Order(1, ["x" * 300]), LOCK])
    | st.builds(ValueError, any_text)
    | st.builds(lambda text: text * 2000, any_text)
)
any_key = any_text | st.integers() | st.booleans() | st.binary(max_size=10) | st.tuples(any_text, st.integers())
any_value = st.recursive(
    any_leaf,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(any_key, inner, max_size=30)
        | st.tuples(inner, inner)
        | st.builds(Reply, any_text, st.lists(st.integers(), max_size=50))
        | st.builds(Order, st.integers(), inner)
        | st.lists(inner, max_size=3).map(lambda some: some * 500)
        | st.lists(inner, max_size=3).map(deque)
    ),
    max_leaves=30,
)
limits = st.integers(0, 6000) | st.just(DEFAULT_VALUE_BYTES)
slow_but_fair = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@slow_but_fair
@given(any_value, limits)
def test_every_copy_is_json_within_the_limit(value: Any, limit: int) -> None:
    """Whatever the value and the limit, the copy encodes as UTF-8 JSON of at most the limit (at least 512)."""
    assert size_of(snapshot(value, limit)) <= max(limit, MIN_VALUE_BYTES)
    assert size_of(snapshot_metadata(value, limit)) <= max(limit, MIN_VALUE_BYTES) + len('{"value":}')


@given(st.integers(1, 40), st.integers(1, 60), limits, st.sampled_from(["list", "dict"]))
@slow_but_fair
def test_cuts_at_every_level_stay_within_the_limit(depth: int, width: int, limit: int, shape: str) -> None:
    """Where each of many nested containers is cut, their marks together are within the limit as well."""
    value: Any = '"' * 10_000
    for level in range(depth):
        items = [value, *("\1" * (level % 16) for _ in range(width))]
        value = items if shape == "list" else {f"{number}\1": item for number, item in enumerate(items)}
    assert size_of(snapshot(value, limit)) <= max(limit, MIN_VALUE_BYTES)


HUGE: list[tuple[str, Callable[[], Any], str, int]] = [
    ("integers", lambda: list(range(1_000_000)), "list", 1_000_000),
    ("text", lambda: "é" * 5_000_000, "str", 5_000_000),
    ("dict", lambda: {number: number for number in range(1_000_000)}, "dict", 1_000_000),
    ("dicts", lambda: [{"id": number, "name": "x"} for number in range(100_000)], "list", 100_000),
    ("tuple", lambda: (0.5,) * 1_000_000, "tuple", 1_000_000),
    ("set", lambda: set(range(100_000)), "set", 100_000),
    ("deque", lambda: deque(range(100_000)), "deque", 100_000),
    ("empty lists", lambda: [[] for _ in range(100_000)], "list", 100_000),
    ("objects", lambda: [Plain()] * 100_000, "list", 100_000),
    ("fields", lambda: Order(1, ["line"] * 100_000), f"{__name__}.Order", 4),
    ("deep rows", lambda: {"rows": [[["x" * 100] * 100] * 100] * 1000, "n": 1}, "dict", 2),
    ("surrogates", lambda: "\ud800" * 1_000_000, "str", 1_000_000),
    ("escapes", lambda: ["\1" * 1000] * 1000, "list", 1000),
    ("bytes keys", lambda: {number.to_bytes(4, "big"): None for number in range(100_000)}, "dict", 100_000),
]


@pytest.mark.parametrize(("make", "shape", "length"), [row[1:] for row in HUGE], ids=[row[0] for row in HUGE])
def test_a_truncated_value_tells_its_whole_length_and_its_beginning(
    make: Callable[[], Any], shape: str, length: int
) -> None:
    """The mark carries the type and the top-level length; what is kept is bounded in number and size."""
    copy = snapshot(make())
    assert {key: copy[key] for key in ("truncated", "type", "length")} == {
        "truncated": True,
        "type": shape,
        "length": length,
    }
    assert size_of(copy) <= DEFAULT_VALUE_BYTES
    assert 0 < count_values(copy["value"]) <= DEFAULT_VALUE_BYTES // 8 + 64


def count_values(copy: Any) -> int:
    """Return how many values a copy consists of: the measure of the work it took."""
    if isinstance(copy, dict):
        return 1 + sum(count_values(item) for item in copy.values())
    return 1 + sum(count_values(item) for item in copy) if isinstance(copy, list) else 1


def test_the_beginning_is_kept_in_order() -> None:
    """The kept part of a long list and of a long text is its beginning."""
    kept = snapshot(list(range(100_000)))["value"]
    assert kept == list(range(len(kept)))
    assert len(kept) > 1000
    text = "".join(str(number) for number in range(20_000))
    part = snapshot(text)["value"]
    assert text.startswith(part)
    assert len(part) > DEFAULT_VALUE_BYTES - 400


def test_a_large_value_does_not_starve_its_siblings() -> None:
    """What follows a huge field is still recorded, and the cut inside says how much is missing."""
    copy = snapshot({"body": "x" * 1_000_000, "rows": list(range(10**5)), "status": 200, "ok": True})
    assert copy["truncated"] is True
    assert copy["length"] == 4
    assert copy["value"]["body"].endswith("… [truncated, 1000000 characters]")
    assert copy["value"]["rows"][-1] == "… [truncated, 100000 items]"
    assert copy["value"]["status"] == 200
    assert copy["value"]["ok"] is True


@pytest.mark.parametrize("length", [10, 1000, 10_000, 15_000])
def test_what_fits_is_not_cut(length: int) -> None:
    """A value that stays 400 bytes below the limit is whole."""
    assert snapshot("x" * length) == "x" * length
    assert snapshot({"a": "x" * length, "b": 1}) == {"a": "x" * length, "b": 1}
    assert snapshot_metadata({"a": "x" * length, "b": 1}) == {"a": "x" * length, "b": 1}


def test_containers_that_change_meanwhile_do_no_harm() -> None:
    """While another thread grows and shrinks the containers, every copy succeeds and encodes."""
    shared: dict[Any, Any] = {"d": {}, "s": set(), "q": deque(), "l": []}
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for part in shared.values():
                if len(part) > 50:
                    part.clear()
            shared["d"][number] = number
            shared["s"].add(number)
            shared["q"].append(number)
            shared["l"].append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(1000):
            size_of(snapshot(shared))
            size_of(snapshot_metadata(shared["d"]))
            size_of(snapshot(shared["s"]))
    finally:
        stop.set()
        thread.join(10)
        sys.setswitchinterval(interval)


def test_a_container_that_changes_while_it_is_read_is_marked_as_cut() -> None:
    """What was there before the change is kept, and the copy says that it is not the whole."""
    changing = {f"key {number}": "x" for number in range(100)}

    iterator = iter(changing.items())
    next(iterator)
    changing["late"] = "x"
    from agentsight_auto.snapshot.copier import Copier

    copier = Copier(5000)
    copy = copier._mapping(changing, iterator, 100, "dict")
    assert copier.is_cut
    assert copy == {}
    assert (copier.shape, copier.length) == ("dict", 100)


# --- no code of the user's runs ---------------------------------------------------------------------------------------

ran: list[str] = []

METHODS = (  # noqa: SIM905 - words read best as text
    "__repr__ __str__ __bytes__ __format__ __iter__ __len__ __getitem__ __contains__ __next__ __reversed__ __bool__ "
    "__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __int__ __float__ __index__ __complex__ __call__ __dir__ "
    "__getattribute__ __getattr__ __sizeof__ __length_hint__ __reduce__ __reduce_ex__ __copy__ __deepcopy__ "
    "__fspath__ __instancecheck__ keys items values get append copy utcoffset dst tzname isoformat encode isascii "
    "bit_length value name args is_secret model_dump dict _asdict"
).split()


class Sprung(BaseException):
    """What no handler of ours catches."""


def trap(name: str) -> Any:
    """Return a method that leaves a trace and then ends the program."""

    def method(*_: Any, **__: Any) -> Any:
        ran.append(name)
        raise Sprung(name)

    return method


class TrapMeta(type):
    """A metaclass that leaves a trace whenever its classes are asked for anything."""

    __getattribute__ = __instancecheck__ = __subclasscheck__ = __hash__ = trap("metaclass")  # type: ignore[assignment]
    __eq__ = __repr__ = __iter__ = __len__ = __bool__ = __dir__ = trap("metaclass")  # type: ignore[assignment]
    __mro__ = property(trap("metaclass.__mro__"))  # type: ignore[assignment]
    __module__ = property(trap("metaclass.__module__"))  # type: ignore[assignment]
    __dataclass_fields__ = property(trap("metaclass.__dataclass_fields__"))


def trapped_class(base: type, *, metaclass: type = type, **own: Any) -> Any:
    """Return a subclass of `base` in which every usual method, property and attribute is a trap."""
    namespace: dict[str, Any] = {name: trap(name) for name in METHODS}
    namespace |= {"__class__": property(trap("__class__")), "total": property(trap("total")), "__module__": "traps"}
    return type.__new__(metaclass, f"Trapped{base.__name__}", (base,), namespace | own)


def filled(instance: Any, base: Any) -> Any:
    """Put something into a container without its own methods."""
    if base is dict or base is OrderedDict:
        dict.__setitem__(instance, "key", "inside")
    elif base in {list, deque}:
        base.__init__(instance, ["inside"])
    elif base is set:
        set.add(instance, "inside")
    return instance


TRAPPED: list[tuple[type, tuple[Any, ...], Any]] = [
    (object, (), "<traps.Trappedobject>"),
    (dict, (), {"key": "inside"}),
    (list, (), ["inside"]),
    (set, (), ["inside"]),
    (deque, (), ["inside"]),
    (tuple, (["inside"],), ["inside"]),
    (frozenset, (["inside"],), ["inside"]),
    (str, ("inside",), "inside"),
    (int, (5,), 5),
    (float, (0.5,), 0.5),
    (bytes, (b"abc",), "<bytes, 3 bytes>"),
    (datetime, (2026, 1, 2), "<traps.Trappeddatetime>"),
    (Decimal, ("1",), "<traps.TrappedDecimal>"),
    (ValueError, ("inside",), "TrappedValueError: inside"),
    (KeyError, ("inside",), "TrappedKeyError: inside"),
]


@pytest.mark.parametrize("metaclass", [type, TrapMeta])
@pytest.mark.parametrize(("base", "args", "expected"), TRAPPED, ids=lambda part: getattr(part, "__name__", ""))
def test_no_method_of_a_users_class_runs(base: type, args: tuple[Any, ...], expected: Any, metaclass: type) -> None:
    """Each hostile subclass, as value, item, key and metadata, is copied without one call of its methods."""
    value = filled(base.__new__(trapped_class(base, metaclass=metaclass), *args), base)
    ran.clear()
    results = [
        snapshot(value), snapshot([value])[0], snapshot({"f": value})["f"], snapshot_metadata({"f": value})["f"],
        snapshot_mapping([("f", value)])["f"], snapshot((value, 1))[0], snapshot(Order(1, value))["lines"],
    ]  # fmt: skip
    described = describe_error(value) if base in {ValueError, KeyError} else bounded_text(value)
    assert ran == []
    assert all(result == expected for result in results)
    assert "inside" in described or "inside" not in str(expected)


def test_no_code_runs_for_classes_enums_keys_and_fields() -> None:
    """Classes with a hostile metaclass, enum members, object keys and fields beside properties run nothing."""
    hostile_class = trapped_class(object, metaclass=TrapMeta)
    is_hashable = {"__hash__": lambda _: 1, "__eq__": lambda *_: False}
    key = object.__new__(trapped_class(object, **is_hashable))
    keyed = {key: 1}
    table = {"name": None, "total": None}
    model = object.__new__(trapped_class(object, metaclass=TrapMeta, __dataclass_fields__=table))
    object.__setattr__(model, "name", "Ann")

    closed = object.__new__(trapped_class(object, __dict__=property(trap("__dict__")), __dataclass_fields__=table))

    class Priced(enum.Enum):
        ONE = [1]

        @property
        def value(self) -> Any:
            return trap("Enum.value")()

        __hash__ = trap("Enum.__hash__")  # type: ignore[assignment]
        __str__ = __repr__ = __format__ = trap("Enum.__str__")  # type: ignore[assignment]

    one = Priced._member_map_["ONE"]
    ran.clear()
    assert snapshot(hostile_class) == "<class traps.Trappedobject>"
    assert snapshot(keyed) == {"<traps.Trappedobject>": 1}
    assert snapshot_metadata(keyed) == {"<traps.Trappedobject>": 1}
    assert snapshot(model) == {"name": "Ann"}
    assert snapshot(closed) == {}
    assert snapshot(one) == [1]
    assert ran == []


def test_a_mapping_of_the_users_is_not_walked() -> None:
    """A Mapping whose iteration has side effects is named, not read."""

    class Events(Mapping[str, int]):
        def __iter__(self) -> Iterator[str]:
            return iter(trap("__iter__")())

        def __getitem__(self, key: str) -> int:
            return int(trap("__getitem__")())

        def __len__(self) -> int:
            return int(trap("__len__")())

    ran.clear()
    assert snapshot(Events()).endswith("Events>")
    assert snapshot_metadata(Events())["value"].endswith("Events>")
    assert ran == []


def test_odd_class_attributes_do_no_harm() -> None:
    """Module and field tables that are not what they should be are passed over."""
    odd = type("Odd", (), {"__module__": 5, "__dataclass_fields__": 3, "__attrs_attrs__": (1, 2), "__fields__": "x"})
    assert snapshot(odd()) == "<Odd>"
    text_tuple = type("TextTuple", (tuple,), {"_fields": ("only",)})
    assert snapshot(text_tuple((1, 2))) == [1, 2]
    released = memoryview(b"x")
    released.release()
    assert snapshot(released) == "<memoryview>"
    assert snapshot(Decimal("1" * 10_000)) == "<decimal.Decimal>"


# --- metadata, names, text, errors ----------------------------------------------------------------------------------


def test_metadata_that_is_too_large_keeps_whole_keys() -> None:
    """Keys that fit stay whole, the others are left out, and the document says so."""
    document = {"before": 1, "huge": "x" * 1_000_000, "rows": [{"n": 1}] * 10_000, "after": {"a": [1, 2]}, "last": "x"}
    assert snapshot_metadata(document) == {
        "before": 1, "after": {"a": [1, 2]}, "last": "x", "truncated": True, "length": 5,
    }  # fmt: skip
    many = {f"name {number}": "x" * 100 for number in range(100_000)}
    copy = snapshot_metadata(many)
    assert copy is not None
    assert copy.pop("truncated") is True
    assert copy.pop("length") == 100_000
    assert len(copy) > 50
    assert copy.items() <= many.items()


def test_the_work_on_metadata_is_bounded_too() -> None:
    """Of a thousand keys that do not fit only the first few are tried, so a small one after them is not reached."""
    document = {"first": 1, **{f"huge {number}": [0] * 10_000 for number in range(1000)}, "last": 1}
    assert snapshot_metadata(document) == {"first": 1, "truncated": True, "length": 1002}


def test_metadata_is_a_dict_or_nothing() -> None:
    """None stays None, a dict stays a dict, and anything else is put under one key."""
    assert snapshot_metadata(None) is None
    assert snapshot_metadata({}) == {}
    assert snapshot_metadata([1]) == {"value": [1]}
    assert snapshot_metadata("text") == {"value": "text"}
    assert snapshot_metadata(OrderedDict(a=OrderedDict(b=1))) == {"a": {"b": 1}}
    assert snapshot_metadata({"a": 1.5, "b": (1,)}) == {"a": 1.5, "b": [1]}


def test_named_values_have_each_their_own_limit() -> None:
    """One huge argument does not cost the others, secrets are masked, and endless names are cut."""
    copy = snapshot_mapping({"text": "x" * 100_000, "rows": [1], "api_key": "abc"}, 1024)
    assert copy["text"]["length"] == 100_000
    assert copy["rows"] == [1]
    assert copy["api_key"] == MASK
    many = snapshot_mapping((f"a{number}", number) for number in range(1000))
    assert len(many) == 257
    assert "truncated" in many["…"]


@given(any_text, st.integers(40, 2000))
def test_bounded_text_fits_and_is_clean(text: str, limit: int) -> None:
    """The text is at most the limit in UTF-8, without NUL, and whole where it fits."""
    bounded = bounded_text(text, limit)
    assert len(bounded.encode("utf-8")) <= limit
    assert "\0" not in bounded
    clean = sanitize_text(text)
    if len(clean.encode()) <= limit:
        assert bounded == clean
    else:
        kept, _, rest = bounded.rpartition("… [truncated, ")
        assert clean.startswith(kept)
        assert rest == f"{len(text)} characters]"


def test_bounded_text_takes_anything() -> None:
    """A text of a user's type is reduced to plain text; what is not text becomes JSON."""
    assert type(bounded_text(TextKey("abc"))) is str
    assert bounded_text(TextKey("é" * 10_000), 100).endswith("… [truncated, 10000 characters]")
    assert bounded_text({"a": [1]}) == '{"a":[1]}'
    assert bounded_text(None) == "null"
    assert bounded_text(Plain()) == f"<{__name__}.Plain>"
    assert len(bounded_text("é" * 10_000_000)) < 256 * 1024


@given(st.text(st.characters()) | any_text)
def test_sanitized_text_is_utf8_and_otherwise_the_same(text: str) -> None:
    """Each NUL and each surrogate becomes one U+FFFD, and every other character stays in its place."""
    clean = sanitize_text(text)
    clean.encode("utf-8")
    bad = {char for char in text if char == "\0" or "\ud800" <= char <= "\udfff"}
    assert clean == "".join("\ufffd" if char in bad else char for char in text)


@given(
    st.recursive(
        any_leaf,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(any_key, inner, max_size=5),
        max_leaves=20,
    )
)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_safe_json_always_encodes(value: Any) -> None:
    """What the encoder would refuse encodes after the deep copy, and clean JSON comes back equal."""
    size_of(safe_json({"field": value, "list": [value]}))


@given(json_values)
def test_safe_json_keeps_clean_json(value: Any) -> None:
    """A document without NUL and surrogates is copied as it is."""
    assert encode(safe_json(value)) == encode(value)


class Chatty(Exception):
    def __str__(self) -> str:
        raise AssertionError("the user's __str__ was called")


class Quiet(KeyError):
    pass


ERRORS: list[tuple[BaseException, str]] = [
    (ValueError("no such order"), "ValueError: no such order"),
    (ValueError(), "ValueError"),
    (ValueError(""), "ValueError"),
    (ValueError("a", 1, 2.5, None), "ValueError: a, 1, 2.5, None"),
    (KeyError("name"), "KeyError: 'name'"),
    (Quiet("name"), "Quiet: 'name'"),
    (FileNotFoundError(2, "Not there", "a.txt"), "FileNotFoundError: [Errno 2] Not there: 'a.txt'"),
    (FileNotFoundError(2, "No such file", Plain()), "FileNotFoundError: 2, No such file"),
    (Chatty("inside", Plain()), f"Chatty: inside, <{__name__}.Plain>"),
    (KeyError(Plain()), f"KeyError: <{__name__}.Plain>"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (RuntimeError("\0bad \ud800"), "RuntimeError: \ufffdbad \ufffd"),
    (RuntimeError(b"bytes"), "RuntimeError: b'bytes'"),
    (OSError("plain"), "OSError: plain"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "expected"), ERRORS, ids=lambda part: type(part).__name__)
def test_errors_are_described_without_their_own_code(error: BaseException, expected: str) -> None:
    """The type's name and what its arguments say; a `__str__` in Python is never called."""
    assert describe_error(error) == expected


def test_unicode_errors_speak_for_themselves() -> None:
    """Builtin exceptions whose text is made in C keep it."""
    with pytest.raises(UnicodeDecodeError) as caught:
        b"\xff".decode()
    assert describe_error(caught.value) == f"UnicodeDecodeError: {caught.value}"


@given(st.lists(any_leaf, max_size=5), st.integers(60, 3000))
def test_error_texts_are_bounded(arguments: list[Any], limit: int) -> None:
    """Whatever was raised with, the text is clean and within the limit."""
    text = describe_error(Chatty(*arguments), limit)
    assert len(text.encode("utf-8")) <= limit
    assert text.startswith("Chatty")


def test_numbers_of_any_size_are_bounded() -> None:
    """Integers keep 64 bits as numbers and 4,000 bits as digits, whatever the interpreter's own limit is."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert snapshot(2**3999) == "<int, 4000 bits>"
        assert snapshot([2**200_000]) == ["<int, 200001 bits>"]
    finally:
        sys.set_int_max_str_digits(before)
    assert math.isclose(snapshot([1e308])[0], 1e308)
