"""openai-agents, over the real openai SDK, against a provider on a local port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation
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
