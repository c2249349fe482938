"""The serverless decorator: events as requests, bounded delivery, results and exceptions as they were."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import current_conversation
from agentsight_auto._runtime import Runtime, used_as_default
from agentsight_auto.events import ConversationEnded, ConversationStarted
from agentsight_auto.integrations.serverless import serverless_handler
from agentsight_auto.testing import Recording

FUNCTION_URL = {
    "version": "2.0",
    "rawPath": "/chats/p1",
    "rawQueryString": "chat=q1",
    "cookies": ["a=1", "chat=c1"],
    "headers": {"x-conversation-id": "h1", "accept-language": "de", "content-type": "application/json"},
    "requestContext": {"http": {"method": "POST", "sourceIp": "192.0.2.7"}},
    "body": base64.b64encode(b'{"chat": "j1"}').decode(),
    "isBase64Encoded": True,
}
PROXY = {
    "httpMethod": "POST",
    "path": "/chats/p1",
    "pathParameters": {"chat": "p1"},
    "queryStringParameters": {"chat": "q1"},
    "headers": {"X-Conversation-Id": "h1", "Cookie": "chat=c1", "Accept-Language": "de"},
    "requestContext": {"identity": {"sourceIp": "192.0.2.7"}},
    "body": '{"chat": "j1"}',
}


@pytest.mark.parametrize("event", [FUNCTION_URL, PROXY])
@pytest.mark.parametrize(
    ("id_from", "expected"),
    [
        ("header:X-Conversation-Id", "h1"),
        ("query:chat", "q1"),
        ("cookie:chat", "c1"),
        ("json:chat", "j1"),
        ("path:/chats/{id}", "p1"),
    ],
)
def test_http_events_are_read_as_requests(event: Any, id_from: str, expected: str, recorded: Recording) -> None:
    """Both payload formats, every place."""

    @serverless_handler(id_from=id_from)
    def handler(event: Any, context: Any) -> Any:
        current_conversation().track_human_message("hi")
        return {"statusCode": 200, "same": event}

    assert handler(event, None)["same"] is event
    (started,) = recorded.of(ConversationStarted)
    assert (started.conversation_id, started.language) == (expected, "de")
    assert started.customer_ip_address == "192.0.2.7"
    assert recorded.messages(expected) == [("end_user", "hi")]


def test_any_other_event_is_read_as_a_document(recorded: Recording) -> None:
    """A queue's message, a scheduler's call; what names none goes through."""

    @serverless_handler(id_from="json:detail.chat_id", source="queue")
    def handler(event: Any, context: Any = None) -> Any:
        scope = current_conversation()
        return scope and scope.conversation_id

    assert handler({"detail": {"chat_id": 7}}, None) == "7"
    for event in ({}, [], None, "text", {"detail": None}, {"x": object()}):
        assert handler(event) is None
    assert recorded.conversation_ids == ["7"]


def test_errors_pass_and_are_the_outcome(recorded: Recording) -> None:
    """An exception, and a response that says the server failed."""
    error = ValueError("broken")

    @serverless_handler()
    def handler(event: Any, context: Any) -> Any:
        if event.get("fails"):
            raise error
        return {"statusCode": 502}

    with pytest.raises(ValueError, match="broken") as raised:
        handler({"headers": {"x-conversation-id": "a"}, "fails": True}, None)
    assert raised.value is error
    handler({"headers": {"x-conversation-id": "b"}}, None)
    outcomes = {ended.conversation_id: ended.error for ended in recorded.of(ConversationEnded)}
    assert outcomes == {"a": "ValueError: broken", "b": "ServerErrorResponse: 502"}


def test_what_was_recorded_is_delivered_before_the_handler_returns(runtime: Runtime) -> None:
    """Also by a call that names no conversation: the process may be frozen after it."""

    @serverless_handler(flush_s=20)
    def handler(event: Any, context: Any) -> None:
        scope = current_conversation()
        if scope is not None:
            scope.track_human_message("hi")

    handler({"headers": {"x-conversation-id": "a"}}, None)
    assert runtime.pipeline.waiting().events == 0
    assert handler.__name__ == "handler"


def test_waiting_for_delivery_is_bounded(tmp_path: Path) -> None:
    """A destination that does not answer costs `flush_s`, and the event waits in the outbox."""

    class Stuck:
        def deliver(self, batch: Any) -> Any:
            time.sleep(30)

        def close(self) -> None:
            pass

    runtime = Runtime(home=tmp_path / "home", open_destination=Stuck)
    with used_as_default(runtime):

        @serverless_handler(flush_s=0.2)
        def handler(event: Any, context: Any) -> None:
            current_conversation().track_human_message(json.dumps(event))

        begun_at = time.monotonic()
        handler({"headers": {"x-conversation-id": "a"}}, None)
        assert 0.1 < time.monotonic() - begun_at < 5
        assert runtime.pipeline.waiting().events > 0


async def test_async_handlers_are_recorded_and_delivered_without_blocking_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side, each in its own conversation; what is recorded is stored when a call returns."""
    runtime = Runtime(home=tmp_path)
    ticks = 0

    @serverless_handler()
    async def handler(event: Any, context: Any = None) -> Any:
        chat = current_conversation()
        chat.track_human_message(event["headers"]["x-conversation-id"])
        await asyncio.sleep(0)
        assert current_conversation() is chat
        if event["headers"]["x-conversation-id"] == "broken":
            raise LookupError("no order")
        return {"statusCode": 200}

    flush = runtime.flush
    waits = threading.Event()

    def slow_flush(timeout_s: float) -> Any:
        waits.wait(10)
        return flush(timeout_s)

    async def tick() -> None:
        nonlocal ticks
        while ticks < 5:
            ticks += 1
            await asyncio.sleep(0)
        waits.set()

    monkeypatch.setattr(runtime, "flush", slow_flush)
    assert inspect.iscoroutinefunction(handler)
    with used_as_default(runtime):
        events = [{"headers": {"x-conversation-id": name}, "rawPath": "/"} for name in ("a", "b", "broken")]
        results = await asyncio.gather(*map(handler, events), tick(), return_exceptions=True)
        assert current_conversation() is None
        assert results[:2] == [{"statusCode": 200}] * 2
        assert isinstance(results[2], LookupError)
        stored = {name: runtime.backend().fetch_conversation(name) for name in ("a", "b", "broken")}
    runtime.shutdown(5)
    assert ticks == 5
    assert {name: [m["content"] for m in one["messages"]] for name, one in stored.items()} == {
        name: [name] for name in stored
    }
    assert "LookupError" in stored["broken"]["error"]
