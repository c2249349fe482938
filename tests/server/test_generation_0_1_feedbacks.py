"""``/api/feedbacks/``: judgements on conversations, messages and the agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .spans_0_1 import listed, whole
from .support import Client, Served

FEEDBACKS = "/api/feedbacks/"


def judge(client: Client, status: int = 201, **fields: Any) -> dict[str, Any]:
    """Post a feedback and return the answer."""
    answer = client.post(FEEDBACKS, {"sentiment": "positive", **fields})
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def agent_id(client: Client) -> int:
    return int(client.get("/api/me/").json()["agent_id"])


@pytest.fixture
def judged(client: Client) -> Client:
    """A client whose agent has feedback of each kind."""
    return fill(client)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The same, for tests that only read."""
    with Served(tmp_path_factory.mktemp("kept")) as served:
        yield fill(served.client())


def fill(client: Client) -> Client:
    number = client.open("c1", environment="staging")
    message = client.say("c1")
    judge(client, kind="conversation", conversation=number, comment="Great work")
    judge(client, kind="message", message=message, sentiment="negative", topic="style", reason="too_bold")
    judge(client, kind="agent", agent=agent_id(client), sentiment="neutral", environment="development")
    return client


def test_feedback_on_a_conversation_is_a_row_of_the_conversation(client: Client) -> None:
    """By text id or integer id; it counts as the customer's and is shown with the conversation."""
    number = client.open("c1")
    by_text = judge(client, kind="conversation", conversation_id="c1", comment="fine")
    by_number = judge(client, conversation=number)
    assert by_text == {
        "id": by_text["id"], "kind": "conversation", "agent": agent_id(client), "conversation": number,
        "conversation_id": "c1", "message": None, "user": None, "environment": "production", "environment_id": 1,
        "sentiment": "positive", "category": None, "comment": "fine", "topic": None, "reason": None,
        "created_at": by_text["created_at"],
    }  # fmt: skip
    shown = whole(client)["feedbacks"]
    assert [row["id"] for row in shown] == [by_text["id"], by_number["id"]]
    assert {row["source"] for row in shown} == {"customer"}
    assert client.listed(has_feedback="true") == ["c1"]


def test_feedback_on_a_message_is_one_vote(client: Client) -> None:
    """A second one changes the first (200): sent fields are applied, null clears, absent ones stay."""
    message = client.say("c1")
    first = judge(client, kind="message", message=message, comment="why", topic="style", reason="too_bold")
    second = judge(client, 200, kind="message", message=message, sentiment="negative", comment=None)
    assert second == {**first, "sentiment": "negative", "comment": None}
    assert (first["conversation_id"], first["topic"], first["reason"]) == ("c1", "style", "too_bold")
    assert len(listed(client, FEEDBACKS)) == 1
    assert whole(client)["messages"][0]["feedback"] == second
    assert client.get(f"/api/track/{message}/").json()["feedback"] == second
    assert (whole(client)["feedbacks"], whole(client)["feedback_count"]) == ([], 0)


def test_feedback_on_the_agent_has_an_environment(client: Client) -> None:
    """Given, or production; only the key's own agent can be judged."""
    own = agent_id(client)
    first = judge(client, kind="agent", agent=own)
    second = judge(client, kind="agent", agent=str(own), environment="dev")
    assert (first["environment"], second["environment"], first["conversation"]) == ("production", "development", None)
    assert client.post(FEEDBACKS, {"kind": "agent", "sentiment": "positive", "agent": own + 1}).status_code == 404


def test_ids_mean_one_feedback_whatever_its_kind(judged: Client) -> None:
    """Each can be read, changed and deleted by its id; a read row says that it has no ticket."""
    rows = listed(judged, FEEDBACKS)
    assert len({row["id"] for row in rows}) == 3
    for row in rows:
        path = f"{FEEDBACKS}{row['id']}/"
        assert judged.get(path).json() == {**row, "ticket": None}
        changed = judged.patch(path, {"sentiment": "neutral", "comment": "changed"}).json()
        assert changed == {**row, "sentiment": "neutral", "comment": "changed"}
        answer = judged.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert [judged.get(path).status_code, judged.patch(path, {}).status_code, judged.delete(path).status_code] == [
            404, 404, 404,
        ]  # fmt: skip
    assert listed(judged, FEEDBACKS) == []
    assert whole(judged)["feedbacks"] == []


def test_a_deleted_id_is_not_given_again(client: Client) -> None:
    """Feedback on messages and the agent keeps its numbers for ever, above all those on conversations."""
    client.open("c1")
    first = judge(client, kind="agent", agent=agent_id(client))["id"]
    client.delete(f"{FEEDBACKS}{first}/")
    assert judge(client, kind="agent", agent=agent_id(client))["id"] > first > judge(client, conversation_id="c1")["id"]


@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        ({}, "amc"),
        ({"ordering": "created_at"}, "cma"),
        ({"ordering": "kind"}, "acm"),
        ({"ordering": "-sentiment"}, "cam"),
        ({"kind": "message"}, "m"),
        ({"sentiment": "neutral"}, "a"),
        ({"conversation_id": "c1"}, "mc"),
        ({"topic": "style"}, "m"),
        ({"reason": "other"}, ""),
        ({"has_comment": "true"}, "c"),
        ({"has_comment": "false"}, "am"),
        ({"comment_contains": "GREAT"}, "c"),
        ({"search": "c1"}, "mc"),
        ({"search": "%"}, ""),
        ({"env": "development"}, "a"),
        ({"environment": "staging"}, "mc"),
        ({"category": "bug"}, ""),
        ({"user": "3"}, ""),
        ({"created_at_after": "2099-01-01T00:00:00Z"}, ""),
        ({"created_at_before": "2099-01-01T00:00:00Z"}, "amc"),
        ({"conversation": "999"}, ""),
        ({"message": "999"}, ""),
        ({"agent": "999"}, ""),
    ],
)
def test_every_filter_of_feedback_filters(kept: Client, filters: dict[str, str], kinds: str) -> None:
    """Over all kinds, newest first, and the count is that of what is found."""
    answer = kept.get(FEEDBACKS, **filters).json()
    assert "".join(row["kind"][0] for row in answer["results"]) == kinds
    assert (answer["count"], answer["counts"]) == (len(kinds), {"all": len(kinds)})


def test_own_ids_filter_too(judged: Client) -> None:
    """By the integer ids of the conversation, the message and the agent."""
    number, message = whole(judged)["id"], whole(judged)["messages"][0]["id"]
    assert len(listed(judged, FEEDBACKS, conversation=number)) == 2
    assert len(listed(judged, FEEDBACKS, message=message)) == 1
    assert len(listed(judged, FEEDBACKS, agent=agent_id(judged))) == 3


def test_tickets_are_asked_for_in_the_documented_way_and_there_are_none(judged: Client) -> None:
    """Ticket filters need the gate; behind it nothing is found, and every count is there."""
    needs = "Ticket filters need ?include_tickets=true on the API-key plane."
    answer = judged.get(FEEDBACKS, has_ticket="true")
    assert (answer.status_code, answer.json()) == (400, {"has_ticket": needs})
    envelope = judged.get(FEEDBACKS, include_tickets="true", ticket_status="open").json()
    assert (envelope["results"], envelope["count"]) == ([], 0)
    assert set(envelope["counts"]) >= {"all", "tickets", "open_tickets", "backlog", "in_review", "closed"}
    assert judged.get(FEEDBACKS, kind="product").status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "product"}, "kind"),
        ({"sentiment": "angry", "conversation_id": "c1"}, "sentiment"),
        ({"kind": "conversation"}, "conversation_id"),
        ({"kind": "message"}, "message"),
        ({"kind": "agent"}, "agent"),
        ({"conversation_id": "c1", "comment": "x" * 5001}, "comment"),
        ({"conversation_id": "c1", "topic": "style"}, "topic"),
        ({"kind": "message", "message": 1, "topic": "two words"}, "topic"),
        ({"kind": "message", "message": 1, "reason": "r" * 51}, "reason"),
        ({"conversation_id": "c1", "environment": "production"}, "environment"),
    ],
)
def test_what_does_not_fit_is_named(client: Client, body: dict[str, Any], field: str) -> None:
    """400 with the field; nothing is stored."""
    client.say("c1")
    answer = client.post(FEEDBACKS, {"sentiment": "positive", **body})
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert listed(client, FEEDBACKS) == []


def test_a_change_keeps_to_the_kind(judged: Client) -> None:
    """Environments are only the agent's, topics only a message's; null clears."""
    by_kind = {row["kind"]: f"{FEEDBACKS}{row['id']}/" for row in listed(judged, FEEDBACKS)}
    refused = judged.patch(by_kind["conversation"], {"environment": "production"})
    assert (refused.status_code, refused.json()) == (400, {"environment": ["Derived from the conversation."]})
    assert judged.patch(by_kind["conversation"], {"topic": "style"}).status_code == 400
    assert judged.patch(by_kind["agent"], {"environment": "prod"}).json()["environment"] == "production"
    changed = judged.patch(by_kind["message"], {"topic": None, "comment": None}).json()
    assert (changed["topic"], changed["reason"], changed["comment"]) == (None, "too_bold", None)
    assert judged.patch(by_kind["message"], {"sentiment": "angry"}).status_code == 400


def test_feedback_of_a_deleted_conversation_is_hidden(judged: Client) -> None:
    """From the list; that on the agent stays."""
    judged.delete(f"/api/conversations/{whole(judged)['id']}/")
    assert [row["kind"] for row in listed(judged, FEEDBACKS)] == ["agent"]


def test_no_other_agent_sees_or_changes_feedback(served: Served, judged: Client) -> None:
    """By no id: of the feedback, the conversation, the message or the agent."""
    other = served.client("other")
    number, message = whole(judged)["id"], whole(judged)["messages"][0]["id"]
    for row in listed(judged, FEEDBACKS):
        path = f"{FEEDBACKS}{row['id']}/"
        tried = [other.get(path), other.patch(path, {"sentiment": "neutral"}), other.delete(path)]
        assert [answer.status_code for answer in tried] == [404, 404, 404]
    for named in (
        {"conversation": number}, {"conversation_id": "c1"}, {"kind": "message", "message": message},
        {"kind": "agent", "agent": agent_id(judged)},
    ):  # fmt: skip
        assert other.post(FEEDBACKS, {"sentiment": "positive", **named}).status_code == 404
    assert len(listed(judged, FEEDBACKS)) == 3
    assert listed(other, FEEDBACKS) == []


def test_a_request_that_is_sent_again_with_its_key_is_one_feedback(client: Client) -> None:
    """The header Idempotency-Key makes feedback on conversations and the agent exactly once, too."""
    client.open("c1")
    for body in ({"conversation_id": "c1"}, {"kind": "agent", "agent": agent_id(client)}):
        headers = {"Idempotency-Key": f"once-{body.get('kind')}"}
        twice = [client.post(FEEDBACKS, {"sentiment": "positive", **body}, headers=headers).json() for _ in range(2)]
        assert twice[0]["id"] == twice[1]["id"]
    assert len(listed(client, FEEDBACKS)) == 2
