"""pydantic-ai over the real openai SDK, against a provider on a local port."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation, track_action
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, chat_answer, chat_chunks
from .support import calls, usages

pydantic_ai = pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed: .[integrations-test]")
openai = pytest.importorskip("openai")

from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


@pytest.fixture(autouse=True)
def _instrumented() -> None:
    agentsight_auto.instrument("pydantic_ai", "openai")


@pytest.fixture
async def agent(provider: Provider) -> Any:
    """An agent with a tool that works and one that fails."""
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client:
        made: Any = pydantic_ai.Agent(OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client)))

        @made.tool_plain  # type: ignore[untyped-decorator,unused-ignore]
        def find_order(order_id: str) -> str:
            """Find an order."""
            return f"{order_id} is shipped"

        @made.tool_plain  # type: ignore[untyped-decorator,unused-ignore]
        def fail(order_id: str) -> str:
            """Fail."""
            raise LookupError(f"no {order_id}")

        yield made


async def test_a_run_with_a_tool(agent: Any, provider: Provider, recorded: Recording) -> None:
    """Model, tool, model; each once, with tokens once."""
    provider.will(
        Answer(chat_answer(None, calls=[("find_order", {"order_id": "A-17"})])),
        Answer(chat_answer("It is shipped.", number=2)),
    )
    async with conversation("c"):
        result = await agent.run("Where is A-17?")
    assert result.output == "It is shipped."
    assert recorded.action_names() == ["chat gpt-4o-mini", "find_order", "chat gpt-4o-mini"]
    ran = recorded.actions()[1]
    assert ran["tools_used"] == {"function": "find_order", "parameters": {"order_id": "A-17"}}
    assert ran["response"] == "A-17 is shipped"
    assert usages(recorded) == [(100, 20, 120)] * 2


async def test_a_streamed_run(agent: Any, provider: Provider, recorded: Recording) -> None:
    """The stream of the SDK beneath is told when it is drained."""
    provider.will(Answer(events=chat_chunks("It is ", "shipped.")))
    async with conversation("c"), agent.run_stream("Where?") as result:
        assert "".join([text async for text in result.stream_text(delta=True)]) == "It is shipped."
    (call,) = calls(recorded)
    assert call["metadata"]["time_to_first_token_ms"] > 0
    assert usages(recorded) == [(100, 20, 120)]


async def test_a_tool_that_fails(agent: Any, provider: Provider, recorded: Recording) -> None:
    """Its exception ends the run as it would anyway, and is told."""
    provider.will(Answer(chat_answer(None, calls=[("fail", {"order_id": "A-17"})])))
    async with conversation("c"):
        with pytest.raises(LookupError, match="no A-17"):
            await agent.run("Where?")
    assert "LookupError" in recorded.actions()[-1]["error_msg"]


async def test_a_tracked_tool_is_told_once(agent: Any, provider: Provider, recorded: Recording) -> None:
    """By its own function, sync and async; one that asks the model to try again has failed once."""

    @agent.tool_plain(name="finder", retries=1)
    @track_action("Find an order")
    def find(order_id: str) -> str:
        """Find an order."""
        if order_id == "?":
            raise pydantic_ai.ModelRetry("which order?")
        return f"{order_id} is shipped"

    @agent.tool
    @track_action
    async def find_it(ctx: pydantic_ai.RunContext[None], order_id: str) -> str:
        """Find an order."""
        return order_id

    asked = [[("finder", {"order_id": "?"})], [("finder", {"order_id": "A-17"})], [("find_it", {"order_id": "B-1"})]]
    answers = [chat_answer(None, calls=each, number=number) for number, each in enumerate(asked)]
    provider.will(*map(Answer, answers), Answer(chat_answer("It is shipped.", number=9)))
    async with conversation("c"):
        await agent.run("Where is it?")
    tools = [action for action in recorded.actions() if not action["action_name"].startswith("chat ")]
    assert [action["action_name"] for action in tools] == ["Find an order", "Find an order", "find_it"]
    assert all(action["parent_id"] is None for action in tools)
    assert "which order?" in tools[0]["error_msg"]
    assert [action["response"] for action in tools[1:]] == ["A-17 is shipped", "B-1"]


def test_a_run_from_a_program_without_a_loop(provider: Provider, recorded: Recording) -> None:
    """`Agent.run_sync` makes a loop of its own: everything is in the conversation around it."""
    provider.will(
        Answer(chat_answer(None, calls=[("find_order", {"order_id": "A-17"})])),
        Answer(chat_answer("It is shipped.", number=2)),
    )
    client = openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0)
    asked: Any = pydantic_ai.Agent(OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client)))

    @asked.tool_plain
    def find_order(order_id: str) -> str:
        """Find an order."""
        return f"{order_id} is shipped"

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with conversation("c"):
            asked.run_sync("Where is A-17?")
        loop.run_until_complete(client.close())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert recorded.action_names("c") == ["chat gpt-4o-mini", "find_order", "chat gpt-4o-mini"]
    assert usages(recorded, "c") == [(100, 20, 120)] * 2


async def test_uninstrument_restores(agent: Any, provider: Provider, recorded: Recording) -> None:
    """The toolset's method is the library's own."""
    from pydantic_ai.toolsets.function import FunctionToolset

    agentsight_auto.uninstrument()
    assert type(vars(FunctionToolset)["call_tool"]).__name__ == "function"
    provider.will(Answer(chat_answer()))
    async with conversation("c"):
        await agent.run("Where?")
    assert recorded.action_names() == []
