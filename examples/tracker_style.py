"""The documented client style: bind a conversation, call the tracker, send.

Code that was written for the `agentsight` package looks like this; only its import line changes.

Run:    python examples/tracker_style.py
Prints: what waits before sending, and the result of send_tracked_data(): one item for each thing tracked.
Leaves: the conversation "ticket-4711" in .agentsight/ of the working directory. Running it again continues it.
"""

from __future__ import annotations

from agentsight_auto import conversation_manager, conversation_tracker


def main() -> None:
    conversation_tracker.get_or_create_conversation(
        conversation_id="ticket-4711",
        customer_id="customer-12",
        device="desktop",
        source="email",
        language="en",
        metadata={"plan": "pro"},
    )
    conversation_tracker.track_human_message("My lamp does not charge any more.")
    conversation_tracker.track_action(
        "find_order", duration_ms=120, tools_used={"order_id": "A-99"}, response={"item": "head lamp"}
    )
    conversation_tracker.track_agent_message("I'm sorry. Would you like a new one or your money back?")
    conversation_tracker.track_button("choose_remedy", "A new one", "replacement")
    conversation_tracker.track_token_usage(prompt_tokens=210, completion_tokens=24)

    waiting = conversation_tracker.get_tracked_data_summary()
    print("waiting:", waiting["summary"]["total"], "of", waiting["conversation_id"])

    result = conversation_tracker.send_tracked_data()
    for item in result["items"]:
        print(f"{item['index']} {item['type']:<12} {'sent' if item['success'] else item['error']}")
    print("summary:", result["summary"])

    feedback = conversation_manager.submit_feedback("ticket-4711", "positive", comment="That was quick!")
    print("feedback:", feedback["sentiment"])


if __name__ == "__main__":
    main()
