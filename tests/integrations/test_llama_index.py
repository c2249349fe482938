"""llama-index over the real openai SDK, against a provider on a local port."""

from __future__ import annotations

from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation, track_action
from agentsight_auto._settings import load_settings
from agentsight_auto.integrations import registry
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, chat_answer, chat_chunks
from .support import calls, costs, usages

pytest.importorskip(
    "llama_index.core",
    reason="llama-index is not installed: it needs an environment of its own, see .ci/run",
)
openai_llm = pytest.importorskip("llama_index.llms.openai", reason="llama-index-llms-openai is not installed")

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

pytestmark = pytest.mark.filterwarnings("ignore")
ASKED = [ChatMessage(role="user", content="Where is A-17?")]


@pytest.fixture
async def llm(provider: Provider) -> Any:
    """A model at the provider."""
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as asynchronous:
        with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client:
            yield openai_llm.OpenAI(
                model="gpt-4o-mini",
                api_base=f"{provider.url}/v1",
                api_key="k",
                max_retries=0,
                openai_client=client,
                async_openai_client=asynchronous,
            )


@pytest.mark.parametrize("names", [("llama_index", "openai"), ("llama_index",)], ids=["with the SDK", "alone"])
async def test_chats_are_told_once(names: Any, llm: Any, provider: Provider, recorded: Recording) -> None:
    """Whole, async and streamed, whether the SDK beneath is instrumented or not."""
    agentsight_auto.instrument(*names)
    provider.will(
        Answer(chat_answer()), Answer(chat_answer(number=2)), Answer(events=chat_chunks("On ", "its way.", number=3))
    )
    with conversation("c"):
        assert llm.chat(ASKED).message.content == "On its way."
        await llm.achat(ASKED)
        list(llm.stream_chat(ASKED))
    assert [call["action_name"] for call in calls(recorded)] == ["chat gpt-4o-mini"] * 3
    assert usages(recorded)[:2] == [(100, 20, 120)] * 2
    assert costs(recorded)[:2] == [pytest.approx((100 * 0.15 + 20 * 0.6) / 1e6)] * 2


async def test_tools_are_actions(recorded: Recording) -> None:
    """Sync and async; the exception goes on."""
    agentsight_auto.instrument("llama_index")

    def find_order(order_id: str) -> str:
        """Find an order."""
        if order_id == "X":
            raise LookupError("no X")
        return f"{order_id} is shipped"

    tool = FunctionTool.from_defaults(find_order)
    with conversation("c"):
        assert str(tool.call(order_id="A-17")) == "A-17 is shipped"
        await tool.acall(order_id="B-1")
        with pytest.raises(LookupError):
            tool.call(order_id="X")
    first, second, failed = recorded.actions()
    assert (first["action_name"], first["response"]) == ("find_order", "A-17 is shipped")
    assert second["tools_used"]["parameters"] == {"order_id": "B-1"}
    assert "LookupError" in failed["error_msg"]


async def test_a_tracked_tool_is_told_once(recorded: Recording) -> None:
    """By its own function, sync and async, under whatever name the framework offers it."""
    agentsight_auto.instrument("llama_index", "threads")

    @track_action("Find an order")
    def find(order_id: str) -> str:
        return f"{order_id} is shipped"

    @track_action
    async def find_it(order_id: str) -> str:
        raise LookupError(f"no {order_id}")

    with conversation("c"):
        tool = FunctionTool.from_defaults(find, name="finder", description="Find an order.")
        tool.call(order_id="A-17")
        await tool.acall(order_id="B-1")
        with pytest.raises(LookupError):
            await FunctionTool.from_defaults(async_fn=find_it, name="it").acall(order_id="X")
    assert recorded.action_names() == ["Find an order", "Find an order", "find_it"]
    assert recorded.actions()[0]["metadata"] == {"kind": "tool", "by": "llama_index"}
    assert "LookupError" in recorded.actions()[2]["error_msg"]


@pytest.mark.parametrize("names", [("llama_index", "openai"), ("llama_index",)], ids=["with the SDK", "alone"])
async def test_failed_calls_are_told_once(names: Any, llm: Any, provider: Provider, recorded: Recording) -> None:
    """Whole, async and streamed, of chats and completions; the SDK's exception goes on, nothing stays current."""
    agentsight_auto.instrument(*names)
    refused = {"error": {"message": "no such model"}}
    provider.will(*[Answer(refused, status=404) for _ in range(5)], Answer(chat_answer()))
    with conversation("c") as chat:
        with pytest.raises(openai.NotFoundError):
            llm.chat(ASKED)
        with pytest.raises(openai.NotFoundError):
            await llm.achat(ASKED)
        with pytest.raises(openai.NotFoundError):
            list(llm.stream_chat(ASKED))
        with pytest.raises(openai.NotFoundError):
            async for _ in await llm.astream_chat(ASKED):
                pass
        with pytest.raises(openai.NotFoundError):
            llm.complete("Where?")
        assert agentsight_auto.current_conversation() is chat
        llm.chat(ASKED)
    *failed, fine = calls(recorded)
    assert [call["action_name"] for call in failed] == ["chat gpt-4o-mini"] * 5
    assert all("NotFound" in call["error_msg"] and call["parent_id"] is None for call in failed)
    assert fine["error_msg"] is None


@pytest.mark.parametrize("names", [("llama_index", "openai"), ("llama_index",)], ids=["with the SDK", "alone"])
async def test_streams_left_early_and_drained_elsewhere(
    names: Any, llm: Any, provider: Provider, recorded: Recording
) -> None:
    """Told once, in the conversation that opened them, with the time to the first token; nothing stays current."""
    agentsight_auto.instrument(*names)
    provider.will(Answer(events=chat_chunks("a", "b", "c")), Answer(events=chat_chunks("On ", "its way.", number=2)))
    with conversation("a") as chat:
        early = llm.stream_chat(ASKED)
        next(early)
        early.close()
        later = await llm.astream_chat(ASKED)
        assert agentsight_auto.current_conversation() is chat
    with conversation("b") as other:
        assert "".join([step.delta async for step in later]) == "On its way."
        assert agentsight_auto.current_conversation() is other
    assert calls(recorded, "b") == []
    first, second = calls(recorded, "a")
    assert first["metadata"]["is_closed_early"] is True
    assert "is_closed_early" not in second["metadata"]
    assert first["error_msg"] is second["error_msg"] is None
    if "openai" in names:
        assert second["metadata"]["time_to_first_token_ms"] > 0


async def test_the_token_handler_counts_and_records_no_action(
    llm: Any, provider: Provider, recorded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AGENTSIGHT_TOKEN_HANDLER_TYPE=llamaindex`: the totals grow without any call, as documented."""
    monkeypatch.setenv("AGENTSIGHT_TOKEN_HANDLER_TYPE", "llamaindex")
    registry.follow_settings(load_settings({}))
    provider.will(Answer(chat_answer()))
    with conversation("c") as chat:
        llm.chat(ASKED)
        assert chat.get_token_usage()["total_tokens"] == 120
    assert recorded.action_names() == []


async def test_uninstrument_restores(llm: Any, provider: Provider, recorded: Recording) -> None:
    """Nothing is recorded any more."""
    before = vars(FunctionTool)["call"]
    agentsight_auto.instrument("llama_index", "openai")
    assert vars(FunctionTool)["call"] is not before
    agentsight_auto.uninstrument()
    assert vars(FunctionTool)["call"] is before
    provider.will(Answer(chat_answer()))
    with conversation("c"):
        llm.chat(ASKED)
    assert recorded.action_names() == []
