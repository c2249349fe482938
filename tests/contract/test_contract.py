"""Every documented method of tracker, api and manager: the same on the embedded store and over our server."""

from __future__ import annotations

import urllib.request
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from agentsight_auto import AgentSightAPI, AsyncAgentSightAPI, ConversationManager, ConversationTracker, flush
from agentsight_auto.exceptions import ForbiddenException, NotFoundException, UnauthorizedException

from .places import Clients, Server, clients_over, comparable, missing_from
from .stories import FILTERS, PNG, STORIES, ids, listing, tell


@cache
def on_the_embedded_store(story: str) -> Any:
    """What a story is answered on the embedded store."""
    with TemporaryDirectory() as folder, clients_over(Path(folder), None) as clients:
        return comparable(STORIES[story](clients))


@pytest.mark.parametrize("story", STORIES)
def test_a_story_is_answered_alike_everywhere(clients: Clients, story: str) -> None:
    """Results and exceptions are equal but for ids, URLs and the store's own moments."""
    found = comparable(STORIES[story](clients))
    assert missing_from(on_the_embedded_store(story), found) == []


def test_every_documented_method_is_in_a_story() -> None:
    """No public method of the three clients is left out."""
    told = (Path(__file__).parent / "stories.py").read_text() + Path(__file__).read_text()
    for kind in (ConversationTracker, AgentSightAPI, ConversationManager, AsyncAgentSightAPI):
        for name in vars(kind):
            is_told = any(f".{name}{mark}" in told for mark in "(,)")
            assert name.startswith("_") or name == "aclose" or is_told, name


def test_the_filters_find_what_they_should(clients: Clients) -> None:
    """The stories do not merely agree: known answers to known filters."""
    tell(clients)
    expected = {
        "nothing": ["shop-3", "shop-2", "shop-1"],
        "conversation_id in part": [],
        "customer_id": ["shop-1"],
        "customer_id in part": ["shop-2", "shop-1"],
        "name in part": ["shop-1"],
        "another environment": ["shop-3"],
        "has no messages": ["shop-3"],
        "percent": ["shop-1"],
        "a wildcard that is none": [],
        "metadata": ["shop-1"],
        "feedback_sentiment": ["shop-1"],
        "ordering": ["shop-2", "shop-1", "shop-3"],
        "page": ["shop-1"],
        "strange text": [],
    }
    for name, found in expected.items():
        assert ids(clients.api.fetch_conversations(**FILTERS[name])) == found, name


def test_attachments_can_be_fetched_from_their_urls(clients: Clients, server: Server | None) -> None:
    """What was attached comes back byte by byte, from the file or from the server."""
    tell(clients)
    attached = clients.api.fetch_conversation_attachments("shop-1")["messages"]
    contents = []
    for message in attached:
        for attachment in message["attachments"]:
            url = attachment["file_url"]
            if server is None:
                contents.append(urllib.request.urlopen(url).read())
            else:
                contents.append(httpx.get(url, trust_env=False).raise_for_status().content)
    assert contents == [PNG, b"12 EUR"]


async def test_the_asynchronous_client_agrees_with_the_other(clients: Clients) -> None:
    """Page, iterator, conversation and attachments are the same."""
    tell(clients)
    api, async_api = clients.api, clients.async_api
    async with async_api:
        page = await async_api.fetch_conversations(page_size=2)
        assert comparable(page) == comparable(api.fetch_conversations(page_size=2))
        every = [row["conversation_id"] async for row in async_api.iter_conversations(page_size=1)]
        assert every == [row["conversation_id"] for row in api.iter_conversations()]
        for ask, ask_other in (
            (async_api.fetch_conversation, api.fetch_conversation),
            (async_api.fetch_conversation_attachments, api.fetch_conversation_attachments),
        ):
            assert comparable(await ask("shop-1")) == comparable(ask_other("shop-1"))
        with pytest.raises(NotFoundException):
            await async_api.fetch_conversation("nobody")
        async_api.configure(log_level="WARNING")


def test_a_hundred_conversations_arrive_once(clients: Clients) -> None:
    """What is recorded block by block is there after a flush, in its order, and pages hold it all."""
    from agentsight_auto import conversation

    for number in range(100):
        with conversation(f"bulk-{number:03}", customer_id="bulk") as chat:
            chat.track_human_message(f"question {number}")
            chat.track_agent_message(f"answer {number}")
    report = flush(20)
    assert report.is_complete
    assert (report.rejected, report.lost) == ({}, {})
    rows = list(clients.api.iter_conversations(customer_id="bulk", page_size=30))
    assert [row["conversation_id"] for row in rows] == [f"bulk-{number:03}" for number in reversed(range(100))]
    assert [[message["content"][:6] for message in row["messages"]] for row in rows] == [["questi", "answer"]] * 100


@pytest.fixture
def two_agents(server: Server | None) -> Server:
    """The server, for what only a server has."""
    if server is None:
        pytest.skip("the embedded store has one agent and no keys")
    return server


def test_another_agent_s_conversations_are_absent(two_agents: Server, tmp_path: Path) -> None:
    """Neither listed nor found by text id or integer id."""
    with clients_over(tmp_path / "one", two_agents) as clients:
        tell(clients)
        pk = clients.api.fetch_conversation("shop-1")["id"]
    with clients_over(tmp_path / "other", two_agents) as clients:
        assert clients.api.fetch_conversations()["count"] == 0
        for conversation_id in ("shop-1", pk):
            with pytest.raises(NotFoundException):
                clients.api.fetch_conversation(conversation_id)
            with pytest.raises(NotFoundException):
                clients.manager.mark_conversation(conversation_id, True)


def test_keys_that_may_not_are_told_so(two_agents: Server, tmp_path: Path) -> None:
    """A read key reads and does not edit; an unknown key does neither; what they record waits."""
    with clients_over(tmp_path / "one", two_agents, two_agents.new_key(agent="roles")) as clients:
        tell(clients)
    with clients_over(tmp_path / "two", two_agents, two_agents.new_key("read", agent="roles")) as clients:
        assert ids(clients.api.fetch_conversations()) == ["shop-3", "shop-2", "shop-1"]
        with pytest.raises(ForbiddenException):
            clients.manager.mark_conversation("shop-1", True)
        clients.tracker.get_or_create_conversation("mine")
        assert not clients.tracker.send_tracked_data(timeout_s=0.3)["items"][0]["success"]
    unknown = f"ags_{'0' * 32}_{'0' * 6}"
    with clients_over(tmp_path / "three", two_agents, unknown) as clients, pytest.raises(UnauthorizedException):
        clients.api.fetch_conversations()


def test_listing_is_a_story_with_results() -> None:
    """The reference answers hold conversations and exceptions, so that agreeing with them says something."""
    answers = on_the_embedded_store(listing.__name__)
    assert sum("raised" in answer for answer in answers.values()) == 7
    assert sum(bool(answer.get("results")) for answer in answers.values()) > 25
