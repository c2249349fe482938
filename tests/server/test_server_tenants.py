"""One key, one agent: what belongs to another is absent, in every route and by every kind of id."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from .support import Client, Served

CANARY = "canary-7f3a"
ONE = {"attachments": [{"filename": f"{CANARY}.txt", "data": base64.b64encode(CANARY.encode()).decode()}]}


class Tenants:
    """Two agents; the first owns one of everything, marked with a canary."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.owner, self.other = served.client("owner"), served.client("other")
        self.text_id = f"conversation-{CANARY}"
        self.pk = self.owner.open(
            self.text_id, name=CANARY, customer_id=CANARY, device=CANARY, source=CANARY, language=CANARY,
            environment="canary-env", customer_ip_address="203.0.113.77", metadata={CANARY: CANARY},
        )  # fmt: skip
        self.message = self.owner.say(self.text_id, CANARY, metadata={CANARY: CANARY})
        named = {"conversation_id": self.text_id}
        self.owner.post("/api/action_logs/", {"action_name": CANARY, "response": CANARY, **named})
        self.owner.post("/api/buttons/", {"button_event": CANARY, "label": CANARY, "value": CANARY, **named})
        self.owner.post("/api/conversation-feedbacks/", {"sentiment": "positive", "comment": CANARY, **named})
        self.owner.post("/api/attachments/", {**ONE, **named})
        self.before = self.everything()

    def everything(self) -> Any:
        """Return what the owner sees, without links, which change with the time."""
        document = self.owner.get(f"/api/conversations/{self.pk}/").json()
        for message in document["messages"]:
            for file in message["attachments"]:
                del file["file_url"]
        return document


@pytest.fixture
def tenants(served: Served) -> Iterator[Tenants]:
    found = Tenants(served)
    yield found
    assert found.everything() == found.before


def bodies(tenants: Tenants, pk: int | str, text_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return bodies for every writing route that name a conversation by its integer id, or a message."""
    named = {"conversation": pk, "conversation_id": text_id}
    return {
        "/api/track/": [{"content": "x", "sender": "agent", **named}],
        "/api/action_logs/": [
            {"action_name": "x", **named},
            {"action_name": "token_usage", "metadata": {"prompt_tokens": 1}, **named},
        ],
        "/api/buttons/": [{"button_event": "x", "label": "x", "value": "x", **named}],
        "/api/attachments/": [{**ONE, **named}, {**ONE, "message": pk}],
        "/api/conversation-feedbacks/": [{"sentiment": "positive", **named}],
    }


def test_no_path_leads_to_anothers_conversation(tenants: Tenants) -> None:
    """Every operation with an id in its path answers the other agent's id exactly as one that nobody has."""
    body = {"name": "x", "is_marked": True, "content": "x", "sentiment": "positive", "metadata": {}}
    tried = 0
    for operation in tenants.served.service.operations:
        if "{id}" not in operation.path or operation.role is None:
            continue
        for number in {tenants.pk, tenants.message, tenants.message + 1}:
            foreign, absent = (
                tenants.other.request(
                    operation.method, operation.path.replace("{id}", str(wanted)), json=body if operation.body else None
                )
                for wanted in (number, 999_999)
            )
            assert foreign.status_code == absent.status_code == 404, operation
            assert foreign.json() == absent.json(), operation
            tried += 1
    assert tried >= 7


def test_no_body_leads_to_anothers_conversation(tenants: Tenants) -> None:
    """A foreign integer id in a body, as number or text, answers exactly as one that nobody has."""
    for pk in (tenants.pk, tenants.message):
        for kind in (int, str):
            foreign, absent = bodies(tenants, kind(pk), "None"), bodies(tenants, kind(999_999), "None")
            for path, several in foreign.items():
                for body, twin in zip(several, absent[path], strict=True):
                    answers = [tenants.other.post(path, one) for one in (body, twin)]
                    assert [answer.status_code for answer in answers] == [404, 404], path
                    assert answers[0].text.replace(str(pk), "N") == answers[1].text.replace("999999", "N")


def test_the_same_text_id_is_another_conversation(tenants: Tenants) -> None:
    """Writing to a text id that another agent uses makes one's own conversation."""
    assert tenants.other.get("/api/conversations/lookup/", conversation_id=tenants.text_id).status_code == 404
    tenants.other.say(tenants.text_id, "mine")
    found = tenants.other.get("/api/conversations/lookup/", conversation_id=tenants.text_id).json()["id"]
    assert found != tenants.pk
    (message,) = tenants.other.get(f"/api/conversations/{found}/").json()["messages"]
    assert message["content"] == "mine"


def test_nothing_of_another_is_listed_counted_or_named(tenants: Tenants) -> None:
    """No filter, page, ordering or discovery route shows or counts it."""
    from agentsight_auto.query.filters import KNOWN_FILTERS

    values = {
        "is_marked": "false", "include_deleted": "true", "has_messages": "true", "has_action": "true",
        "has_feedback": "true", "feedback_sentiment": "positive", "feedback_source": "customer",
        "started_at_after": "2000-01-01", "started_at_before": "2099-01-01", "ordering": "id",
        "metadata": f"{CANARY}:{CANARY}", "conversation_id": tenants.text_id, "customer_ip_address": "203.0.113.77",
        "environment": "production", "env": "production", "metadata_key": CANARY,
        "status": "open", "insight": "unanswered", "country": "GB",
        "first_response_over_ms": "0", "response_over_ms": "0",
    }  # fmt: skip
    for name in KNOWN_FILTERS:
        if name == "metadata_value":
            continue
        page = tenants.other.get("/api/conversations/", **{name: values.get(name, CANARY)})
        assert (page.status_code, page.json()["count"], page.json()["results"]) == (200, 0, []), name
    assert tenants.other.get("/api/conversations/", environment="canary-env").status_code == 400
    for path in ("metadata-keys/", f"metadata-values/?key={CANARY}", "message-metadata-keys/"):
        answer = tenants.other.get(f"/api/conversations/{path}").json()
        assert answer.get("keys", answer.get("values")) == []


def test_anothers_cursor_shows_nothing_of_another(tenants: Tenants) -> None:
    """A cursor is a place in an order, not a permission."""
    tenants.owner.open("second")
    cursor = tenants.owner.get("/api/conversations/", page_size=1).json()["next"].rpartition("cursor=")[2].split("&")[0]
    page = tenants.other.get("/api/conversations/", page_size=1, cursor=cursor)
    assert CANARY not in page.text.replace(cursor, "")
    assert page.json()["results"] == []
    tenants.owner.delete("/api/conversations/2/")


def test_knowing_a_digest_does_not_open_anothers_file(tenants: Tenants) -> None:
    """An event that names the digest of another agent's content gets no link until the agent brings the bytes."""
    digest = hashlib.sha256(CANARY.encode()).hexdigest()
    ref = {"sha256": digest, "size_bytes": 11, "filename": "x", "mime_type": "text/plain"}
    event = {"kind": "attachments", "id": "0" * 31 + "1", "conversation_id": "c", "at_us": 1, "sender": "agent"}
    tenants.other.post("/api/events/", {"events": [{**event, "attachments": [ref]}]})
    (own,) = tenants.other.get("/api/conversations/").json()["results"]
    assert own["messages"][0]["attachments"][0]["file_url"] is None


def test_thousands_of_requests_show_nothing_of_another(tenants: Tenants) -> None:
    """Every reading operation by every integer id up to a hundred, and both ways to look up: no byte of the canary."""
    seen = 0
    for operation in tenants.served.service.operations:
        if operation.method != "GET" or operation.role is None:
            continue
        for number in range(1, 101) if "{" in operation.path else [0]:
            path = operation.path
            for place in ("{id}", "{name}", "{trace_id}"):
                path = path.replace(place, str(number))
            assert CANARY not in tenants.other.get(path).text
            seen += 1
    assert seen >= 200


def test_a_stranger_sees_nothing(tenants: Tenants) -> None:
    """Nor does the public part: health, metrics, description, errors."""
    stranger = tenants.served.stranger()
    for operation in tenants.served.service.operations:
        path = operation.path.replace("{id}", str(tenants.pk)).replace("{name}", "x")
        assert CANARY not in stranger.request(operation.method, path).text


def test_the_owner_still_sees_it(tenants: Tenants) -> None:
    """Or else these tests would prove nothing."""
    answer = tenants.owner.get("/api/conversations/", search=CANARY)
    assert answer.text.count(CANARY) > 10
    assert isinstance(Client(tenants.served, tenants.owner.key).get(f"/api/conversations/{tenants.pk}/").json(), dict)
