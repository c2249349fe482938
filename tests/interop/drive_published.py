"""Drive the published client; runs in its environment: ``python drive_published.py SCENARIO JSON`` prints JSON.

Knows nothing of the library under test: only the published package, `requests`, which that brings, and the standard
library.
"""

from __future__ import annotations

import base64
import io
import json
import sys

import requests
from agentsight import (
    AgentSightAPI,
    ConversationManager,
    ConversationTracker,
    agentsight_api,
    conversation_manager,
    conversation_tracker,
)
from agentsight.enums import AttachmentMode, Sender, Sentiment
from agentsight.helpers import generate_conversation_id

MANY = {
    "c-en": {"customer_id": "customer-7", "device": "mobile", "language": "en", "name": "Where is my Order",
             "customer_ip_address": "203.0.113.7", "metadata": {"plan": "gold", "cart": {"items": 3}}},
    "c-de": {"customer_id": "customer-70", "device": "desktop", "language": "de", "name": "Rückgabe",
             "customer_ip_address": "203.0.113.8", "metadata": {"plan": "free"}},
    "c-empty": {"customer_id": "other", "device": "tablet", "language": "en-GB", "name": "100%_sure"},
}  # fmt: skip


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def remember(conversation_id: str, **fields: object) -> None:
    conversation_tracker.get_or_create_conversation(conversation_id=conversation_id, **fields)


def whole_conversation(conversation_id: str) -> dict:
    """Everything that the documentation shows of the tracker, in one conversation and one send."""
    remember(
        conversation_id, customer_id="customer-7", customer_ip_address="203.0.113.7", device="mobile",
        source="whatsapp", language="en", name="Where is my order?", environment="production",
        metadata={"plan": "gold", "cart": {"items": 3}},
    )  # fmt: skip
    track = conversation_tracker
    track.track_human_message("Where is my order 4711?", metadata={"intent": "order", "deep": {"list": [1, "ü"]}})
    track.track_action(
        "find_order", started_at="2026-01-02T03:04:05.000006+00:00", ended_at="2026-01-02T03:04:06.500006+00:00",
        duration_ms=1500, tools_used={"function": "find_order", "parameters": {"id": 4711}}, response="shipped",
        metadata={"attempt": 1},
    )  # fmt: skip
    track.track_action("notify")
    track.track_action("refund", duration_ms=20, error_msg="card declined")
    track.track_agent_message("It was shipped.", metadata={"model": "small"})
    track.track_button("order_help", "Talk to a human", "human", metadata={"place": "footer"})
    track.track_token_usage(prompt_tokens=10, completion_tokens=5, total_tokens=15, embedding_tokens=2)
    counted = track.get_token_usage()
    waiting = track.get_tracked_data_summary()
    sent = track.send_tracked_data()
    return {"counted": counted, "waiting": waiting["summary"], "sent": sent, "after": track.get_tracked_data_summary()}


def attachments(conversation_id: str) -> dict:
    """Attachments in both modes, alone and on messages of both sides."""
    remember(conversation_id)
    track = conversation_tracker
    picture = {"filename": "photo.png", "mime_type": "image/png", "data": encoded(b"\x89PNG\r\n\x1a\n alone")}
    note = {"filename": "note.txt", "mime_type": "text/plain", "data": encoded("größe".encode())}
    track.track_attachments([picture, note], metadata={"kind": "alone"})
    track.track_attachments(
        [{"filename": "report.pdf", "data": b"%PDF-1.7 alone"}, {"data": io.BytesIO(b"ID3 without a name")}],
        sender=Sender.AGENT.value, metadata={"kind": "form"}, mode=AttachmentMode.FORM_DATA,
    )  # fmt: skip
    on_message = {"filename": "of-user.txt", "mime_type": "text/plain", "data": encoded(b"of the user")}
    track.track_human_message("base64 of the user", attachments=[on_message])
    track.track_human_message(
        "form of the user", attachments=[{"filename": "of-user.bin", "data": b"\x00\x01"}], attachment_mode="form_data"
    )
    on_answer = {"filename": "of-agent.txt", "mime_type": "text/plain", "data": encoded(b"of the agent")}
    track.track_agent_message("base64 of the agent", attachments=[on_answer], metadata={"n": 1})
    track.track_agent_message(
        "form of the agent",
        attachments=[{"filename": "of-agent.csv", "data": b"a,b\n", "mime_type": "text/csv"}],
        attachment_mode="form-data",
    )
    return conversation_tracker.send_tracked_data()


def later_sends(conversation_id: str) -> list:
    """A first send with the conversation, and later ones that do not say it again."""
    track = conversation_tracker
    remember(conversation_id)
    track.track_human_message("first")
    sends = [track.send_tracked_data()]
    track.track_human_message("second")
    track.track_action("look_up", duration_ms=3)
    track.track_button("event", "Label", "value")
    on_message = {"filename": "late.txt", "mime_type": "text/plain", "data": encoded(b"late")}
    track.track_agent_message("with a file", attachments=[on_message])
    track.track_agent_message(
        "with a form", attachments=[{"filename": "form.txt", "data": b"form"}], attachment_mode="form_data"
    )
    track.track_attachments([{**on_message, "filename": "alone.txt"}])
    sends.append(track.send_tracked_data())
    track.track_attachments([{"filename": "nowhere.txt", "data": b"nowhere"}], mode="form_data")
    track.track_human_message("after it")
    sends.append(track.send_tracked_data())
    return sends


def tokens(conversation_id: str, sends: int) -> list:
    """Several sends of one tracker, whose counters are never set back."""
    remember(conversation_id)
    counted = []
    for number in range(sends):
        conversation_tracker.track_human_message(f"turn {number}")
        conversation_tracker.track_token_usage(10, 5, 15, 1)
        counted.append(conversation_tracker.get_token_usage())
        conversation_tracker.send_tracked_data()
    conversation_tracker.track_human_message("a turn without a model")
    conversation_tracker.send_tracked_data()
    return counted


def visit(conversation_id: str, engage: bool) -> None:
    conversation_tracker.initialize_conversation(
        conversation_id=conversation_id, customer_id="visitor", customer_ip_address="203.0.113.9", device="desktop",
        source="web", language="hr", name="Widget", environment="production", metadata={"page": "/pricing"},
    )  # fmt: skip
    if engage:
        remember(conversation_id, customer_id="somebody else", name="Another name", metadata={"page": "/", "new": 1})
        conversation_tracker.track_human_message("hello")
        conversation_tracker.send_tracked_data()


def many() -> None:
    """Conversations to filter, in the order of their names."""
    for conversation_id, fields in MANY.items():
        remember(conversation_id, environment="production", **fields)
        if conversation_id != "c-empty":
            conversation_tracker.track_human_message(f"I have a QUESTION about {conversation_id}")
        if conversation_id == "c-en":
            conversation_tracker.track_action("find_order", duration_ms=5)
        conversation_tracker.send_tracked_data()
    conversation_manager.submit_feedback("c-en", Sentiment.POSITIVE, comment="fast")
    conversation_manager.submit_feedback("c-de", "negative")
    conversation_manager.mark_conversation("c-de", True)


def filtered(filters: list) -> list:
    """What each set of filters finds: count and text ids."""
    found = []
    for given in filters:
        page = agentsight_api.fetch_conversations(**given)
        found.append([page["count"], [row["conversation_id"] for row in page["results"]]])
    return found


def fetch(conversation_id: str) -> dict:
    """A conversation and its attachments, by both ids, and the bytes behind each link."""
    by_text = agentsight_api.fetch_conversation(conversation_id)
    listed = agentsight_api.fetch_conversation_attachments(conversation_id)
    files = [attachment for message in listed["messages"] for attachment in message["attachments"]]
    return {
        "by text": by_text,
        "by number": agentsight_api.fetch_conversation(by_text["id"]),
        "attachments": listed,
        "attachments by number": agentsight_api.fetch_conversation_attachments(by_text["id"]),
        "bytes": {file["filename"]: requests.get(file["file_url"], timeout=10).content.hex() for file in files},
    }


def manage(conversation_id: str) -> dict:
    """Every edit of the manager, by text id and by number."""
    manager = conversation_manager
    number = agentsight_api.fetch_conversation(conversation_id)["id"]
    return {
        "number": number,
        "feedback": manager.submit_feedback(conversation_id, "positive", comment="thanks", metadata={"stars": 5}),
        "feedback by number": manager.submit_feedback(number, Sentiment.NEGATIVE),
        "rename": manager.rename_conversation(conversation_id, "  A new name  "),
        "rename by number": manager.rename_conversation(number, "Another name"),
        "mark": manager.mark_conversation(conversation_id, True),
        "unmark": manager.mark_conversation(number, False),
        "update": manager.update_conversation(
            conversation_id, name="Final", is_marked=True, customer_id="customer-8", device="tablet", language="de",
            metadata={"only": "this"},
        ),
        "update by number": manager.update_conversation(number, language="fr"),
    }  # fmt: skip


def delete(conversation_id: str) -> dict:
    return conversation_manager.delete_conversation(conversation_id)


def track_only(conversation_id: str) -> dict:
    """One send of everything that is a write, with whatever key there is."""
    remember(conversation_id)
    conversation_tracker.track_human_message("hello")
    conversation_tracker.track_action("act")
    conversation_tracker.track_button("event", "Label", "value")
    picture = {"filename": "photo.png", "mime_type": "image/png", "data": encoded(b"bytes")}
    conversation_tracker.track_attachments([picture])
    conversation_tracker.track_attachments([{"filename": "form.txt", "data": b"bytes"}], mode="form_data")
    return conversation_tracker.send_tracked_data()


CALLS = {
    "fetch_conversations": lambda key: agentsight_api.fetch_conversations(),
    "a page past the end": lambda key: agentsight_api.fetch_conversations(page=99),
    "an unreadable date": lambda key: agentsight_api.fetch_conversations(started_at_after="yesterday"),
    "fetch_conversation": lambda key: agentsight_api.fetch_conversation(key),
    "fetch_conversation_attachments": lambda key: agentsight_api.fetch_conversation_attachments(key),
    "submit_feedback": lambda key: conversation_manager.submit_feedback(key, "positive"),
    "rename_conversation": lambda key: conversation_manager.rename_conversation(key, "name"),
    "mark_conversation": lambda key: conversation_manager.mark_conversation(key, True),
    "update_conversation": lambda key: conversation_manager.update_conversation(key, language="en"),
    "delete_conversation": lambda key: conversation_manager.delete_conversation(key),
    "initialize_conversation": lambda key: conversation_tracker.initialize_conversation(str(key)),
}


def outcomes(conversation_id: object, calls: list) -> dict:
    """What each call raises: kind, status and text; null where it answers."""
    found: dict = {}
    for name in calls:
        try:
            CALLS[name](conversation_id)
            found[name] = None
        except Exception as error:  # noqa: BLE001 - which one it is is the answer
            found[name] = [type(error).__name__, getattr(error, "status_code", None), str(error)]
    return found


def classes(api_key: str, endpoint: str) -> dict:
    """The three classes are the ready-made clients; `configure` gives each another key."""
    for client in (conversation_tracker, agentsight_api, conversation_manager):
        client.configure(api_key=api_key, endpoint=endpoint)
    conversation_id = generate_conversation_id()
    tracker = ConversationTracker()
    tracker.configure(conversation_id=conversation_id)
    tracker.track_human_message("with another key")
    sent = tracker.send_tracked_data()
    renamed = ConversationManager().rename_conversation(conversation_id, "by another key")
    listed = AgentSightAPI().fetch_conversations()
    return {"sent": sent, "renamed": renamed, "listed": [row["conversation_id"] for row in listed["results"]]}


SCENARIOS = (
    whole_conversation, attachments, later_sends, tokens, visit, many, filtered, fetch, manage, delete, track_only,
    outcomes, classes,
)  # fmt: skip


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr
    scenario = {function.__name__: function for function in SCENARIOS}[sys.argv[1]]
    json.dump(scenario(**json.loads(sys.argv[2])), answers)
