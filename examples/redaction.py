"""Keep personal data out of the record: ready patterns, a pattern of your own, and a processor that drops events.

Run:    python examples/redaction.py
Prints: what of a conversation is recorded, and how many events were dropped.
Leaves: the conversation "redaction-1" in .agentsight/ of the working directory. Running it again continues it.
"""

from __future__ import annotations

import re

from agentsight_auto import agentsight_api, configure, conversation, events, flush, track_action

WRITTEN = "I am ann@example.com, policy POL-4711, card 4111 1111 1111 1111. Call me: +49 176 1234567."


@track_action
def find_policy(number: str, api_key: str) -> dict[str, str]:
    """Look a policy up; the key is masked, because of its name."""
    return {"number": number, "holder": "ann@example.com"}


@track_action
def health_check() -> bool:
    """Nobody needs a record of this."""
    return True


def without_health_checks(event: events.AnyEvent) -> events.AnyEvent | None:
    """Drop the events of one action."""
    return None if isinstance(event, events.Action) and event.action_name == "health_check" else event


if __name__ == "__main__":
    configure(redact=["email", "phone", "card", re.compile(r"POL-\d+")], processors=[without_health_checks])
    with conversation("redaction-1") as chat:
        chat.track_human_message(WRITTEN)
        health_check()
        find_policy("POL-4711", api_key="k-123")
    for message in agentsight_api.fetch_conversation("redaction-1")["messages"]:
        print(message["content"])
        for log in message["action_logs"]:
            print(log["tools_used"]["parameters"], log["response"])
    print(flush().dropped)
