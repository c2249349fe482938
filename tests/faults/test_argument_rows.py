"""C21 and C22: arguments that fight back, that are huge, or that change while nobody looks."""

from __future__ import annotations

import dataclasses
import decimal
import importlib
import importlib.util
import io
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pydantic

from agentsight_auto import conversation, events, track_action
from agentsight_auto.testing import Recording

from .table import Row

called: list[str] = []


class Raises(Exception):
    pass


class ReprRaises:
    def __repr__(self) -> str:
        called.append("repr")
        raise Raises

    __str__ = __repr__


class ReprExits:
    def __repr__(self) -> str:
        called.append("repr")
        raise SystemExit(3)


class ReprSleeps:
    def __repr__(self) -> str:
        called.append("repr")
        time.sleep(3)
        return "late"


class ReprLies:
    def __repr__(self) -> int:  # type: ignore[override]
        called.append("repr")
        return 7


class AttributesRaise:
    def __getattribute__(self, name: str) -> Any:
        called.append(f"getattribute {name}")
        raise Raises(name)


class Property:
    @property
    def value(self) -> int:
        called.append("property")
        return 1


class EqualityRaises:
    def __eq__(self, other: object) -> bool:
        called.append("eq")
        raise Raises

    def __hash__(self) -> int:
        called.append("hash")
        raise Raises

    def __bool__(self) -> bool:
        called.append("bool")
        raise Raises

    def __len__(self) -> int:
        called.append("len")
        raise Raises


class Capturing(Mapping[str, int]):
    """Records while it is read."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        called.append("iter")
        with conversation("from inside") as chat:
            chat.track_human_message("re-entered")
        yield "a"


class StrangeText(str):
    __slots__ = ()

    def __str__(self) -> str:
        called.append("str")
        raise Raises


class Model(pydantic.BaseModel):
    a: int = 1
    secret: object = None


@dataclasses.dataclass
class Data:
    a: object


def cyclic() -> list[Any]:
    inner: dict[str, Any] = {}
    inner["again"] = found = [inner]
    return found


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def numbers() -> Iterator[int]:
    called.append("generator")
    yield 1


HOSTILE: dict[str, Callable[[], Any]] = {
    "cyclic": cyclic,
    "3,000 deep": lambda: deep(3000),
    "lock": threading.Lock,
    "socket": socket.socket,
    "generator": numbers,
    "open file": lambda: io.BytesIO(b"x"),
    "lone surrogate": lambda: "a\ud800b",
    "NUL": lambda: "a\0b",
    "tuple keys": lambda: {(1, 2): 3, None: 4, 1.5: 5},
    "NaN and Inf": lambda: [math.nan, math.inf, -math.inf],
    "Decimal": lambda: decimal.Decimal("sNaN"),
    "bytes": lambda: [b"\xff\xfe", bytearray(b"x"), memoryview(b"yz")],
    "int of 10,000 digits": lambda: 10**10_000,
    "repr raises": ReprRaises,
    "repr exits": ReprExits,
    "repr sleeps 3 s": ReprSleeps,
    "repr returns an int": ReprLies,
    "getattribute raises": AttributesRaise,
    "property": Property,
    "eq, hash, bool and len raise": EqualityRaises,
    "mapping that records": Capturing,
    "str subclass": lambda: StrangeText("text"),
    "pydantic": lambda: Model(secret=ReprRaises()),
    "dataclass": lambda: Data(ReprRaises()),
    "class": lambda: Raises,
    "module": lambda: json,
    "exception": lambda: Raises(ReprRaises()),
}


def arrays() -> dict[str, Any]:
    """Return arrays of numbers, of objects that fight back, of records and of one element."""
    records = np.zeros(1000, dtype=[("a", "i8"), ("b", "U10")])
    fighting = np.empty(3, dtype=object)
    fighting[:] = [ReprRaises(), ReprSleeps(), ReprExits()]
    return {
        "numpy array of 4 million": np.zeros((2000, 2000)),
        "numpy array of objects": fighting,
        "numpy records": records,
        "numpy scalars": [np.float64("nan"), np.int64(7), np.datetime64("2030-01-02"), np.bool_(1), np.str_("text")],
    }


def frames(row: Row) -> dict[str, Any]:
    """Return tables of pandas, where it is installed."""
    if importlib.util.find_spec("pandas") is None:
        row.provoke("no DataFrame: pandas is not installed")
        return {}
    pandas = importlib.import_module("pandas")
    table = pandas.DataFrame({"a": range(100_000), "b": "text"})
    return {
        "DataFrame of 100,000 rows": table,
        "Series": table["a"],
        "DataFrame of objects": pandas.DataFrame({"a": [ReprRaises(), ReprSleeps()]}),
    }


@track_action
def echo(value: Any, *, password: Any = None) -> Any:
    return value


def bare(value: Any, *, password: Any = None) -> Any:
    return value


def added_ms(value: Any, rounds: int) -> float:
    """Return by how many milliseconds recording makes the call longer, at best: others run beside us."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        echo(value, password=value)
        middle = time.perf_counter()
        bare(value, password=value)
        times.append(1000 * (middle - began - (time.perf_counter() - middle)))
    return min(times)


def test_c21_hostile_arguments(row: Row, recorded: Recording) -> None:
    """The call's result is the same object, nothing of the user's is called, and every event is sound JSON."""
    values = {name: make() for name, make in HOSTILE.items()}
    values |= arrays() | frames(row)
    called.clear()
    slowest = ("", 0.0)
    same = 0
    for name, value in values.items():
        with conversation("chat"):
            same += echo(value) is value
            slowest = max(slowest, (name, added_ms(value, 3)), key=lambda pair: pair[1])
    ours = [name for name in called if name != "iter"]
    encoded = [msgspec.json.encode(event) for event in recorded.events]
    sound = sum(json.loads(line) is not None and b"\\ud8" not in line.lower() for line in encoded)
    row.provoke(f"{len(values)} hostile arguments: {', '.join(values)}")
    row.figure("same object returned", asked=str(len(values)), reached=same, holds=same == len(values))
    limit_ms = 20 if row.is_full else 500
    told = f"{slowest[1]:.2f} ms ({slowest[0]})"
    row.figure("added time", asked="≤ 20 ms", reached=told, holds=slowest[1] <= limit_ms)
    row.figure("sound JSON", asked="100 %", reached=f"{sound} of {len(encoded)}", holds=sound == len(encoded))
    row.figure("user's code called", asked="0", reached=sorted(set(ours)) or 0, holds=not ours)
    values["socket"].close()
    assert len(recorded.of(events.Action)) == 4 * len(values)


def test_c22_huge_and_changing_arguments(row: Row, recorded: Recording) -> None:
    """Whatever its size a value costs little, says what was cut, and is recorded as it was at the call."""
    huge: dict[str, Any] = {
        "50 MB of text": "x" * 50_000_000,
        "dict of a million": dict.fromkeys(range(1_000_000), 1),
        "100,000 dicts": [{"n": number} for number in range(100_000)],
    }
    slowest = ("", 0.0)
    for name, value in huge.items():
        with conversation("chat"):
            slowest = max(slowest, (name, added_ms(value, 5)), key=lambda pair: pair[1])
    lines = [msgspec.json.encode(event) for event in recorded.events]
    largest = max(map(len, lines))
    marked = [action for action in recorded.of(events.Action) if "truncated" in str(action.response)]

    @track_action
    def changes(value: list[int]) -> list[int]:
        value.append(99)
        return value

    with conversation("chat"):
        result = changes([1])
        result.append(100)
    last = recorded.of(events.Action)[-1]
    row.provoke(f"{', '.join(huge)}; the callee changes its argument, the caller the result")
    limit_ms = 20 if row.is_full else 500
    told = f"{slowest[1]:.2f} ms ({slowest[0]})"
    row.figure("on the caller", asked="≤ 20 ms", reached=told, holds=slowest[1] <= limit_ms)
    row.figure("largest event", asked="≤ 3 x 16 KiB", reached=f"{largest} bytes", holds=largest <= 50_000)
    row.figure("marked truncated", asked="15", reached=len(marked), holds=len(marked) == 15)
    at_entry = last.tools_used["parameters"]["value"]
    row.figure("argument as at the call", asked="[1]", reached=at_entry, holds=at_entry == [1])
    row.figure("result as at the return", asked="[1, 99]", reached=last.response, holds=last.response == [1, 99])
