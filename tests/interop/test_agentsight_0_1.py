"""The published client of the 0.1.x generation against ``agentsight-auto serve``: it records, reads and manages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .support import PublishedClient, Tenant, install_published_client

PACKAGE = "agentsight==0.1.4"


@pytest.fixture(scope="session")
def newer_python(request: pytest.FixtureRequest) -> Path:
    """Python of an environment with the newer published client; skips where it cannot be installed."""
    return install_published_client(Path(request.config.cache.mkdir("interop")), PACKAGE)


@pytest.fixture
def newer(newer_python: Path, tenant: Tenant) -> PublishedClient:
    """The newer published client, with a write key of the test's agent."""
    return PublishedClient(newer_python, tenant.address, tenant.key(), "drive_0_1.py")


def said(conversation: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m["sender"], m["content"]) for m in conversation["messages"] if m["content"] and not m["action_name"]]


def test_what_the_newer_client_records_is_stored(newer: PublishedClient, tenant: Tenant) -> None:
    """Turns, tools, tasks, model calls, metadata and an upload; the client has nothing to warn of."""
    told = newer.run("record")
    assert told["warned"] == []
    assert [file["filename"] for file in told["uploaded"]["attachments"]] == ["note.txt"]
    stored = tenant.stored("c1")
    fields = ("customer_id", "customer_ip_address", "device", "source", "language", "name", "environment", "is_used")
    assert [stored[name] for name in fields] == [
        "u1", "203.0.113.7", "mobile", "web", "en", "An order", "production", True,
    ]  # fmt: skip
    assert stored["metadata"] == {"plan": "gold", "escalated": False}
    assert said(stored) == [("end_user", "where is it? \u00e9\U0001f600"), ("agent", "on its way")]
    asked, replied = (message for message in stored["messages"] if message["content"] and not message["action_name"])
    assert asked["metadata"] == {"mood": "NaN"}
    assert (replied["metadata"]["kind"], replied["metadata"]["latency_ms"] > 0) == ("reply", True)
    logs = {
        message["action_name"]: message["action_logs"][0] for message in stored["messages"] if message["action_name"]
    }
    assert list(logs) == ["find_order", "ask the shop", "fallback_to_human"]
    assert logs["find_order"]["tools_used"] == {"order_id": "A1", "limit": 1.5}
    assert logs["find_order"]["response"] == "{'order': 'A1', 'status': 'on its way'}"
    assert logs["ask the shop"]["parent_id"] == logs["find_order"]["id"]
    assert logs["fallback_to_human"]["error_message"] == "nobody is there"
    assert logs["fallback_to_human"]["tools_used"] == {"reason": "Infinity"}
    assert stored["token_usage"] == {
        "prompt_tokens": 82, "completion_tokens": 23, "total_tokens": 145, "embedding_tokens": 0,
    }  # fmt: skip
    visit = tenant.stored("visit")
    assert (visit["is_used"], visit["device"], visit["messages"]) == (False, "desktop", [])


def test_the_newer_client_reads_all_of_it(newer: PublishedClient) -> None:
    """Conversations, attachments, spans with payload, a trace as a tree, usage, actions and logs."""
    newer.run("record")
    read = newer.run("read")
    assert (read["me"]["role"], read["environments"]) == ("write", ["production", "development"])
    assert (read["listed"], read["gold"], read["metadata_keys"]) == (
        ["c1", "visit"], ["c1"], {"keys": ["escalated", "plan"]},
    )  # fmt: skip
    assert said(read["c1"]) == [("end_user", "where is it? \u00e9\U0001f600"), ("agent", "on its way")]
    assert [model["model"] for model in read["c1"]["token_usage"]["models"]] == ["gpt-5", "small"]
    assert "messages" not in read["visit"] or read["visit"]["messages"] == []
    assert [file["filename"] for file in read["attachments"]["attachments"]] == ["note.txt"]
    kinds = sorted(kind for kind, _ in read["spans"])
    assert kinds == ["attachment", "button", "conversation", *["llm"] * 4, "task", "tool", "tool", "turn", "turn"]
    assert read["payload"]["otel"]["resource"]["telemetry.sdk.name"] == "agentsight-python"
    (root,) = [root for root in read["trace"]["roots"] if root["kind"] == "turn"]
    assert read["trace"]["truncated"] is False
    assert {child["kind"] for child in root["children"]} <= {"llm", "tool", "button"}
    usage = {(row["model"], row["incomplete"]): row for row in read["usage"]}
    assert set(usage) == {("gpt-5", False), ("gpt-5", True), ("small", False)}
    first = usage["gpt-5", False]
    assert (first["calls"], first["prompt_tokens"], first["cache_read_tokens"], first["total_tokens"]) == (
        2,
        70,
        40,
        132,
    )
    assert usage["gpt-5", True]["incomplete_reason"] == "error"
    groups = {row["group"]: row["total_tokens"] for row in read["by_model"]["results"]}
    assert groups == {"gpt-5": 139, "small": 6}
    assert [row["total_tokens"] for row in read["by_day"]["results"]] == [145]
    assert read["actions"] == ["ask the shop", "fallback_to_human", "find_order"]
    assert [log["tools_used"]["order_id"] for log in read["logs"]] == ["A1"]
    assert sum(read["pages"]) == len(read["spans"])


def test_the_newer_client_judges_and_changes(newer: PublishedClient, tenant: Tenant) -> None:
    """Feedback of three kinds, metadata of messages and conversations, actions, names, marks and deletion."""
    newer.run("record")
    done = newer.run("manage")
    assert done["listed"] == ["conversation", "message", "agent"]
    assert done["counts"]["counts"] == {"all": 1}
    assert done["again"] == {**done["by_message"], "sentiment": "positive"}
    assert done["read"] == {**done["again"], "ticket": None}
    assert (done["by_agent"]["environment"], done["updated"]["comment"]) == ("development", "changed")
    assert done["message"] == done["merged"]
    assert done["message"]["metadata"] == {"mood": "NaN", "verdict": "good"}
    assert done["action"]["description"] == "what it does"
    stored = tenant.stored("c1")
    assert (stored["name"], stored["is_marked"], stored["metadata"]) == (
        "renamed",
        True,
        {"escalated": False, "added": 1},
    )
    assert [feedback["comment"] for feedback in stored["feedbacks"]] == ["fine"]
    assert tenant.stored_ids() == ["c1"]


def test_many_turns_arrive_in_several_compressed_requests(newer: PublishedClient, tenant: Tenant) -> None:
    """Six hundred turns, families that straddle two requests among them: each message once, in order."""
    told = newer.run("record_much", turns=600)
    assert told["warned"] == []
    assert len(told["encodings"]) >= 3
    assert set(told["encodings"]) == {"gzip"}
    stored = tenant.stored("much")
    answers = [content for sender, content in said(stored) if sender == "agent"]
    assert answers == [f"answer {number}" for number in range(600)]
    assert len(said(stored)) == 1200
    assert stored["token_usage"]["total_tokens"] == 2400


def test_a_fork_doubles_nothing(newer: PublishedClient, tenant: Tenant) -> None:
    """Parent and child send what waited when the process forked; it is stored once."""
    assert newer.run("fork")["warned"] == []
    stored = tenant.stored("forked")
    assert said(stored) == [("end_user", "once")]
    assert [message["action_name"] for message in stored["messages"]] == [None, "find_order", "ask the shop"]
    assert stored["token_usage"]["total_tokens"] == 12


def test_a_refused_key_is_told_to_the_log(newer: PublishedClient, tenant: Tenant) -> None:
    """The client drops at once, and says that the key is not valid."""
    key = f"ags_{'0' * 32}_{'0' * 6}"
    (warning,) = newer.run("refused", api_key=key)["warned"]
    assert "403" in warning
    assert "Invalid API key." in warning
    assert tenant.stored_ids() == []


def test_refusals_become_the_errors_of_the_newer_client(newer: PublishedClient, tenant: Tenant) -> None:
    """Each by its type, with the documented words."""
    outcomes = newer.run("failures", read_key=tenant.key("read"))
    assert {name: outcome[0] for name, outcome in outcomes.items()} == {
        "absent": "NotFoundError", "foreign": "NotFoundError", "read key": "PermissionDeniedError",
        "unknown key": "AuthenticationError", "taken name": "ValidationError", "no trace": "NotFoundError",
        "tickets": "NotFoundError", "staging": "ValidationError",
    }  # fmt: skip
    assert outcomes["taken name"][1] == '400 name: An action named "twice" already exists for this agent.'
