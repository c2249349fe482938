"""This library against a server that takes exactly the documented 0.0.44 contract: what arrives, in order, once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .documented_server import KEY, DocumentedServer, Refusal, check, documented_server
from .support import clean_environment

AGENT = """
    import json
    from agentsight_auto import conversation, conversation_manager, flush, track_action

    @track_action(tools_used={"function": "price"})
    def price(item):
        return {"item": item, "cents": 1999}

    @track_action
    def offer(item):
        return f"{price(item)['cents'] / 100:.2f}"

    @track_action
    def charge():
        raise ValueError("card declined")

    def attached(name, mime_type):
        return [{"filename": name, "mime_type": mime_type, "data": f"bytes of {name}".encode()}]

    with conversation(
        "chat-1", customer_id="mia", customer_ip_address="203.0.113.7", device="mobile", source="web", language="en",
        name="A chat", environment="production", metadata={"plan": "gold"},
    ) as chat:
        chat.track_human_message("What does it cost?", metadata={"n": 1})
        offer("A-17")
        chat.track_agent_message("19.99", attachments=attached("offer.pdf", "application/pdf"),
                                 attachment_mode="form_data")
        chat.track_button("buy", "Buy it", "A-17", metadata={"place": "card"})
        try:
            charge()
        except ValueError:
            pass
        chat.track_action("notify", duration_ms=12.6, response="ok")
        chat.track_attachments(attached("receipt.txt", "text/plain"), sender="agent", mode="form_data",
                               metadata={"kind": "receipt"})
        chat.track_token_usage(prompt_tokens=10, completion_tokens=5)
        chat.track_human_message("größe: 'ok' ✓", attachments=attached("photo.png", "image/png"),
                                 attachment_mode="form_data")
    report = flush(20)
    conversation_manager.submit_feedback("chat-1", "positive", comment="fast", metadata={"stars": 5})
    conversation_manager.submit_feedback("chat-1", "neutral")
    print(json.dumps([report.is_complete, report.captured == report.delivered, report.rejected, report.lost]))
"""
ROUTES = [
    "/api/conversations/",
    "/api/track/",
    "/api/action_logs/",  # price
    "/api/action_logs/",  # offer, which ends after it
    "/api/track/",
    "/api/attachments/",
    "/api/buttons/",
    "/api/action_logs/",  # charge
    "/api/action_logs/",  # notify
    "/api/attachments/",
    "/api/action_logs/",  # token usage
    "/api/track/",
    "/api/attachments/",
    "/api/conversation-feedbacks/",
    "/api/conversation-feedbacks/",
]


@pytest.fixture
def documented() -> Iterator[DocumentedServer]:
    """A server that has taken nothing yet."""
    with documented_server() as running:
        yield running


def run(code: str, server: DocumentedServer, home: Path) -> Any:
    """Run a program with the settings of that server; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=clean_environment(
            AGENTSIGHT_API_KEY=KEY, AGENTSIGHT_API_ENDPOINT=server.address, AGENTSIGHT_HOME=str(home)
        ),
        cwd=home.parent, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def undocumented(server: DocumentedServer) -> list[tuple[str, int, str]]:
    """What was refused, but for the one question whether the server can do more."""
    probe = ("GET /api/me/", 404, "no such page")
    assert server.refusals.count(probe) <= 2
    return [refusal for refusal in server.refusals if refusal != probe]


def check_arrivals(server: DocumentedServer) -> None:
    """Everything of the program arrived in the order of the calls, once, with the documented fields."""
    assert undocumented(server) == []
    assert [route for route, _ in server.items] == ROUTES
    (number,) = server.conversations.values()
    (opened,) = server.told("/api/conversations/")
    assert (opened["customer_id"], opened["name"], opened["metadata"]) == ("mia", "A chat", {"plan": "gold"})
    assert (opened["environment"], opened["is_used"]) == ("production", True)
    said = server.told("/api/track/")
    assert [(item["sender"], item["content"], item["metadata"]) for item in said] == [
        ("end_user", "What does it cost?", {"n": 1}), ("agent", "19.99", {}), ("end_user", "größe: 'ok' ✓", {}),
    ]  # fmt: skip
    tracked = [item for route, item in server.items if "conversation_id" in item and route != ROUTES[0]]
    assert {item.get("conversation", number) for item in tracked} == {number}
    times = [item["timestamp"] for _, item in server.items if "timestamp" in item]
    assert len(times) == 13
    assert [item["label"] for item in server.told("/api/buttons/")] == ["Buy it"]


def check_actions(server: DocumentedServer) -> None:
    """Actions carry their times, arguments, result or error; token usage is marked as a difference."""
    price, offer, charge, notify, usage = server.told("/api/action_logs/")
    assert [item["action_name"] for item in (price, offer, charge, notify)] == ["price", "offer", "charge", "notify"]
    assert (price["tools_used"], json.loads(price["response"])) == (
        {"function": "price"}, {"item": "A-17", "cents": 1999},
    )  # fmt: skip
    assert offer["tools_used"] == {"function": "offer", "parameters": {"item": "A-17"}}
    assert (offer["response"], offer["started_at"] <= price["started_at"]) == ("19.99", True)
    assert "card declined" in charge["error_msg"]
    assert "response" not in charge
    assert (notify["duration_ms"], notify["response"]) == (13, "ok")
    assert usage["metadata"] == {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "embedding_tokens": 0, "delta": True,
    }  # fmt: skip


def check_files(server: DocumentedServer) -> None:
    """Files hang on the message that they came with, or on the conversation, byte for byte."""
    offer, receipt, photo = server.told("/api/attachments/")
    assert [item["files"] for item in (offer, receipt, photo)] == [["offer.pdf"], ["receipt.txt"], ["photo.png"]]
    assert server.messages[int(offer["message"])] == "19.99"
    assert server.messages[int(photo["message"])] == "größe: 'ok' ✓"
    assert "message" not in receipt
    assert (receipt["sender"], json.loads(receipt["metadata"])) == ("agent", {"kind": "receipt"})
    assert server.files == {
        "offer.pdf": ("application/pdf", b"bytes of offer.pdf"),
        "receipt.txt": ("text/plain", b"bytes of receipt.txt"),
        "photo.png": ("image/png", b"bytes of photo.png"),
    }


def test_a_whole_conversation_is_delivered_by_the_documented_routes(
    documented: DocumentedServer, tmp_path: Path
) -> None:
    """The server refuses nothing, and has every event once, in order, with all its fields."""
    assert run(AGENT, documented, tmp_path / "home") == [True, True, {}, {}]
    check_arrivals(documented)
    check_actions(documented)
    check_files(documented)
    first, second = documented.told("/api/conversation-feedbacks/")
    assert (first["sentiment"], first["comment"], first["metadata"]) == ("positive", "fast", {"stars": 5})
    assert (second["sentiment"], "comment" in second) == ("neutral", False)


def test_nothing_is_doubled_when_the_server_is_away_for_a_while(documented: DocumentedServer, tmp_path: Path) -> None:
    """Requests at the start and in the middle of a conversation fail; everything arrives in order, once."""
    documented.away_at = {2, 3, 9}
    assert run(AGENT, documented, tmp_path / "home") == [True, True, {}, {}]
    assert documented.away_at == set()
    check_arrivals(documented)
    check_files(documented)


def test_the_manager_speaks_the_documented_routes(documented: DocumentedServer, tmp_path: Path) -> None:
    """Rename, mark, update and delete look the text id up and send exactly the documented bodies."""
    answers = run(
        """
        import json
        from agentsight_auto import conversation, conversation_manager as manager, flush
        with conversation("chat-1", environment="production") as chat:
            chat.track_human_message("hello")
        flush(20)
        print(json.dumps([
            manager.rename_conversation("chat-1", " A name "), manager.mark_conversation("chat-1", True),
            manager.update_conversation("chat-1", language="de", metadata={"a": 1}),
            manager.delete_conversation("chat-1"),
        ]))
        """,
        documented,
        tmp_path / "home",
    )
    assert undocumented(documented) == []
    assert [item for item in documented.items if not item[0].startswith("/")] == [
        ("rename", {"name": "A name"}), ("mark", {"is_marked": True}),
        ("update", {"language": "de", "metadata": {"a": 1}}), ("delete", {}),
    ]  # fmt: skip
    assert [answer["conversation_id"] for answer in answers] == ["chat-1"] * 4
    assert answers[3]["is_deleted"] is True


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"a": "x", "c": 1}, "undocumented"),
        ({}, "missing"),
        ({"a": " "}, "a cannot be"),
        ({"a": "x", "b": None}, "b cannot be"),
        ([], "not an object"),
    ],
)
def test_the_strict_server_refuses_what_is_not_documented(told: Any, reason: str) -> None:
    """A field too many, too few or of the wrong type is named."""
    is_text = {"a": lambda value: isinstance(value, str) and bool(value.strip())}
    with pytest.raises(Refusal, match=reason):
        check(told, is_text, {"b": lambda value: isinstance(value, int)})
