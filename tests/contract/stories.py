"""What the documented methods are called with: each story returns everything that it was answered."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from agentsight_auto.enums import AttachmentMode, Environment, Sender, Sentiment
from agentsight_auto.exceptions import AgentSightException

from .places import Clients, comparable

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def tell(clients: Clients) -> None:
    """Record three conversations with everything in them, and deliver them."""
    tracker = clients.tracker
    tracker.get_or_create_conversation(
        "shop-1",
        customer_id="mia",
        customer_ip_address="203.0.113.7",
        device="mobile",
        source="whatsapp",
        language="en",
        name="Where is it?",
        environment=Environment.PRODUCTION,
        metadata={"plan": "gold", "address": {"city": "Vienna"}, "visits": 3},
    )
    tracker.track_human_message("Where is my 100% order_1?", metadata={"mood": "calm"})
    tracker.track_action(
        "find_order",
        started_at="2026-01-01T00:00:00Z",
        duration_ms=150.5,
        tools_used={"function": "find_order", "parameters": {"order": 1}},
        response={"status": "sent"},
        metadata={"attempt": 1},
    )
    tracker.track_agent_message("It is on its way. \U0001f69a", attachments=[_base64("map.png", PNG)])
    tracker.track_button("confirm", "Yes", "yes", metadata={"row": 1})
    bill = {"filename": "bill.txt", "data": b"12 EUR"}
    tracker.track_attachments([bill], Sender.AGENT, mode=AttachmentMode.FORM_DATA)
    tracker.track_token_usage(10, 5, embedding_tokens=2)
    tracker.track_token_usage(prompt_tokens=1)
    tracker.send_tracked_data()
    clients.manager.submit_feedback("shop-1", Sentiment.POSITIVE, "Thanks!", {"stars": 5})

    tracker.get_or_create_conversation("shop-2", customer_id="Mia Novak", device="desktop", language="de")
    tracker.track_question("Wo ist es?")
    tracker.track_answer("Unterwegs.")
    tracker.track_action("open_ticket", error_msg="no such queue")
    tracker.send_tracked_data()
    clients.manager.submit_feedback("shop-2", "negative")

    tracker.initialize_conversation("shop-3", name="visit", environment="staging-2")


def _base64(name: str, content: bytes) -> dict[str, str]:
    return {"filename": name, "mime_type": "image/png", "data": base64.b64encode(content).decode()}


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the documented exception as values."""
    try:
        return call()
    except AgentSightException as error:
        return {"raised": type(error).__name__, "status_code": getattr(error, "status_code", None)}


def ids(page: Mapping[str, Any]) -> list[str]:
    """Return the text ids of a page."""
    return [row["conversation_id"] for row in page["results"]]


def tracking(clients: Clients) -> Any:
    """Everything that can be tracked, with what sending it answers and what waits before."""
    tracker = clients.tracker
    answers: list[Any] = []
    tracker.get_or_create_conversation("c-1", customer_id="mia")
    tracker.track_human_message("one", attachments=[_base64("a.png", PNG)], attachment_mode="base64")
    tracker.track_question("two")
    tracker.track_agent_message("three", [{"filename": "b.txt", "data": io.BytesIO(b"text")}], AttachmentMode.FORM_DATA)
    tracker.track_answer("four", metadata={"n": 4})
    tracker.track_action("search", duration_ms=3)
    tracker.track_button("e", "l", "v")
    tracker.track_attachments([_base64("c.png", PNG)], sender="end_user", metadata={"kind": "photo"})
    tracker.track_token_usage(1, 2, 3, 4)
    answers += [tracker.get_token_usage(), tracker.get_tracked_data_summary(), _sent(tracker.send_tracked_data())]
    answers += [tracker.get_token_usage(), outcome(tracker.send_tracked_data)]
    tracker.configure(conversation_id="c-2")
    tracker.track_human_message("in another one")
    answers.append(_sent(tracker.send_tracked_data()))
    return [*answers, clients.api.fetch_conversation("c-1"), clients.api.fetch_conversation("c-2")]


def _sent(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result of sending; of each item's response only what every place tells: the conversation."""
    for item in result["items"]:
        answered = item.pop("response")
        item["names its conversation"] = bool(answered.get("conversation") or answered.get("id"))
    return result


def shapes(clients: Clients) -> Any:
    """Whole conversations: one by one, by either id, and with their attachments."""
    tell(clients)
    api = clients.api
    wholes = [api.fetch_conversation(text_id) for text_id in ("shop-1", "shop-2", "shop-3")]
    by_integer = [api.fetch_conversation(whole["id"]) for whole in wholes]
    assert comparable(by_integer) == comparable(wholes)
    attachments = [api.fetch_conversation_attachments("shop-1"), api.fetch_conversation_attachments(wholes[1]["id"])]
    return [*wholes, *attachments]


FILTERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "conversation_id": {"conversation_id": "shop-1"},
    "conversation_id in part": {"conversation_id": "shop"},
    "customer_id": {"customer_id": "mia"},
    "customer_id in part": {"customer_id__icontains": "MIA"},
    "name in part": {"name": "WHERE"},
    "device": {"device": "mobile"},
    "source": {"source": "whatsapp"},
    "language": {"language": "en"},
    "language in part": {"language": "e"},
    "customer_ip_address": {"customer_ip_address": "203.0.113.7"},
    "environment": {"environment": "Prod"},
    "another environment": {"env": "staging-2"},
    "is_marked": {"is_marked": False},
    "started after": {"started_at_after": datetime(2026, 1, 1, tzinfo=timezone.utc)},
    "started after text": {"started_at_after": "2026-01-01T00:00:00.005Z"},
    "started before": {"started_at_before": "2025-12-31T23:59:59+00:00"},
    "has_messages": {"has_messages": True},
    "has no messages": {"has_messages": False},
    "has_action": {"has_action": True},
    "message_contains": {"message_contains": "ON ITS WAY"},
    "percent": {"message_contains": "100% order_1"},
    "a wildcard that is none": {"message_contains": "100%_order"},
    "action_name": {"action_name": "Order"},
    "has_feedback": {"has_feedback": True},
    "feedback_sentiment": {"feedback_sentiment": "positive"},
    "feedback_source": {"feedback_source": "customer"},
    "metadata": {"metadata": "plan:gold,address.city:Vienna"},
    "metadata number": {"metadata": "visits:3"},
    "metadata key": {"metadata_key": "address.city"},
    "metadata value": {"metadata_key": "plan", "metadata_value": "gold"},
    "search": {"search": "unterwegs"},
    "ordering": {"ordering": "customer_id"},
    "ordering down": {"ordering": "-language"},
    "page": {"page": 2, "page_size": 2},
    "page beyond": {"page": 3, "page_size": 2},
    "page 0": {"page": 0},
    "page size 0": {"page_size": 0},
    "page size 1000": {"page_size": 1000},
    "no count": {"count": False, "page_size": 1},
    "bad flag": {"is_marked": "perhaps"},
    "bad moment": {"started_at_after": "yesterday"},
    "bad sentiment": {"feedback_sentiment": "great"},
    "bad ordering": {"ordering": "shoe_size"},
    "bad cursor": {"cursor": "not one of ours"},
    "strange text": {"name": "%_\\'\";--\u0000\ud800"},
}


def listing(clients: Clients) -> Any:
    """Every documented filter, and pages."""
    tell(clients)
    return {
        name: outcome(functools.partial(clients.api.fetch_conversations, **arguments))
        for name, arguments in FILTERS.items()
    }


def paging(clients: Clients) -> Any:
    """From page to page by cursor, forwards and back, and through the iterator."""
    tell(clients)
    api = clients.api
    walked = []
    page = api.fetch_conversations(page_size=1)
    while True:
        walked.append(page)
        if page["next"] is None:
            break
        page = api.fetch_conversations(page_size=1, cursor=page["next"])
    back = api.fetch_conversations(page_size=1, cursor=walked[-1]["previous"])
    assert ids(back) == ids(walked[-2])
    every = [row["conversation_id"] for row in api.iter_conversations(page_size=1)]
    return [[ids(page) for page in walked], every, list(api.iter_conversations(device="mobile"))]


def editing(clients: Clients) -> Any:
    """Every edit, by either id, with what it leaves."""
    tell(clients)
    manager, api = clients.manager, clients.api
    pk = api.fetch_conversation("shop-1")["id"]
    answers = [
        manager.rename_conversation("shop-1", "  Renamed \u00fc "),
        manager.mark_conversation(pk, True),
        manager.update_conversation("shop-1", language="fr", device="tablet", metadata={"new": [1, None, {"a": 1.5}]}),
        manager.update_conversation(pk, name="Again", is_marked=False, customer_id="zoe"),
        manager.submit_feedback(pk, "neutral", comment="so \u2026 so"),
        api.fetch_conversation("shop-1"),
        api.fetch_conversations(metadata="plan:gold"),
        manager.delete_conversation("shop-1"),
        manager.delete_conversation(pk),
        api.fetch_conversation("shop-1"),
        ids(api.fetch_conversations()),
        ids(api.fetch_conversations(include_deleted=True)),
    ]
    clients.tracker.get_or_create_conversation("shop-1")
    clients.tracker.track_human_message("still there?")
    clients.tracker.send_tracked_data()
    return [*answers, ids(api.fetch_conversations()), api.fetch_conversation("shop-1")]


def refusing(clients: Clients) -> Any:
    """What cannot be done: unknown ids, bad values, nothing to do."""
    tell(clients)
    manager, api = clients.manager, clients.api
    calls: dict[str, Callable[[], Any]] = {
        "fetch unknown text": lambda: api.fetch_conversation("nobody"),
        "fetch unknown integer": lambda: api.fetch_conversation(10**9),
        "fetch negative": lambda: api.fetch_conversation(-1),
        "fetch zero": lambda: api.fetch_conversation(0),
        "fetch huge": lambda: api.fetch_conversation(2**63),
        "fetch digits": lambda: api.fetch_conversation("1"),
        "fetch empty": lambda: api.fetch_conversation(""),
        "fetch path": lambda: api.fetch_conversation("../../lookup/?x=1#y"),
        "fetch surrogate": lambda: api.fetch_conversation("\ud800"),
        "attachments unknown": lambda: api.fetch_conversation_attachments("nobody"),
        "feedback unknown": lambda: manager.submit_feedback("nobody", "positive"),
        "feedback unknown integer": lambda: manager.submit_feedback(10**9, "positive"),
        "feedback word": lambda: manager.submit_feedback("shop-1", "great"),
        "feedback comment": lambda: manager.submit_feedback("shop-1", "positive", "x" * 5001),
        "feedback metadata": lambda: manager.submit_feedback("shop-1", "positive", None, {"a": {1, 2}}),
        "rename unknown": lambda: manager.rename_conversation("nobody", "x"),
        "rename blank": lambda: manager.rename_conversation("shop-1", "  "),
        "rename long": lambda: manager.rename_conversation("shop-1", "x" * 256),
        "mark unknown": lambda: manager.mark_conversation(10**9, True),
        "mark word": lambda: manager.mark_conversation("shop-1", "perhaps"),
        "update nothing": lambda: manager.update_conversation("shop-1"),
        "update unknown": lambda: manager.update_conversation("nobody", name="x"),
        "delete unknown": lambda: manager.delete_conversation("nobody"),
    }
    return {name: outcome(call) for name, call in calls.items()}


def continuing(clients: Clients) -> Any:
    """Get-or-create fills what is unknown and overrides nothing; a visit becomes a use."""
    tracker, api = clients.tracker, clients.api
    tracker.initialize_conversation("c-1", customer_id="mia", metadata={"a": 1})
    visited = api.fetch_conversation("c-1")
    tracker.get_or_create_conversation("c-1", customer_id="zoe", language="en", metadata={"a": 2, "b": 3})
    tracker.send_tracked_data()
    return [visited, api.fetch_conversation("c-1")]


def erasing(clients: Clients) -> Any:
    """What is erased is gone; a receipt tells how much."""
    tracker, api, manager = clients.tracker, clients.api, clients.manager
    for name in ("e-1", "e-2", "e-3"):
        tracker.get_or_create_conversation(name, customer_id="ben" if name == "e-3" else "mia")
        tracker.track_human_message(f"I am {name}")
        tracker.send_tracked_data()
    counts = ("subject", "conversations", "messages", "attachments")
    erased = [
        {name: receipt[name] for name in counts}
        for receipt in (manager.erase_conversation("e-1"), manager.erase_customer("mia"), manager.erase_customer("zoe"))
    ]
    refused = {
        "erase unknown integer": outcome(lambda: manager.erase_conversation(10**9)),
        "erase empty": outcome(lambda: manager.erase_conversation("")),
        "erase nobody": outcome(lambda: manager.erase_customer("")),
        "fetch erased": outcome(lambda: api.fetch_conversation("e-2")),
    }
    return [erased, [row["conversation_id"] for row in api.fetch_conversations()["results"]], refused]


STORIES: dict[str, Callable[[Clients], Any]] = {
    story.__name__: story for story in (tracking, shapes, listing, paging, editing, refusing, continuing, erasing)
}
