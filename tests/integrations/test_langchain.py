"""langchain-core and langgraph, over the real langchain-openai and openai SDKs, against a provider on a local port."""

from __future__ import annotations

import warnings
from typing import Any

import httpx
import pytest

import agentsight_auto
from agentsight_auto import conversation, track_action
from agentsight_auto._runtime import default
from agentsight_auto.integrations import registry
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, chat_answer, chat_chunks
from .support import calls, costs, usages

pytest.importorskip("langchain_core", reason="langchain is not installed: pip install -e .[integrations-test]")
langchain_openai = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, tool


@tool
def find_order(order_id: str) -> str:
    """Find an order."""
    return f"{order_id} is shipped"


@tool
def fail(order_id: str) -> str:
    """Fail."""
    raise LookupError(f"no {order_id}")


@pytest.fixture(params=[("langchain", "openai"), ("langchain",)], ids=["with the SDK", "alone"])
def _instrumented(request: Any) -> None:
    agentsight_auto.instrument(*request.param)


@pytest.fixture
def model(provider: Provider) -> Any:
    """A chat model at the provider; no connection of it outlives its test's event loop."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return langchain_openai.ChatOpenAI(
        model="gpt-4o-mini",
        base_url=f"{provider.url}/v1",
        api_key="k",
        temperature=0,
        max_retries=1,
        http_client=httpx.Client(limits=limits),
        http_async_client=httpx.AsyncClient(limits=limits),
    )


@pytest.mark.usefixtures("_instrumented")
async def test_sync_and_async_calls_are_told_once(model: Any, provider: Provider, recorded: Recording) -> None:
    """The framework's record silences the SDK's; model, id, tokens and cost are there."""
    provider.will(Answer(chat_answer()), Answer(chat_answer(number=2)))
    with conversation("c"):
        assert model.invoke("Where is A-17?").content == "On its way."
        await model.ainvoke([HumanMessage("Where?")])
    first, second = calls(recorded)
    assert first["action_name"] == second["action_name"] == "chat gpt-4o-mini"
    assert first["tools_used"] == {"function": "langchain.chat", "parameters": {"temperature": 0}}
    assert first["metadata"]["provider"] == "openai"
    assert first["metadata"]["response_id"] == "chatcmpl-1"
    assert usages(recorded) == [(100, 20, 120)] * 2
    assert costs(recorded) == [pytest.approx((100 * 0.15 + 20 * 0.6) / 1e6)] * 2


@pytest.mark.usefixtures("_instrumented")
async def test_streams_belong_to_where_they_were_made(model: Any, provider: Provider, recorded: Recording) -> None:
    """Sync and async, drained under another conversation; with a call of a tool in pieces."""
    provider.will(
        Answer(events=chat_chunks("On ", "its way.")),
        Answer(events=chat_chunks(call=("find_order", ['{"order_id":', '"A-17"}']), number=2)),
    )
    with conversation("a"):
        stream = model.stream("Where?", stream_usage=True)
        astream = model.bind_tools([find_order]).astream("Where?", stream_usage=True)
    with conversation("b") as other:
        assert "".join(chunk.content for chunk in stream) == "On its way."
        async for _ in astream:
            assert agentsight_auto.current_conversation() is other
    assert calls(recorded, "b") == []
    first, second = calls(recorded, "a")
    assert first["metadata"]["time_to_first_token_ms"] > 0
    asked = [{"name": "find_order", "arguments": '{"order_id":"A-17"}'}]
    assert second["response"]["tool_calls"] == asked
    assert usages(recorded, "a") == [(100, 20, 120)] * 2


@pytest.mark.usefixtures("_instrumented")
def test_a_stream_left_early_and_one_that_fails(model: Any, provider: Provider, recorded: Recording) -> None:
    """Told as such; the exception is the SDK's."""
    provider.will(
        Answer(events=chat_chunks("a", "b", "c")),
        Answer({"error": {"message": "no such model"}}, status=404),
        Answer({"error": {"message": "no such model"}}, status=404),
    )
    with conversation("c"):
        stream = model.stream("Where?")
        next(stream)
        stream.close()
        with pytest.raises(Exception, match="no such model"):
            list(model.stream("Where?"))
        with pytest.raises(Exception, match="no such model"):
            model.invoke("Where?")
    early, *failed = calls(recorded)
    assert early["metadata"]["is_closed_early"] is True
    assert len(failed) == 2
    assert all("NotFound" in call["error_msg"] for call in failed)


async def test_tools_are_actions(recorded: Recording) -> None:
    """By their own names, sync and async, with arguments and result, or the error, which goes on."""
    agentsight_auto.instrument("langchain")
    with conversation("c"):
        assert find_order.invoke({"order_id": "A-17"}) == "A-17 is shipped"
        await find_order.ainvoke({"name": "find_order", "args": {"order_id": "B-1"}, "id": "1", "type": "tool_call"})
        with pytest.raises(LookupError, match="no A-17"):
            fail.invoke({"order_id": "A-17"})
        fail.handle_tool_error = True
    first, second, failed = recorded.actions()
    assert (first["action_name"], first["response"]) == ("find_order", "A-17 is shipped")
    assert first["tools_used"] == {"function": "find_order", "parameters": {"order_id": "A-17"}}
    assert second["response"] == "B-1 is shipped"
    assert "LookupError" in failed["error_msg"]


async def test_a_tracked_tool_is_told_once(recorded: Recording) -> None:
    """By its own function, in the decorator's words, in the run's place; what it calls lies inside it."""
    agentsight_auto.instrument("langchain")

    @track_action
    def look_up(order_id: str) -> str:
        return f"{order_id} is shipped"

    @tool("order_finder")
    @track_action("Find an order", capture_args=False, metadata={"team": "desk"})
    def find(order_id: str) -> str:
        """Find an order."""
        return look_up(order_id)

    class Finder(BaseTool):  # type: ignore[misc,unused-ignore]
        name: str = "finder"
        description: str = "Find an order."

        @track_action("Find it")
        def _run(self, order_id: str) -> str:
            raise LookupError(f"no {order_id}")

    with conversation("c"):
        assert find.invoke({"order_id": "A-17"}) == "A-17 is shipped"
        assert await find.ainvoke({"order_id": "B-1"}) == "B-1 is shipped"
        with pytest.raises(LookupError):
            Finder().invoke({"order_id": "A-17"})
    found, inner, again, _, failed = recorded.actions()
    assert recorded.action_names() == ["Find an order", "look_up", "Find an order", "look_up", "Find it"]
    assert (found["response"], found["tools_used"]) == ("A-17 is shipped", {"function": "find"})
    assert found["metadata"] == {"kind": "tool", "by": "langchain", "team": "desk"}
    assert inner["parent_id"] == found["id"]
    assert found["parent_id"] is again["parent_id"] is failed["parent_id"] is None
    assert "LookupError" in failed["error_msg"]


def test_a_tracked_helper_of_a_tool_is_no_tool(recorded: Recording) -> None:
    """Only the tool's own function takes the place of its run; a run that fails around it is told, too."""
    agentsight_auto.instrument("langchain")

    @track_action
    def look_up(order_id: str) -> str:
        return f"{order_id} is shipped"

    @tool
    def find(order_id: str) -> str:
        """Find an order."""
        return look_up(order_id)

    @tool(response_format="content_and_artifact")
    @track_action
    def find_pair(order_id: str) -> Any:
        """Find an order, and forget the artifact."""
        return order_id

    with conversation("c"):
        find.invoke({"order_id": "A-17"})
        with pytest.raises(ValueError, match="content_and_artifact"):
            find_pair.invoke({"order_id": "A-17"})
    outer, inner, run, returned = recorded.actions()
    assert (outer["action_name"], inner["parent_id"]) == ("find", outer["id"])
    assert (returned["action_name"], returned["error_msg"]) == ("find_pair", None)
    assert "ValueError" in run["error_msg"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream messages"])
async def test_a_graph_with_tools(way: str, model: Any, provider: Provider, recorded: Recording) -> None:
    """A langgraph agent: model, tool, model; everything in the conversation that ran the graph, in order."""
    graphs = pytest.importorskip("langgraph.graph", reason="langgraph is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older versions warn of their own parts
        from langgraph.prebuilt import ToolNode, tools_condition

    agentsight_auto.instrument("langchain", "openai", capture_messages=True)
    builder = graphs.StateGraph(graphs.MessagesState)
    builder.add_node("agent", lambda state: {"messages": [model.bind_tools([find_order]).invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([find_order]))
    builder.add_edge(graphs.START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    graph = builder.compile()
    asked = {"messages": [HumanMessage("Where is A-17?")]}
    if way == "stream messages":
        provider.will(
            Answer(events=chat_chunks(call=("find_order", ['{"order_id":', '"A-17"}']))),
            Answer(events=chat_chunks("It is ", "shipped.", number=2)),
        )
    else:
        answer = chat_answer(None, calls=[("find_order", {"order_id": "A-17"})])
        provider.will(Answer(answer), Answer(chat_answer("It is shipped.", number=2)))
    with conversation("c"):
        if way == "invoke":
            assert isinstance(graph.invoke(asked)["messages"][-1], AIMessage)
        elif way == "ainvoke":
            await graph.ainvoke(asked)
        else:
            list(graph.stream(asked, stream_mode="messages"))
    assert recorded.action_names() == ["chat gpt-4o-mini", "find_order", "chat gpt-4o-mini"]
    assert recorded.messages() == [("end_user", "Where is A-17?"), ("agent", "It is shipped.")]
    assert usages(recorded) == [(100, 20, 120)] * 2
    first, ran, _ = recorded.actions()
    assert first["response"]["tool_calls"][0]["name"] == "find_order"
    assert ran["tools_used"]["parameters"] == {"order_id": "A-17"}


def test_a_tracked_tool_that_pauses_its_graph_has_not_failed(recorded: Recording) -> None:
    """`interrupt()` leaves the tool by an exception, which is no error; the second run has the answer."""
    graphs = pytest.importorskip("langgraph.graph", reason="langgraph is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older versions warn of their own parts
        from langgraph.prebuilt import ToolNode
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command, interrupt

    agentsight_auto.instrument("langchain", "langgraph")

    @tool
    @track_action
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {interrupt('sure?')}"

    builder = graphs.StateGraph(graphs.MessagesState)
    builder.add_node("tools", ToolNode([pay]))
    builder.add_edge(graphs.START, "tools")
    graph = builder.compile(checkpointer=InMemorySaver())
    asked = {"name": "pay", "args": {"amount": 3}, "id": "1", "type": "tool_call"}
    thread: Any = {"configurable": {"thread_id": "1"}}
    with conversation("c"):
        graph.invoke({"messages": [AIMessage("", tool_calls=[asked])]}, thread)
        graph.invoke(Command(resume="yes"), thread)
    told = [(action["action_name"], action["error_msg"], action["response"]) for action in recorded.actions()]
    assert told == [("pay", None, None), ("pay", None, "paid yes")]


def test_the_token_handler_counts_and_records_no_action(
    model: Any, provider: Provider, recorded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AGENTSIGHT_TOKEN_HANDLER_TYPE=langchain`: the totals grow without any call, as documented."""
    monkeypatch.setenv("AGENTSIGHT_TOKEN_HANDLER_TYPE", "langchain")
    from agentsight_auto._settings import load_settings

    registry.follow_settings(load_settings({}))
    provider.will(Answer(chat_answer()))
    with conversation("c") as chat:
        model.invoke("Where?")
        assert chat.get_token_usage() == {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "embedding_tokens": 0,
        }
    assert recorded.action_names() == []
    assert usages(recorded) == [(100, 20, 120)]
    assert default().settings.token_handler_type == "langchain"


def test_a_graph_runs_where_its_stream_was_opened(model: Any, provider: Provider, recorded: Recording) -> None:
    """Opened in one conversation, drained in another: the first has its calls."""
    graphs = pytest.importorskip("langgraph.graph", reason="langgraph is not installed")
    agentsight_auto.instrument("langchain", "langgraph")
    builder = graphs.StateGraph(graphs.MessagesState)
    builder.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(graphs.START, "agent")
    graph = builder.compile()
    provider.will(Answer(chat_answer()))
    with conversation("a"):
        stream = graph.stream({"messages": [HumanMessage("Where?")]})
    with conversation("b"):
        assert len(list(stream)) == 1
    assert (len(calls(recorded, "a")), len(calls(recorded, "b"))) == (1, 0)


async def test_uninstrument_restores_the_graphs(model: Any, provider: Provider, recorded: Recording) -> None:
    """Their streams are the library's own, and follow their consumer again."""
    graphs = pytest.importorskip("langgraph.graph", reason="langgraph is not installed")
    from langgraph.pregel import Pregel

    before = {name: vars(Pregel)[name] for name in ("stream", "astream")}
    agentsight_auto.instrument("langchain", "langgraph")
    assert all(vars(Pregel)[name] is not before[name] for name in before)
    agentsight_auto.uninstrument("langgraph")
    assert all(vars(Pregel)[name] is before[name] for name in before)
    builder = graphs.StateGraph(graphs.MessagesState)
    builder.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(graphs.START, "agent")
    graph = builder.compile()
    provider.will(Answer(chat_answer()), Answer(chat_answer(number=2)))
    with conversation("a"):
        stream = graph.stream({"messages": [HumanMessage("Where?")]})
        astream = graph.astream({"messages": [HumanMessage("Where?")]})
    with conversation("b"):
        assert len(list(stream)) == 1
        assert len([step async for step in astream]) == 1
    assert (len(calls(recorded, "a")), len(calls(recorded, "b"))) == (0, 2)


def test_outside_a_conversation_and_after_uninstrument_nothing(
    model: Any, provider: Provider, recorded: Recording
) -> None:
    """The classes are as they were."""
    from langchain_core.language_models.chat_models import BaseChatModel

    agentsight_auto.instrument("langchain", "openai")
    provider.will(Answer(chat_answer()), Answer(chat_answer(number=2)))
    model.invoke("Where?")
    agentsight_auto.uninstrument()
    assert type(vars(BaseChatModel)["stream"]).__name__ == "function"
    with conversation("c"):
        model.invoke("Where?")
        find_order.invoke({"order_id": "A-17"})
    assert recorded.action_names() == []
