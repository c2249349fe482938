"""The whole idea in ten lines: a decorator on a tool, a block around a conversation, and the conversation read back.

Run:    python examples/quickstart.py
Prints: what was recorded of the conversation "chat-1", as JSON, the action of find_order() between the messages.
Leaves: the conversation in .agentsight/ of the working directory: `agentsight-auto show chat-1` prints it again.
"""

from __future__ import annotations

import json
from typing import Any

from agentsight_auto import agentsight_api, conversation, track_action


@track_action
def find_order(order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "status": "shipped", "days": 2}


def agent(text: str) -> str:
    order = find_order(text.rsplit(maxsplit=1)[-1].strip("?"))
    return f"Order {order['order_id']} is {order['status']} and arrives in {order['days']} days."


def handle(chat_id: str, customer: str, text: str) -> None:
    with conversation(chat_id, customer_id=customer, source="whatsapp", device="mobile") as chat:
        chat.track_human_message(text)
        reply = agent(text)  # find_order() runs somewhere inside
        chat.track_agent_message(reply)
    # the block has ended: the events are safe on disk and on their way


if __name__ == "__main__":
    handle("chat-1", "customer-7", "Where is my order A-17?")
    print(json.dumps(agentsight_api.fetch_conversation("chat-1"), indent=2, ensure_ascii=False))
