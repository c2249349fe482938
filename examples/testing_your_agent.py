"""Test what your agent does by what it records: `recording()` keeps everything in memory.

In pytest the fixture `agentsight_recording` does the same for a whole test.

Run:    python examples/testing_your_agent.py
Prints: "2 tests passed".
Leaves: nothing; no store is opened.
"""

from __future__ import annotations

from typing import Any

from agentsight_auto import conversation, track_action
from agentsight_auto.testing import recording


class UnknownOrder(Exception):
    """There is no such order."""


@track_action
def find_order(order_id: str) -> dict[str, Any]:
    if not order_id.startswith("A-"):
        raise UnknownOrder(order_id)
    return {"order_id": order_id, "status": "shipped"}


def handle(chat_id: str, text: str) -> str:
    with conversation(chat_id) as chat:
        chat.track_human_message(text)
        try:
            reply = f"It is {find_order(text.rsplit(maxsplit=1)[-1])['status']}."
        except UnknownOrder as error:
            reply = f"I do not know {error}."
        chat.track_agent_message(reply)
        return reply


def test_the_agent_looks_the_order_up() -> None:
    with recording() as recorded:
        handle("chat-1", "Where is A-17")
    assert recorded.action_names("chat-1") == ["find_order"]
    assert recorded.actions("chat-1")[0]["response"] == {"order_id": "A-17", "status": "shipped"}
    assert recorded.messages("chat-1") == [("end_user", "Where is A-17"), ("agent", "It is shipped.")]


def test_an_unknown_order_is_a_failed_action() -> None:
    with recording() as recorded:
        handle("chat-2", "Where is X-1")
    assert recorded.actions("chat-2")[0]["error_msg"] == "UnknownOrder: X-1"
    assert recorded.messages("chat-2")[-1] == ("agent", "I do not know X-1.")


if __name__ == "__main__":
    test_the_agent_looks_the_order_up()
    test_an_unknown_order_is_a_failed_action()
    print("2 tests passed")
