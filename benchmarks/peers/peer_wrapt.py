"""The least that wraps a function: a wrapt wrapper that passes through, and records nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import wrapt


@wrapt.decorator
def tracked(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    return wrapped(*args, **kwargs)


def conversation(conversation_id: str) -> AbstractContextManager[None]:
    del conversation_id
    return nullcontext()


def start(address: str) -> None:
    del address


def turn(call: Any, items: list[str]) -> None:
    for item in items:
        call(item)


def flush() -> None:
    """Deliver nothing."""
