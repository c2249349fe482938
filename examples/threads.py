"""Threads do not inherit the current conversation; `propagate(fn)` carries it into them.

Two conversations are open in two threads at once, and each hands its lookups to the same pool of workers.

Run:    python examples/threads.py
Prints: the actions of each conversation; each has its own three, although the workers were shared.
Leaves: the conversations "threads-a" and "threads-b" in .agentsight/ of the working directory. Running it again
        continues them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from agentsight_auto import agentsight_api, conversation, propagate, track_action


@track_action
def check_stock(shelf: str, item: str) -> int:
    return len(shelf) * len(item)


def handle(chat_id: str, shelf: str, workers: ThreadPoolExecutor) -> None:
    with conversation(chat_id, source="web") as chat:
        chat.track_human_message(f"What is left on shelf {shelf}?")
        items = ["tent", "lamp", "rope"]
        left = list(workers.map(propagate(check_stock), [shelf] * len(items), items))
        chat.track_agent_message(f"{sum(left)} pieces.")


def actions_of(chat_id: str) -> list[str]:
    messages = agentsight_api.fetch_conversation(chat_id)["messages"]
    calls = [log["tools_used"]["parameters"] for message in messages for log in message["action_logs"]]
    return [f"{call['shelf']}/{call['item']}" for call in calls]


if __name__ == "__main__":
    with ThreadPoolExecutor(4) as workers, ThreadPoolExecutor(2) as handlers:
        list(handlers.map(handle, ["threads-a", "threads-b"], ["A", "B"], [workers, workers]))
    for chat_id in ("threads-a", "threads-b"):
        print(chat_id, *actions_of(chat_id)[-3:])
