"""Read by type checkers, not run: a decorated callable has the type of what it wraps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

from typing_extensions import assert_type

from agentsight_auto import conversation, propagate, track_action


@track_action
def add(left: int, right: int = 2) -> int:
    return left + right


@track_action("named", capture_args=False)
async def later(text: str) -> str:
    return text


@conversation(id_from="chat")
def handle(chat: str) -> list[str]:
    return [chat]


@track_action
def stream(last: int) -> Generator[int, str, bool]:
    yield last
    return True


@track_action
async def stream_later(last: int) -> AsyncGenerator[int, None]:
    yield last


class Shop:
    @track_action
    def find(self, order_id: str) -> bytes:
        return order_id.encode()


async def use() -> None:
    assert_type(add(1), int)
    assert_type(await later("x"), str)
    assert_type(handle("x"), list[str])
    assert_type(Shop().find("x"), bytes)
    assert_type(propagate(add)(1, right=3), int)
    assert_type(stream(1), Generator[int, str, bool])
    assert_type(stream_later(1), AsyncGenerator[int, None])
    add("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with conversation("c") as chat:
        chat.track_human_message("x")
    with track_action("block") as action:
        action.response = {"a": 1}
