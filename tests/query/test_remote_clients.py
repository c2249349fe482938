from __future__ import annotations

import asyncio
import inspect
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import AgentSightAPI, AsyncAgentSightAPI, ConversationManager, ConversationTracker
from agentsight_auto._runtime import Runtime
from agentsight_auto._settings import HOSTED_ENDPOINT, check_remote, load_settings
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.exceptions import (
    ConfigurationException,
    ConversationNetworkException,
    InvalidQueryException,
    NoApiKeyException,
    NotFoundException,
    UnauthorizedException,
)
from tests.faultserver import KEY, Asked, Fault, FaultServer, fault_server

REMOTE_ELSEWHERE = "http://agentsight.example:8417"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that offers the batch route."""
    with fault_server() as running:
        yield running


def listing(asked: Asked) -> Fault | None:
    """Answer the list with two pages of one conversation each, and a lookup and a detail."""
    if asked.method != "GET" or not asked.path.startswith("/api/conversations/"):
        return None
    if asked.path.endswith("/attachments/"):
        body: Any = {"messages": [], "total_attachments": 0}
    elif asked.path.endswith("/lookup/"):
        body = {"id": 1, "conversation_id": asked.query["conversation_id"][0]}
    elif asked.path != "/api/conversations/":
        body = {"id": 1, "conversation_id": "c-1"}
    elif "cursor" in asked.query:
        body = {"count": 2, "next": None, "previous": None, "results": [{"id": 2}]}
    else:
        following = "https://api.agentsight.io/api/conversations/?page=2&cursor=abc"
        body = {"count": 2, "next": following, "previous": None, "results": [{"id": 1}]}
    return Fault("status", 200, body=json.dumps(body).encode())


# -- where events go -------------------------------------------------------------------------------------------------


def test_a_key_alone_means_the_hosted_api() -> None:
    """A key without an endpoint is spoken to at the documented address."""
    assert check_remote(load_settings({"api_key": KEY})) == (HOSTED_ENDPOINT, KEY)


def test_an_endpoint_without_a_key_fails_at_the_first_call_that_needs_it(server: FaultServer) -> None:
    """Making clients and recording work; asking says which setting is missing."""
    api, manager = AgentSightAPI(endpoint=server.url), ConversationManager(endpoint=server.url)
    with pytest.raises(NoApiKeyException, match="AGENTSIGHT_API_KEY"):
        api.fetch_conversations()
    with pytest.raises(NoApiKeyException):
        manager.mark_conversation(1, True)
    assert server.asked == []


def test_recording_for_an_endpoint_without_a_key_waits(server: FaultServer) -> None:
    """Nothing is sent and nothing is lost: sending says what is missing, and with a key it goes on its way."""
    tracker = ConversationTracker(endpoint=server.url)
    tracker.get_or_create_conversation("c-1")
    tracker.track_human_message("hello")
    with pytest.raises(NoApiKeyException):
        tracker.send_tracked_data()
    assert server.asked == []
    tracker.configure(api_key=KEY)
    tracker._runtime.flush(20)
    assert [event["kind"] for event in server.events.values()] == ["conversation", "message"]
    tracker._runtime.shutdown(2)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "api.localhost"])
def test_plain_http_to_this_machine_is_fine(host: str) -> None:
    """The loopback needs no encryption."""
    assert Runtime(endpoint=f"http://{host}:8417", api_key=KEY).settings.problems == ()


@pytest.mark.parametrize("host", ["agentsight.example", "192.168.1.5", "0.0.0.0", "[fe80::1]", "localhost.example"])
def test_plain_http_to_another_machine_is_refused_at_configuration(host: str) -> None:
    """As an argument it raises, unless it is said to be meant."""
    endpoint = f"http://{host}:8417"
    with pytest.raises(ConfigurationException, match="AGENTSIGHT_ALLOW_HTTP"):
        AgentSightAPI(endpoint=endpoint, api_key=KEY)
    runtime = Runtime(home="/nowhere")
    with pytest.raises(ConfigurationException):
        runtime.configure(endpoint=endpoint, api_key=KEY)
    assert not runtime.settings.is_remote
    assert Runtime(endpoint=endpoint, api_key=KEY, allow_http=True).settings.problems == ()


def test_plain_http_from_the_environment_keeps_events_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program goes on; reading says what is wrong, and nothing goes to another place than was meant."""
    monkeypatch.setenv("AGENTSIGHT_API_ENDPOINT", REMOTE_ELSEWHERE)
    monkeypatch.setenv("AGENTSIGHT_API_KEY", KEY)
    runtime = Runtime()
    with caplog.at_level(logging.WARNING):
        assert runtime.settings.endpoint == REMOTE_ELSEWHERE
    assert "AGENTSIGHT_ALLOW_HTTP" in caplog.text
    with pytest.raises(ConfigurationException, match="https://"):
        runtime.backend()
    with pytest.raises(ConfigurationException):
        runtime._destination_of_settings()
    monkeypatch.setenv("AGENTSIGHT_ALLOW_HTTP", "1")
    assert check_remote(Runtime().settings) == (REMOTE_ELSEWHERE, KEY)


def test_a_remote_api_loads_no_database(server: FaultServer, tmp_path: Path) -> None:
    """Recording to and reading from a remote API imports httpx, and SQLAlchemy not at all."""
    server.behave(listing)
    code = f"""
import sys, agentsight_auto
assert "httpx" not in sys.modules
agentsight_auto.configure(api_key={KEY!r}, endpoint={server.url!r})
with agentsight_auto.conversation("c-1") as chat:
    chat.track_human_message("hello")
assert agentsight_auto.agentsight_api.fetch_conversation("c-1")["id"] == 1
assert agentsight_auto.flush().is_complete
assert "httpx" in sys.modules and "sqlalchemy" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [event["kind"] for event in server.events.values()] == ["conversation", "message", "conversation_end"]


def test_changing_the_key_takes_effect_at_once(server: FaultServer) -> None:
    """A key that was refused does not pause the one that replaces it."""
    wrong = KEY.replace("0", "f")
    tracker = ConversationTracker(api_key=wrong, endpoint=server.url)
    tracker.get_or_create_conversation("c-1")
    tracker.track_human_message("hello")
    assert not tracker.send_tracked_data(timeout_s=0.5)["items"][1]["success"]
    tracker.configure(api_key=KEY)
    tracker.track_human_message("again")
    assert tracker.send_tracked_data(timeout_s=5)["items"][0]["success"]
    tracker._runtime.shutdown(2)


# -- reading one's own writes ----------------------------------------------------------------------------------------


def test_reads_and_edits_deliver_first(server: FaultServer) -> None:
    """What this process has recorded, open blocks included, arrives before the question is asked."""
    server.behave(listing)
    tracker = ConversationTracker(api_key=KEY, endpoint=server.url)
    runtime = tracker._runtime
    tracker.get_or_create_conversation("c-1")
    tracker.track_human_message("hello")
    runtime.backend().fetch_conversation("c-1")
    assert server.paths()[:3] == ["GET /api/me/", "POST /api/events/", "GET /api/conversations/lookup/"]
    runtime.shutdown(2)


def test_a_read_waits_two_seconds_at_most_for_delivery(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """While delivery hangs, reading goes on and a warning says that something is missing."""
    tracker = ConversationTracker(api_key=KEY, endpoint=server.url)
    tracker.get_or_create_conversation("c-1")
    server.behave(lambda asked: Fault("hang") if asked.path == "/api/me/" else listing(asked))
    started = time.monotonic()
    backend = tracker._runtime.backend()
    assert backend.fetch_conversation(1)["id"] == 1
    assert time.monotonic() - started < 6
    assert "1 recorded events are not in the store yet" in caplog.text
    server.behave(None)
    server._released.set()
    tracker._runtime.shutdown(2)


@pytest.mark.parametrize("capabilities", [("events-batch",), None], ids=["batches", "items"])
def test_items_carry_what_the_server_answered(capabilities: tuple[str, ...] | None) -> None:
    """Item by item the server's own reply; on the batch route the conversation's id, which the server tells."""
    with fault_server(capabilities) as server:
        server.conversations["c-1"] = 41
        tracker = ConversationTracker(api_key=KEY, endpoint=server.url)
        tracker.get_or_create_conversation("c-1")
        tracker.track_human_message("hello")
        first, second = tracker.send_tracked_data()["items"]
        tracker._runtime.shutdown(2)
    assert first["response"] == {"id": 41, "conversation_id": "c-1"}
    assert second["response"] == ({"conversation": 41} if capabilities else {"id": 1002, "stored": "track"})


def test_an_answer_that_cannot_be_asked_for_is_empty(server: FaultServer) -> None:
    """Sending succeeds although nobody can say which id the server gave."""
    server.behave(lambda asked: Fault("status", 500) if "conversations" in asked.path else None)
    tracker = ConversationTracker(api_key=KEY, endpoint=server.url)
    tracker.get_or_create_conversation("c-1")
    assert tracker.send_tracked_data()["items"][0]["response"] == {}
    tracker._runtime.shutdown(2)


# -- the asynchronous twin -------------------------------------------------------------------------------------------


def test_the_twin_has_the_same_methods_and_parameters() -> None:
    """Whatever the reading client takes, its twin takes."""
    for name in (
        "__init__",
        "configure",
        "fetch_conversations",
        "fetch_conversation",
        "fetch_conversation_attachments",
    ):
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (AsyncAgentSightAPI, AgentSightAPI))
        assert ours.parameters == theirs.parameters, name
    for name in ("fetch_conversations", "fetch_conversation", "fetch_conversation_attachments"):
        assert inspect.iscoroutinefunction(getattr(AsyncAgentSightAPI, name))
    assert inspect.isasyncgenfunction(AsyncAgentSightAPI.iter_conversations)


async def test_the_twin_reads_a_remote_api(server: FaultServer) -> None:
    """Pages, one conversation, attachments and the iterator over all pages."""
    server.behave(listing)
    async with AsyncAgentSightAPI(api_key=KEY, endpoint=server.url) as api:
        page = await api.fetch_conversations(is_marked=True, page_size=1)
        assert (page["count"], page["results"]) == (2, [{"id": 1}])
        assert await api.fetch_conversation("c-1") == {"id": 1, "conversation_id": "c-1"}
        assert (await api.fetch_conversation_attachments(1))["total_attachments"] == 0
        assert [row["id"] async for row in api.iter_conversations(device="mobile")] == [1, 2]
        assert await api.fetch_conversations(cursor=page["next"]) == await api.fetch_conversations(cursor="abc")
    assert server.asked[0].query["is_marked"] == ["true"]
    assert {asked.connection for asked in server.asked} == {1}


async def test_the_twin_raises_what_the_client_raises(server: FaultServer) -> None:
    """Documented exceptions, for arguments, statuses and silence."""
    async with AsyncAgentSightAPI(api_key=KEY.replace("0", "f"), endpoint=server.url) as api:
        with pytest.raises(UnauthorizedException):
            await api.fetch_conversation("c-1")
        with pytest.raises(InvalidQueryException):
            await api.fetch_conversations(is_marked="maybe")  # type: ignore[arg-type]
        with pytest.raises(NotFoundException):
            await api.fetch_conversations(page=0)
        server.refuse()
        with pytest.raises(ConversationNetworkException):
            await api.fetch_conversation(1)


async def test_the_twin_keeps_the_deadline_and_the_loop_free(server: FaultServer) -> None:
    """A server that sends a byte at a time holds neither the caller nor the event loop."""
    server.behave(Fault("trickle"))
    async with AsyncAgentSightAPI(api_key=KEY, endpoint=server.url) as api:
        reader = api._remote_reader(api._runtime)
        reader._client._deadline_s = 0.5
        asking = asyncio.ensure_future(api.fetch_conversation(1))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(ConversationNetworkException, match="in time"):
            await asking
    assert turns > 5


def test_the_twin_works_on_one_loop_after_another(server: FaultServer) -> None:
    """A client that outlives its event loop makes connections on the next one."""
    server.behave(listing)
    api = AsyncAgentSightAPI(api_key=KEY, endpoint=server.url)

    async def ask() -> int:
        found = await api.fetch_conversation(1)
        await api.aclose()
        return int(found["id"])

    assert [asyncio.run(ask()), asyncio.run(ask())] == [1, 1]


async def test_the_twin_reads_the_embedded_store_in_a_thread(tmp_path: Path) -> None:
    """Without a remote API the same calls answer from the file."""
    async with AsyncAgentSightAPI(home=tmp_path / "other") as api:
        tracker = ConversationTracker(home=tmp_path / "other")
        tracker.get_or_create_conversation("c-1")
        tracker.track_human_message("hello")
        tracker.send_tracked_data()
        tracker._runtime.shutdown(2)
        page = await api.fetch_conversations()
        assert [row["conversation_id"] for row in page["results"]] == ["c-1"]
        assert (await api.fetch_conversation("c-1"))["messages"][0]["content"] == "hello"
        assert [row["conversation_id"] async for row in api.iter_conversations()] == ["c-1"]
        assert (await api.fetch_conversation_attachments("c-1"))["total_attachments"] == 0
        with pytest.raises(NotFoundException):
            await api.fetch_conversation("c-2")


async def test_the_twin_of_a_disabled_library_answers_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGENTSIGHT_DISABLED=1 asks nobody, whatever else is set."""
    monkeypatch.setenv("AGENTSIGHT_DISABLED", "1")
    async with AsyncAgentSightAPI(api_key=KEY, endpoint="http://localhost:1") as api:
        assert (await api.fetch_conversations())["results"] == []


def test_a_delivery_error_names_no_key() -> None:
    """What the worker logs about a wrong endpoint does not tell the key."""
    runtime = Runtime(api_key=KEY, endpoint="http://127.0.0.1:1")
    destination = runtime._destination_of_settings()
    with pytest.raises(DeliveryError) as raised:
        destination.deliver([])
    assert "ags_" not in str(raised.value)
    destination.close()
