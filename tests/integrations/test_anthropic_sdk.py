"""The real `anthropic` SDK against a provider on a local port."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation, events
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, message_answer, message_events
from .support import calls, costs, only_call, usages

anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed: .[integrations-test]")

ASKED = [{"role": "user", "content": "Where is A-17?"}]
CHAT: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 256, "messages": ASKED}


@pytest.fixture(autouse=True)
def _instrumented() -> None:
    agentsight_auto.instrument("anthropic")


@pytest.fixture
def client(provider: Provider) -> Any:
    """A sync client of the provider."""
    with anthropic.Anthropic(base_url=provider.url, api_key="k") as made:
        yield made


@pytest.fixture
async def aclient(provider: Provider) -> Any:
    """An async client of the provider."""
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as made:
        yield made


def test_a_message_is_one_action_and_one_usage(client: Any, provider: Provider, recorded: Recording) -> None:
    """With the tool that it asks for."""
    provider.will(Answer(message_answer("Let me look.", call=("find_order", {"id": "A-17"}))))
    with conversation("c"):
        got = client.messages.create(**CHAT, tools=[{"name": "find_order", "input_schema": {"type": "object"}}])
    assert got.content[1].name == "find_order"
    call = only_call(recorded)
    assert call["action_name"] == "chat claude-sonnet-5"
    shown = {"max_tokens": 256, "tools": ["find_order"]}
    assert call["tools_used"] == {"function": "anthropic.messages", "parameters": shown}
    asked = [{"name": "find_order", "arguments": {"id": "A-17"}}]
    assert call["response"] == {"finish_reason": "tool_use", "tool_calls": asked}
    assert call["metadata"]["response_id"] == "msg_1"
    assert usages(recorded) == [(100, 20, 120)]
    assert costs(recorded) == [pytest.approx((100 * 2 + 20 * 10) / 1e6)]


def test_cached_input_is_part_of_the_prompt_and_has_its_price(
    client: Any, provider: Provider, recorded: Recording
) -> None:
    """Read from the cache, written for five minutes and for an hour: three prices. Priority has none in the table."""
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 20,
        "service_tier": "standard",
    }
    provider.will(
        Answer(message_answer(usage=usage)),
        Answer(message_answer(number=2, usage={**usage, "service_tier": "priority"})),
    )
    with conversation("c"):
        client.messages.create(**CHAT)
        client.messages.create(**CHAT)
    assert usages(recorded) == [(1310, 20, 1330)] * 2
    exact = (10 * 2 + 1000 * 0.2 + 200 * 2.5 + 100 * 4 + 20 * 10) / 1e6
    assert costs(recorded) == [pytest.approx(exact), None]


async def test_async_and_its_errors(aclient: Any, provider: Provider, recorded: Recording) -> None:
    """A refused key is the SDK's exception, and an action with an error."""
    refused = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    provider.will(Answer(message_answer()), Answer(refused, status=401))
    async with conversation("c"):
        await aclient.messages.create(**CHAT)
        with pytest.raises(anthropic.AuthenticationError):
            await aclient.messages.create(**CHAT)
    fine, failed = calls(recorded)
    assert fine["error_msg"] is None
    assert "AuthenticationError" in failed["error_msg"]
    assert usages(recorded) == [(100, 20, 120)]


def test_streams_low_and_high(client: Any, provider: Provider, recorded: Recording) -> None:
    """``create(stream=True)`` and ``messages.stream()``, each drained under another conversation."""
    provider.will(
        Answer(events=message_events("On ", "its way.")),
        Answer(events=message_events("Look", number=2, call=("find_order", ['{"id": ', '"A-17"}']))),
    )
    with conversation("a"):
        low = client.messages.create(**CHAT, stream=True)
        manager = client.messages.stream(**CHAT)
        with manager as high:
            with conversation("b"):
                assert [event.type for event in low][-1] == "message_stop"
                assert "".join(high.text_stream) == "Look"
            assert high.get_final_message().usage.output_tokens == 20
    first, second = calls(recorded, "a")
    assert calls(recorded, "b") == []
    assert first["response"] == {"finish_reason": "end_turn"}
    assert second["response"]["tool_calls"] == [{"name": "find_order", "arguments": '{"id": "A-17"}'}]
    assert first["metadata"]["time_to_first_token_ms"] > 0
    assert usages(recorded, "a") == [(100, 20, 120)] * 2
    assert recorded.of(events.TokenUsage)[0].metadata["response_id"] == "msg_1"  # type: ignore[index]


async def test_async_streams(aclient: Any, provider: Provider, recorded: Recording) -> None:
    """Drained, and left early."""
    provider.will(Answer(events=message_events("a", "b")), Answer(events=message_events("a", "b", number=2)))
    with conversation("c"):
        async with aclient.messages.stream(**CHAT) as stream:
            assert [text async for text in stream.text_stream] == ["a", "b"]
        async with aclient.messages.stream(**CHAT) as stream:
            async for _ in stream:
                break
        gc.collect()
    assert [call["metadata"].get("is_closed_early") for call in calls(recorded)] == [None, True]


def test_counting_tokens_is_no_model_call(client: Any, provider: Provider, recorded: Recording) -> None:
    """Only what calls a model is recorded."""
    provider.will(Answer({"input_tokens": 12}))
    with conversation("c"):
        client.messages.count_tokens(model="claude-sonnet-5", messages=ASKED)
    assert recorded.action_names() == []


def test_messages_where_asked(client: Any, provider: Provider, recorded: Recording) -> None:
    """Results of tools, which the API calls the user's, are not the customer's words."""
    agentsight_auto.instrument("anthropic", capture_messages=True)
    provider.will(Answer(message_answer("Let me look.", call=("find", {}))), Answer(message_answer(number=2)))
    with conversation("c"):
        first = client.messages.create(**CHAT)
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "shipped"}
        turns = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        client.messages.create(**{**CHAT, "messages": turns})
    said = [("end_user", "Where is A-17?"), ("agent", "Let me look."), ("agent", "On its way.")]
    assert recorded.messages() == said


def test_uninstrument_restores(client: Any, provider: Provider, recorded: Recording) -> None:
    """Nothing is recorded any more, and the function is the SDK's own."""
    import anthropic._base_client as base

    agentsight_auto.uninstrument("anthropic")
    assert type(vars(base.SyncAPIClient)["request"]).__name__ == "function"
    provider.will(Answer(message_answer()))
    with conversation("c"):
        client.messages.create(**CHAT)
    assert calls(recorded) == []
