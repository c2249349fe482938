"""What the published client tracks arrives as documented, read over HTTP by a fresh process and from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from .support import ACTION_FIELDS, PublishedClient, Tenant, documented

TYPES = ["conversation", "question", "action", "action", "action", "answer", "action", "button"]


def succeeded(sent: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(item["type"], item["success"]) for item in sent["items"]]


def contents(conversation: dict[str, Any]) -> list[str]:
    return [message["content"] for message in conversation["messages"]]


def attached(conversation: dict[str, Any]) -> dict[str, list[str]]:
    return {
        message["content"]: [attachment["filename"] for attachment in message["attachments"]]
        for message in conversation["messages"]
        if message["attachments"]
    }


def test_a_whole_conversation_arrives_as_the_documentation_says(published: PublishedClient, tenant: Tenant) -> None:
    """Every field of messages, actions and buttons is there, in the order of the calls; tokens are no action."""
    told = published.run("whole_conversation", conversation_id="chat-1")
    assert succeeded(told["sent"]) == [(kind, True) for kind in TYPES]
    assert told["sent"]["summary"] == {
        "questions": 1, "answers": 1, "attachments": 0, "actions": 4, "buttons": 1, "errors": 0,
    }  # fmt: skip
    assert told["counted"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "embedding_tokens": 2}
    assert (told["waiting"]["total"], told["after"]["items"]) == (7, [])

    stored = tenant.stored("chat-1")
    told_fields = {
        name: stored[name] for name in ("customer_id", "customer_ip_address", "device", "source", "language")
    }
    assert told_fields == {
        "customer_id": "customer-7", "customer_ip_address": "203.0.113.7", "device": "mobile", "source": "whatsapp",
        "language": "en",
    }  # fmt: skip
    assert (stored["name"], stored["environment"], stored["is_used"]) == ("Where is my order?", "production", True)
    assert stored["metadata"] == {"plan": "gold", "cart": {"items": 3}}
    question, found, notified, refunded, answer, button = stored["messages"]
    assert (question["sender"], question["content"]) == ("end_user", "Where is my order 4711?")
    assert question["metadata"] == {"intent": "order", "deep": {"list": [1, "ü"]}}
    assert (found["content"], found["sender"], found["action_name"]) == (
        "Action find_order performed", "agent", "find_order",
    )  # fmt: skip
    (log,) = found["action_logs"]
    assert {name: log[name] for name in ACTION_FIELDS if name not in {"id", "error_message"}} == {
        "started_at": "2026-01-02T03:04:05.000006Z", "ended_at": "2026-01-02T03:04:06.500006Z", "duration_ms": 1500,
        "tools_used": {"function": "find_order", "parameters": {"id": 4711}}, "response": "shipped",
        "metadata": {"attempt": 1},
    }  # fmt: skip
    assert not log["error_message"]
    assert notified["action_logs"][0]["duration_ms"] is None
    assert (refunded["action_logs"][0]["error_message"], refunded["action_logs"][0]["duration_ms"]) == (
        "card declined", 20,
    )  # fmt: skip
    assert (answer["sender"], answer["content"], answer["metadata"]) == ("agent", "It was shipped.", {"model": "small"})
    assert (button["sender"], button["content"]) == ("end_user", "Talk to a human")
    assert (button["button"]["button_event"], button["button"]["value"]) == ("order_help", "human")
    assert button["button"]["metadata"] == {"place": "footer"}
    assert tenant.totals()["total_tokens"] == 15


def test_all_readers_see_the_same(published: PublishedClient, tenant: Tenant, tmp_path: Path) -> None:
    """The published client, this library over HTTP with a read key, and the file agree on every documented field."""
    published.run("whole_conversation", conversation_id="chat-1")
    published.run("attachments", conversation_id="chat-2")
    published.run("manage", conversation_id="chat-1")
    fetched = tenant.fetched(tenant.key("read"), tmp_path / "home", "chat-1", "chat-2")
    for conversation_id, ours in zip(("chat-1", "chat-2"), fetched, strict=True):
        stored = documented(tenant.stored(conversation_id))
        theirs = published.run("fetch", conversation_id=conversation_id)
        assert documented(theirs["by text"]) == documented(theirs["by number"]) == stored
        assert documented(ours["by text"]) == documented(ours["by number"]) == stored
        assert [documented(row) for row in ours["listed"]] == [stored]
        assert theirs["attachments"].keys() == ours["attachments"].keys()
        assert (
            theirs["attachments"]["total_attachments"]
            == tenant.stored_attachments(conversation_id)["total_attachments"]
        )


def test_attachments_of_both_modes_arrive_where_they_belong(published: PublishedClient, tenant: Tenant) -> None:
    """Alone or on a message, of the user or the agent, base64 or form: name, type, size and bytes are right."""
    sent = published.run("attachments", conversation_id="files")
    assert {success for _, success in succeeded(sent)} == {True}
    stored = tenant.stored("files")
    assert attached({"messages": stored["messages"][2:]}) == {
        "base64 of the user": ["of-user.txt"],
        "form of the user": ["of-user.bin"],
        "base64 of the agent": ["of-agent.txt"],
        "form of the agent": ["of-agent.csv"],
    }
    alone, form = stored["messages"][:2]
    assert (alone["sender"], alone["metadata"], form["sender"], form["metadata"]) == (
        "end_user", {"kind": "alone"}, "agent", {"kind": "form"},
    )  # fmt: skip
    named = [[(file["filename"], file["type"]) for file in message["attachments"]] for message in (alone, form)]
    assert named[0] == [("photo.png", "image"), ("note.txt", "text")]
    assert named[1][0] == ("report.pdf", "document")
    assert named[1][1][0].startswith("attachment_1")
    assert stored["messages"][4]["metadata"] == {"n": 1}


def test_links_to_files_give_the_bytes_without_a_key(published: PublishedClient, tenant: Tenant) -> None:
    """The published client downloads each listed file; a changed link is refused."""
    published.run("attachments", conversation_id="files")
    told = published.run("fetch", conversation_id="files")
    listed = told["attachments"]
    assert (listed["conversation_id"], listed["total_attachments"]) == ("files", 8)
    assert [len(message["attachments"]) for message in listed["messages"]] == [2, 2, 1, 1, 1, 1]
    without_links = [file["filename"] for message in listed["messages"] for file in message["attachments"]]
    by_number = told["attachments by number"]["messages"]
    assert without_links == [file["filename"] for message in by_number for file in message["attachments"]]
    files = {name: bytes.fromhex(content) for name, content in told["bytes"].items()}
    assert files.pop(next(name for name in files if name.startswith("attachment_1"))) == b"ID3 without a name"
    assert files == {
        "photo.png": b"\x89PNG\r\n\x1a\n alone", "note.txt": "größe".encode(), "report.pdf": b"%PDF-1.7 alone",
        "of-user.txt": b"of the user", "of-user.bin": b"\x00\x01", "of-agent.txt": b"of the agent",
        "of-agent.csv": b"a,b\n",
    }  # fmt: skip
    url = listed["messages"][0]["attachments"][0]["file_url"]
    assert url.startswith(tenant.address)
    changed = url[:-9] + ("a" if url[-9] != "a" else "b") + url[-8:]
    assert httpx.get(changed, trust_env=False).status_code in {403, 404}


def test_later_sends_find_the_conversation_by_its_text_id(published: PublishedClient, tenant: Tenant) -> None:
    """Without a conversation in the send, everything lands in the right one; what names none harms only itself."""
    first, second, third = published.run("later_sends", conversation_id="again")
    assert first["summary"]["errors"] == second["summary"]["errors"] == 0
    # A form alone carries no conversation at all then: nobody could know where it belongs.
    assert succeeded(third) == [("attachments", False), ("question", True)]
    assert "conversation" in third["items"][0]["error"]
    stored = tenant.stored("again")
    said = ["first", "second", "Action look_up performed", "Label", "with a file", "with a form"]
    assert contents(stored)[:6] == said
    assert contents(stored)[7:] == ["after it"]
    assert [file["filename"] for message in stored["messages"] for file in message["attachments"]] == [
        "late.txt", "form.txt", "alone.txt",
    ]  # fmt: skip
    assert tenant.stored_ids() == ["again"]


def test_cumulative_tokens_are_counted_once(published: PublishedClient, tenant: Tenant) -> None:
    """Four sends repeat counters that only grow, then another process starts at zero: the totals are what was used."""
    counted = published.run("tokens", conversation_id="tokens", sends=3)
    assert [usage["total_tokens"] for usage in counted] == [15, 30, 45]
    assert tenant.totals()["total_tokens"] == 45
    published.run("tokens", conversation_id="tokens", sends=1)
    totals = tenant.totals()
    assert (totals["prompt_tokens"], totals["completion_tokens"], totals["total_tokens"]) == (40, 20, 60)
    assert totals["embedding_tokens"] == 4
    assert contents(tenant.stored("tokens")).count("a turn without a model") == 2


@pytest.mark.parametrize("engage", [False, True])
def test_a_visit_is_unused_until_something_is_tracked(published: PublishedClient, tenant: Tenant, engage: bool) -> None:
    """`initialize_conversation` stores at once; a later get-or-create marks it used and overrides nothing."""
    published.run("visit", conversation_id="widget", engage=engage)
    stored = tenant.stored("widget")
    assert stored["is_used"] is engage
    assert (stored["customer_id"], stored["name"], stored["device"]) == ("visitor", "Widget", "desktop")
    assert stored["metadata"] == ({"page": "/pricing", "new": 1} if engage else {"page": "/pricing"})
    assert contents(stored) == (["hello"] if engage else [])


def test_the_three_classes_take_another_key_at_run_time(
    published: PublishedClient, server: Any, request: pytest.FixtureRequest
) -> None:
    """`configure` moves all three clients to another agent, in a conversation whose id was generated."""
    other = Tenant(server, f"{request.node.name}-other")
    told = published.run("classes", api_key=other.key(), endpoint=published.address)
    assert succeeded(told["sent"]) == [("question", True)]
    (conversation_id,) = told["listed"]
    assert conversation_id.startswith("conv_")
    assert other.stored(conversation_id)["name"] == told["renamed"]["name"] == "by another key"


def test_an_endpoint_with_a_slash_at_its_end_works(published: PublishedClient, tenant: Tenant) -> None:
    """The published client then asks for paths with two slashes."""
    slashed = published.at(f"{tenant.address}/")
    assert {success for _, success in succeeded(slashed.run("track_only", conversation_id="slashed"))} == {True}
    calls = ["fetch_conversation", "mark_conversation"]
    assert slashed.run("outcomes", conversation_id="slashed", calls=calls) == dict.fromkeys(calls)
