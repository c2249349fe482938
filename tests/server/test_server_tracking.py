"""Messages, actions, tokens, buttons and feedback, as clients of every generation send them."""

from __future__ import annotations

from typing import Any

import pytest

from .support import Client, Served

MESSAGE = {"content": "hello", "sender": "end_user", "conversation_id": "cid"}
ACTION = {"action_name": "act", "conversation_id": "cid"}
BUTTON = {"button_event": "ev", "label": "L", "value": "V", "conversation_id": "cid"}
FEEDBACK = {"sentiment": "positive", "conversation_id": "cid"}
BODIES = [
    ("/api/track/", MESSAGE),
    ("/api/action_logs/", ACTION),
    ("/api/buttons/", BUTTON),
    ("/api/conversation-feedbacks/", FEEDBACK),
]


def usage(prompt: int, completion: int, **marks: Any) -> dict[str, Any]:
    counters = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"action_name": "token_usage", "conversation_id": "cid", "metadata": {**counters, **marks}}


def stored(client: Client, number: int = 1) -> dict[str, Any]:
    answer = client.get(f"/api/conversations/{number}/")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.parametrize(("path", "body"), BODIES)
@pytest.mark.parametrize(
    "meant",
    [
        {"conversation": 1, "conversation_id": "cid"},
        {"conversation": "1", "conversation_id": "None"},
        {"conversation": None, "conversation_id": "cid"},
        {"conversation": 1},
        {"conversation_id": "cid"},
    ],
)
def test_every_way_to_name_the_conversation_is_understood(
    client: Client, path: str, body: dict[str, Any], meant: dict[str, Any]
) -> None:
    """The integer as number or text wins over the text id; the answer is 201 with an integer id."""
    client.open("cid")
    rest = {name: value for name, value in body.items() if name != "conversation_id"}
    answer = client.post(path, {**rest, **meant})
    assert answer.status_code == 201
    assert isinstance(answer.json()["id"], int)
    assert client.listed() == ["cid"]


@pytest.mark.parametrize(("path", "body"), BODIES[:3])
def test_a_conversation_that_is_not_there_yet_is_made(client: Client, path: str, body: dict[str, Any]) -> None:
    """In the default environment, used, and beginning with what was tracked."""
    client.post(path, {**body, "timestamp": "2026-11-20T08:00:00+01:00"})
    conversation = stored(client)
    assert (conversation["environment"], conversation["is_used"]) == ("production", True)
    assert conversation["started_at"] == conversation["ended_at"] == "2026-11-20T07:00:00.000000Z"


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_a_conversation_must_be_named_and_exist(client: Client, path: str, body: dict[str, Any]) -> None:
    """Neither id is 400; an integer that nobody has is 404; an unreadable or too long text is 400."""
    rest = {name: value for name, value in body.items() if name != "conversation_id"}
    assert client.post(path, rest).json() == {"conversation_id": ["This field is required."]}
    for number in (99, "99", "x", 0, -5, 2**63, 10**30):
        status = client.post(path, {**rest, "conversation": number}).status_code
        assert status == (400 if number == 10**30 else 404), number
    for text in ("", " ", "x" * 256):
        assert client.post(path, {**rest, "conversation_id": text}).status_code == 400
    assert client.listed() == []


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_bad_fields_are_named(client: Client, path: str, body: dict[str, Any]) -> None:
    """A missing field, a wrong type or an unreadable time is 400 with the field; nothing is stored."""
    client.open("cid")
    for field in set(body) - {"conversation_id"}:
        missing = client.post(path, {name: value for name, value in body.items() if name != field})
        assert (missing.status_code, missing.json()) == (400, {field: ["This field is required."]})
        for value in (None, 5, [], " "):
            wrong = client.post(path, {**body, field: value})
            assert wrong.status_code == 400
            assert list(wrong.json()) == [field]
    for field, value in {"timestamp": "x", "metadata": [1]}.items():
        assert list(client.post(path, {**body, field: value}).json()) == [field]
    conversation = stored(client)
    assert (conversation["messages"], conversation["feedbacks"]) == ([], [])


def test_a_message_comes_back_as_sent(client: Client) -> None:
    """Content, sender, metadata and the time it was tracked at."""
    sent = {**MESSAGE, "sender": "agent", "metadata": {"k": [1, None]}, "timestamp": "2026-11-20T08:00:00.123456Z"}
    answer = client.post("/api/track/", sent).json()
    assert answer["timestamp"] == "2026-11-20T08:00:00.123456Z"
    assert (answer["sender"], answer["metadata"], answer["conversation"]) == ("agent", {"k": [1, None]}, 1)
    assert stored(client)["messages"] == [answer]
    assert client.post("/api/track/", {**MESSAGE, "sender": "robot"}).json() == {
        "sender": ['"robot" is not a valid choice.']
    }


def test_an_action_comes_back_as_sent(client: Client) -> None:
    """With its times, what it used and answered, and the error under its other name."""
    sent = {
        **ACTION,
        "started_at": "2026-11-20T08:00:00Z",
        "ended_at": "2026-11-20T08:00:01Z",
        "duration_ms": 1000,
        "tools_used": {"function": "f"},
        "response": "r",
        "error_msg": "e",
        "metadata": {"m": 1},
    }
    answer = client.post("/api/action_logs/", sent).json()
    (message,) = stored(client)["messages"]
    (log,) = message["action_logs"]
    assert (message["content"], message["action_name"], message["sender"]) == ("Action act performed", "act", "agent")
    assert (log["duration_ms"], log["tools_used"], log["response"]) == (1000, {"function": "f"}, "r")
    assert (log["error_message"], log["metadata"]) == ("e", {"m": 1})
    assert (answer["id"], answer["message"]) == (log["id"], message["id"])


def test_a_button_comes_back_as_a_message_of_the_customer(client: Client) -> None:
    """Its label is the content."""
    answer = client.post("/api/buttons/", BUTTON).json()
    (message,) = stored(client)["messages"]
    assert (message["sender"], message["content"]) == ("end_user", "L")
    assert message["button"] == {"id": answer["id"], "button_event": "ev", "label": "L", "value": "V", "metadata": {}}


def test_feedback_is_the_customers(client: Client) -> None:
    """The documented answer; a comment of more than 5,000 characters and an unknown conversation are refused."""
    client.open("cid")
    answer = client.post("/api/conversation-feedbacks/", {**FEEDBACK, "comment": "ok", "metadata": {"a": 1}})
    assert answer.status_code == 201
    assert set(answer.json()) == {"id", "conversation", "sentiment", "source", "comment", "metadata", "created_at"}
    assert (answer.json()["source"], answer.json()["comment"]) == ("customer", "ok")
    assert list(client.post("/api/conversation-feedbacks/", {**FEEDBACK, "comment": "x" * 5001}).json()) == ["comment"]
    assert client.post("/api/conversation-feedbacks/", {**FEEDBACK, "conversation_id": "no"}).status_code == 404
    assert client.post("/api/conversation-feedbacks/", {**FEEDBACK, "sentiment": "angry"}).status_code == 400


def test_cumulative_counters_are_not_summed(client: Client) -> None:
    """Unmarked counters are those of the whole tracker: 10, 25, 25 again and, after a restart, 4 make 29."""
    for prompt in (10, 25, 25, 4):
        answer = client.post("/api/action_logs/", usage(prompt, 0))
        assert answer.status_code == 201
        assert isinstance(answer.json()["id"], int)
    conversation = stored(client)
    assert conversation["token_usage"]["prompt_tokens"] == 29
    assert conversation["token_usage"]["totals"] == {"prompt_tokens": 29, "total_tokens": 29}
    assert conversation["messages"] == []


def test_marked_counters_are_summed(client: Client) -> None:
    """metadata.delta true says that each stands for itself."""
    for _ in range(2):
        client.post("/api/action_logs/", usage(10, 5, delta=True))
    assert stored(client)["token_usage"]["total_tokens"] == 30


@pytest.mark.parametrize("bad", [-1, 1.5, "10", True, 2**60])
def test_counters_are_whole_numbers(client: Client, bad: object) -> None:
    """Anything else is 400."""
    assert client.post("/api/action_logs/", usage(1, 1, embedding_tokens=bad)).status_code == 400


@pytest.mark.parametrize("key", ["order-7", "0198f1a2b3c47d5e8f00112233445566"])
def test_a_request_with_a_name_is_stored_once(client: Client, key: str) -> None:
    """The same Idempotency-Key a second time answers with the same id and stores nothing."""
    client.open("cid")
    for path, body in BODIES:
        named = {"Idempotency-Key": key if len(key) < 32 else f"{abs(hash(path)):032x}"}
        first, second = (client.post(path, body, headers=named) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["id"] == second.json()["id"]
    conversation = stored(client)
    assert (len(conversation["messages"]), len(conversation["feedbacks"])) == (3, 1)
    assert client.post("/api/track/", MESSAGE, headers={"Idempotency-Key": "x" * 256}).status_code == 400


def test_an_event_id_of_another_kind_is_refused(client: Client) -> None:
    """An Idempotency-Key that has become a message does not become an action or a button, and tokens are apart."""
    named = {"Idempotency-Key": "0" * 31 + "7"}
    assert client.post("/api/track/", MESSAGE, headers=named).status_code == 201
    for path, body in BODIES[1:3]:
        assert client.post(path, body, headers=named).status_code == 400
    assert client.post("/api/action_logs/", usage(3, 0, delta=True), headers=named).status_code == 201
    assert stored(client)["token_usage"]["prompt_tokens"] == 3


def test_methods_that_a_path_does_not_have_are_refused(client: Client) -> None:
    """405 with the documented text and the methods that there are."""
    answer = client.get("/api/buttons/")
    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "GET" not allowed.'})
    assert answer.headers["allow"] == "POST"


def test_the_slash_at_the_end_is_load_bearing(served: Served) -> None:
    """Without it, and on paths that are no route, the answer is an HTML page and 404, with or without a key."""
    client = served.client()
    for asked in (client, served.stranger()):
        for path in ("/api/track", "/api/conversations", "/api/conversations/1", "/api/nothing/", "/nothing/", "/api/"):
            answer = asked.request("POST", path, json=MESSAGE)
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("text/html")


def test_two_slashes_at_the_beginning_are_one(client: Client) -> None:
    """The oldest clients put an endpoint that ends in a slash before the path."""
    assert client.post("http://testserver//api/track/", MESSAGE).status_code == 201
