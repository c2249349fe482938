"""openai-agents, over the real openai SDK, against a provider on a local port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation, track_action
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, chat_answer, chat_chunks, response_answer, response_events
from .support import calls, usages

agents = pytest.importorskip("agents", reason="openai-agents is not installed: pip install -e .[integrations-test]")
openai = pytest.importorskip("openai")


@agents.function_tool
def find_order(order_id: str) -> str:
    """Find an order."""
    return f"{order_id} is shipped"


@agents.function_tool(failure_error_function=None)
def fail(order_id: str) -> str:
    """Fail."""
    raise LookupError(f"no {order_id}")


@pytest.fixture(params=[False, True], ids=["traced", "tracing off"])
def _tracing(request: Any) -> Iterator[None]:
    agents.set_trace_processors([])
    agents.set_tracing_disabled(request.param)
    yield
    agents.set_tracing_disabled(True)


@pytest.fixture
async def client(provider: Provider) -> Any:
    """A client of the provider."""
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as made:
        yield made


def chat_agent(client: Any, *tools: Any) -> Any:
    """An agent over chat completions."""
    model = agents.OpenAIChatCompletionsModel(model="gpt-4o-mini", openai_client=client)
    return agents.Agent(name="desk", instructions="Be kind.", model=model, tools=list(tools))


@pytest.mark.usefixtures("_tracing")
@pytest.mark.parametrize("names", [("openai_agents", "openai"), ("openai_agents",)], ids=["with the SDK", "alone"])
async def test_a_run_with_a_tool(names: Any, client: Any, provider: Provider, recorded: Recording) -> None:
    """Model, tool, model; each once, with tokens once."""
    agentsight_auto.instrument(*names)
    provider.will(
        Answer(chat_answer(None, calls=[("find_order", {"order_id": "A-17"})])),
        Answer(chat_answer("It is shipped.", number=2)),
    )
    async with conversation("c"):
        result = await agents.Runner.run(chat_agent(client, find_order), "Where is A-17?")
    assert result.final_output == "It is shipped."
    assert recorded.action_names() == ["chat gpt-4o-mini", "find_order", "chat gpt-4o-mini"]
    first, ran, second = recorded.actions()
    assert usages(recorded) == [(100, 20, 120)] * 2
    assert ran["tools_used"] == {"function": "find_order", "parameters": {"order_id": "A-17"}}
    assert ran["response"] == "A-17 is shipped"
    assert first["error_msg"] is second["error_msg"] is None
    if len(names) == 2:
        assert first["metadata"]["response_id"] == "chatcmpl-1"


@pytest.mark.usefixtures("_tracing")
async def test_streams_and_the_responses_api(client: Any, provider: Provider, recorded: Recording) -> None:
    """A streamed run over chat completions, and runs over the Responses API, whole and streamed."""
    agentsight_auto.instrument("openai_agents", "openai")
    provider.will(
        Answer(events=chat_chunks("It is ", "shipped.")),
        Answer(response_answer("It is shipped.", number=2)),
        Answer(events=response_events("It is ", "shipped.", number=3)),
    )
    model = agents.OpenAIResponsesModel(model="gpt-4.1", openai_client=client)
    asked = agents.Agent(name="desk", model=model)
    async with conversation("c"):
        streamed = agents.Runner.run_streamed(chat_agent(client), "Where?")
        async for _ in streamed.stream_events():
            pass
        await agents.Runner.run(asked, "Where?")
        streamed = agents.Runner.run_streamed(asked, "Where?")
        async for _ in streamed.stream_events():
            pass
    names = [call["action_name"] for call in calls(recorded)]
    assert [name.partition("-20")[0] for name in names] == ["chat gpt-4o-mini", "chat gpt-4.1", "chat gpt-4.1"]
    assert usages(recorded) == [(100, 20, 120)] * 3


@pytest.mark.usefixtures("_tracing")
async def test_errors_of_models_and_tools(client: Any, provider: Provider, recorded: Recording) -> None:
    """They reach the program as the framework raises them, and are told."""
    agentsight_auto.instrument("openai_agents", "openai")
    provider.will(
        Answer({"error": {"message": "no such model"}}, status=404),
        Answer(chat_answer(None, calls=[("fail", {"order_id": "A-17"})])),
    )
    async with conversation("c"):
        with pytest.raises(openai.NotFoundError):
            await agents.Runner.run(chat_agent(client), "Where?")
        with pytest.raises(Exception, match="A-17"):
            await agents.Runner.run(chat_agent(client, fail), "Where?")
    names = recorded.action_names()
    assert names == ["chat gpt-4o-mini", "chat gpt-4o-mini", "fail"]


@pytest.mark.usefixtures("_tracing")
async def test_a_tracked_tool_is_told_once(client: Any, provider: Provider, recorded: Recording) -> None:
    """By its own function, under whatever name the framework offers it; a failure that it turns into text, too."""
    agentsight_auto.instrument("openai_agents", "openai")

    @agents.function_tool
    @track_action("Find an order")
    def find_one(order_id: str) -> str:
        """Find an order."""
        return f"{order_id} is shipped"

    @agents.function_tool(name_override="finder")
    @track_action
    async def find_it(order_id: str) -> str:
        """Find an order."""
        raise LookupError(f"no {order_id}")

    asked = [("find_one", {"order_id": "A-17"}), ("finder", {"order_id": "B-1"})]
    provider.will(Answer(chat_answer(None, calls=asked)), Answer(chat_answer("It is shipped.", number=2)))
    async with conversation("c"):
        await agents.Runner.run(chat_agent(client, find_one, find_it), "Where are A-17 and B-1?")
    chat = "chat gpt-4o-mini"
    assert sorted(recorded.action_names()) == sorted([chat, "Find an order", "find_it", chat])
    told = {action["action_name"]: action for action in recorded.actions()}
    assert told["Find an order"]["metadata"] == {"kind": "tool", "by": "openai_agents"}
    assert told["Find an order"]["parent_id"] is None
    assert "LookupError" in told["find_it"]["error_msg"]


def test_a_run_from_a_program_without_a_loop(provider: Provider, recorded: Recording) -> None:
    """`Runner.run_sync` makes a loop of its own: everything is in the conversation around it."""
    agentsight_auto.instrument("openai_agents", "openai")
    agents.set_tracing_disabled(True)
    provider.will(
        Answer(chat_answer(None, calls=[("find_order", {"order_id": "A-17"})])),
        Answer(chat_answer("It is shipped.", number=2)),
    )
    made = openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with conversation("c"):
            agents.Runner.run_sync(chat_agent(made, find_order), "Where is A-17?")
        loop.run_until_complete(made.close())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert recorded.action_names("c") == ["chat gpt-4o-mini", "find_order", "chat gpt-4o-mini"]
    assert usages(recorded, "c") == [(100, 20, 120)] * 2


async def test_uninstrument_restores_the_spans(client: Any, provider: Provider, recorded: Recording) -> None:
    """Nothing is recorded any more."""
    from agents.tracing import spans

    agents.set_tracing_disabled(True)
    agentsight_auto.instrument("openai_agents")
    agentsight_auto.uninstrument()
    assert type(vars(spans.SpanImpl)["start"]).__name__ == "function"
    provider.will(Answer(chat_answer()))
    async with conversation("c"):
        await agents.Runner.run(chat_agent(client), "Where?")
    assert json.dumps(recorded.action_names()) == "[]"
