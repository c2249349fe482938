"""The floor: the least that records calls and turns at all. Appends lines to a file; delivers and promises nothing.

A wrapt proxy, a context variable, two clock readings, a counter for ids, one encoding; a block writes its lines with
one system call.
"""

from __future__ import annotations

import inspect
import itertools
import os
import tempfile
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter_ns
from typing import Any
from zlib import crc32

import msgspec
import wrapt

_current: ContextVar[Any] = ContextVar("current", default=None)
_encode = msgspec.json.Encoder().encode
_count = itertools.count(1).__next__
_fd = -1


class Block:
    """One conversation: a buffer of lines."""

    def __init__(self, conversation_id: str) -> None:
        self.conversation_id = conversation_id
        self.lines: list[bytes] = []

    def __enter__(self) -> Block:  # noqa: PYI034 - as short as can be
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
        os.write(_fd, b"".join([b"%08x %d %b\n" % (crc32(line), len(line), line) for line in self.lines]))

    def say(self, kind: str, **fields: Any) -> None:
        self.lines.append(
            _encode(
                {
                    "kind": kind,
                    "id": _count(),
                    "conversation_id": self.conversation_id,
                    "at": perf_counter_ns(),
                    **fields,
                }
            )
        )


class Tracked(wrapt.CallableObjectProxy):
    """A recorded function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        block = _current.get()
        started_ns = perf_counter_ns()
        result = self.__wrapped__(*args, **kwargs)
        ended_ns = perf_counter_ns()
        block.lines.append(
            _encode(
                {
                    "kind": "action",
                    "id": _count(),
                    "conversation_id": block.conversation_id,
                    "at": started_ns,
                    "name": self._self_name,
                    "duration": ended_ns - started_ns,
                    "parameters": dict(zip(self._self_parameters, args)),  # noqa: B905 - a keyword costs
                    "response": result,
                }
            )
        )
        return result


def tracked(function: Any) -> Any:
    if inspect.iscoroutinefunction(function):
        return function  # the floor is shown for functions
    proxy = Tracked(function)
    proxy._self_name = function.__name__
    proxy._self_parameters = tuple(inspect.signature(function).parameters)
    return proxy


conversation = Block


def start(address: str) -> None:
    global _fd
    del address
    _fd, path = tempfile.mkstemp(prefix="agentsight-benchmark-")
    Path(path).unlink()


def turn(call: Any, items: list[str]) -> None:
    with Block("turn") as block:
        block.say("conversation", customer_id="customer-1", source="web")
        block.say("message", sender="end_user", content="Where is my order A-17?")
        for item in items:
            call(item)
        block.say("message", sender="agent", content="On its way.")
        block.say("token_usage", prompt_tokens=200, completion_tokens=20)
        block.say("conversation_end")


def flush() -> None:
    """Deliver nothing."""
