"""The batch route: many events, each answered for itself, exactly once by id."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from agentsight_auto.events import Action, Button, Feedback, Message, TokenUsage, encode_event

from .support import Client, Served

PATH = "/api/events/"


def event_id(number: int) -> str:
    return f"{number:032x}"


def message(number: int, conversation_id: str = "c", content: str = "hi") -> Message:
    return Message(event_id(number), conversation_id, 1_763_600_000_000_000 + number, "end_user", content)


def body_of(*events: Any) -> bytes:
    lines = [event if isinstance(event, bytes) else encode_event(event) for event in events]
    return b'{"events":[' + b",".join(lines) + b"]}"


def send(client: Client, *events: Any) -> list[dict[str, Any]]:
    answer = client.request("POST", PATH, content=body_of(*events))
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [result["status"] for result in results]


def test_events_of_many_conversations_are_stored(client: Client) -> None:
    """One answer per event, in order, with its id; every kind is known."""
    head = ("c2", 1_763_600_000_000_000)
    events = [
        message(1, "c1"),
        Action(event_id(2), *head, "act", duration_ms=0.125),
        Button(event_id(3), *head, "e", "L", "V"),
        TokenUsage(event_id(4), *head, 3, 4),
        Feedback(event_id(5), *head, "positive"),
    ]
    results = send(client, *events)
    assert results == [{"id": event_id(number), "status": "stored"} for number in range(1, 6)]
    assert sorted(client.listed()) == ["c1", "c2"]


def test_an_event_twice_is_a_duplicate(client: Client) -> None:
    """In one request and in the next; nothing is stored twice."""
    assert statuses(send(client, message(1), message(1), message(2))) == ["stored", "duplicate", "stored"]
    assert statuses(send(client, message(1), message(2))) == ["duplicate", "duplicate"]
    assert len(client.get("/api/conversations/1/").json()["messages"]) == 2


def test_a_bad_event_harms_only_itself(client: Client) -> None:
    """Unknown kinds, wrong types, too deep and unstorable ones are rejected with a reason and their place."""
    bad = [
        b'{"kind":"message","id":5}',
        b'{"kind":"nonsense","id":"' + event_id(8).encode() + b'"}',
        b"null",
        b'"text"',
        b"{}",
        encode_event(message(9)).replace(b'"end_user"', b'"robot"'),
        b'{"kind":"message","id":"' + event_id(10).encode() + b'","metadata":' + b'{"a":' * 70 + b"1" + b"}" * 71,
    ]
    results = send(client, message(1), *bad, message(2))
    assert statuses(results) == ["stored", *["rejected"] * len(bad), "stored"]
    assert all(result["reason"] for result in results[1:-1])
    assert [result["id"] for result in results[1:-1]] == [
        None,
        event_id(8),
        None,
        None,
        None,
        event_id(9),
        event_id(10),
    ]
    assert [results[place]["index"] for place in (1, 3, 4, 5)] == [1, 3, 4, 5]


def test_text_that_cannot_be_stored_is_mended(client: Client) -> None:
    """NUL and lone surrogates become U+FFFD; a whole pair stays what it is."""
    line = encode_event(message(1)).replace(b'"hi"', rb'"a\u0000b\ud800c\ud83d\ude00"')
    assert statuses(send(client, line, message(2))) == ["stored", "stored"]
    assert client.get("/api/conversations/1/").json()["messages"][0]["content"] == "a\ufffdb\ufffdc\U0001f600"


def test_a_batch_may_be_compressed(client: Client) -> None:
    """gzip, as the capabilities say."""
    content = gzip.compress(body_of(*(message(number) for number in range(1, 200))))
    answer = client.request("POST", PATH, content=content, headers={"Content-Encoding": "gzip"})
    assert statuses(answer.json()["results"]) == ["stored"] * 199


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"events":5}', b'{"events":{}}', b"{", b'{"events":[NaN]}', b"\xff"]
)
def test_what_is_no_batch_is_refused(client: Client, body: bytes) -> None:
    """400 with a JSON body."""
    answer = client.request("POST", PATH, content=body)
    assert answer.status_code == 400
    assert answer.json()


def test_an_empty_batch_is_fine(client: Client) -> None:
    """Nothing to store, nothing to answer."""
    assert send(client) == []


def test_the_same_id_of_two_agents_is_two_events(served: Served) -> None:
    """Event ids are unique per agent: nobody learns from a duplicate what another has stored."""
    for agent in ("one", "two"):
        assert statuses(send(served.client(agent), message(1))) == ["stored"]


def test_order_inside_a_conversation_is_that_of_capture(client: Client) -> None:
    """Whatever the order of arrival."""
    for number in (3, 1, 2):
        send(client, message(number, content=str(number)))
    said = [shape["content"] for shape in client.get("/api/conversations/1/").json()["messages"]]
    assert said == ["1", "2", "3"]


def test_a_large_batch_of_events_passes(client: Client) -> None:
    """Five thousand events in one request."""
    events = [message(number, f"c{number % 50}", "x" * 100) for number in range(1, 5001)]
    assert statuses(send(client, *events)) == ["stored"] * 5000
    assert json.loads(json.dumps(client.get("/api/conversations/").json()["count"])) == 50
