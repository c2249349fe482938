"""The real `openai` SDK against a provider on a local port: what is recorded, and that nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation, events, track_action
from agentsight_auto.integrations.model_call import start_call
from agentsight_auto.integrations.openai_replies import ChatChunks
from agentsight_auto.integrations.replies import Request
from agentsight_auto.integrations.streams import Pending, follow_async
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, chat_answer, chat_chunks, response_answer, response_events
from .support import calls, costs, only_call, usages

openai = pytest.importorskip("openai", reason="the openai SDK is not installed: pip install -e .[integrations-test]")

ASKED = [{"role": "user", "content": "Where is A-17?"}]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": ASKED}


@pytest.fixture(autouse=True)
def _instrumented() -> None:
    agentsight_auto.instrument("openai")


@pytest.fixture
def client(provider: Provider) -> Any:
    """A sync client of the provider."""
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=2) as made:
        yield made


@pytest.fixture
async def aclient(provider: Provider) -> Any:
    """An async client of the provider."""
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as made:
        yield made


def test_a_call_is_one_action_and_one_usage(client: Any, provider: Provider, recorded: Recording) -> None:
    """Model, reply, tokens and cost are told once, inside the action that made the call."""
    provider.will(Answer(chat_answer()))
    with conversation("c"), track_action("answer"):
        got = client.chat.completions.create(**CHAT, temperature=0.5)
    assert got.choices[0].message.content == "On its way."
    call = only_call(recorded)
    assert call["action_name"] == "chat gpt-4o-mini"
    (outer,) = [action for action in recorded.actions() if action["action_name"] == "answer"]
    assert call["parent_id"] == outer["id"]
    assert call["tools_used"] == {"function": "openai.chat", "parameters": {"temperature": 0.5}}
    assert call["response"] == {"finish_reason": "stop"}
    assert call["error_msg"] is None
    assert call["duration_ms"] > 0
    metadata = call["metadata"]
    assert metadata["response_model"] == "gpt-4o-mini-2024-07-18"
    assert metadata["response_id"] == "chatcmpl-1"
    assert (metadata["prompt_tokens"], metadata["completion_tokens"]) == (100, 20)
    assert usages(recorded) == [(100, 20, 120)]
    assert costs(recorded) == [pytest.approx((100 * 0.15 + 20 * 0.6) / 1e6)]
    assert recorded.messages() == []


def test_outside_a_conversation_nothing_is_recorded(client: Any, provider: Provider, recorded: Recording) -> None:
    """No conversation opens by itself, and the call is untouched."""
    provider.will(Answer(chat_answer()), Answer(events=chat_chunks("a", "b")))
    client.chat.completions.create(**CHAT)
    assert len(list(client.chat.completions.create(**CHAT, stream=True))) == 5
    assert recorded.events == []


def test_where_asked_a_call_outside_opens_a_conversation(client: Any, provider: Provider, recorded: Recording) -> None:
    """`implicit_conversations=True` records it into one of its own."""
    agentsight_auto.instrument("openai", implicit_conversations=True)
    provider.will(Answer(chat_answer()))
    client.chat.completions.create(**CHAT)
    assert len(calls(recorded)) == 1
    assert len(recorded.conversation_ids) == 1


def test_without_consent_nothing_is_recorded(client: Any, provider: Provider, recorded: Recording) -> None:
    """`record=False` holds for model calls too."""
    provider.will(Answer(chat_answer()))
    with conversation("c", record=False):
        client.chat.completions.create(**CHAT)
    assert recorded.events == []


async def test_async_calls_are_recorded(aclient: Any, provider: Provider, recorded: Recording) -> None:
    """As sync ones are."""
    provider.will(Answer(chat_answer()))
    async with conversation("c"):
        await aclient.chat.completions.create(**CHAT)
    assert only_call(recorded)["action_name"] == "chat gpt-4o-mini"
    assert usages(recorded) == [(100, 20, 120)]


def test_requested_tool_calls_are_told(client: Any, provider: Provider, recorded: Recording) -> None:
    """By name and arguments; the tools offered by name."""
    provider.will(Answer(chat_answer(None, calls=[("find_order", {"id": "A-17"})])))
    tool = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}
    with conversation("c"):
        client.chat.completions.create(**CHAT, tools=[tool])
    call = only_call(recorded)
    assert call["tools_used"]["parameters"] == {"tools": ["find_order"]}
    asked = [{"name": "find_order", "arguments": '{"id": "A-17"}'}]
    assert call["response"] == {"finish_reason": "tool_calls", "tool_calls": asked}


def test_errors_pass_through_and_retries_are_counted(client: Any, provider: Provider, recorded: Recording) -> None:
    """A call that succeeds at the second try, and one that fails after all of them."""
    busy = Answer({"error": {"message": "busy", "type": "server_error"}}, status=503, headers={"retry-after-ms": "1"})
    wrong = Answer({"error": {"message": "no such model", "code": "model_not_found"}}, status=404)
    provider.will(busy, Answer(chat_answer()), busy, busy, busy, wrong)
    with conversation("c"):
        client.chat.completions.create(**CHAT)
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(**CHAT)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**CHAT)
    assert caught.value.status_code == 503
    retried, failed, missing = calls(recorded)
    assert (retried["metadata"]["retries"], retried["error_msg"]) == (1, None)
    assert failed["metadata"]["retries"] == 2
    assert "InternalServerError" in failed["error_msg"]
    assert "no such model" in missing["error_msg"]
    assert usages(recorded) == [(100, 20, 120)]


def test_a_stream_belongs_to_the_conversation_it_was_opened_in(
    client: Any, provider: Provider, recorded: Recording
) -> None:
    """It is drained under another one, and its usage and first token are told."""
    provider.will(Answer(events=chat_chunks("On ", "its ", "way.")))
    with conversation("a"):
        stream = client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        assert isinstance(stream, openai.Stream)
    with conversation("b"):
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "On its way."
    call = only_call(recorded, "a")
    assert calls(recorded, "b") == []
    assert 0 < call["metadata"]["time_to_first_token_ms"] <= call["duration_ms"]
    assert call["response"] == {"finish_reason": "stop"}
    assert usages(recorded, "a") == [(100, 20, 120)]


def test_the_request_is_the_users_to_the_byte(client: Any, provider: Provider, recorded: Recording) -> None:
    """No option is added to a stream; without usage in it none is invented."""
    provider.will(Answer(events=chat_chunks("a", usage=None)), Answer(events=chat_chunks("a", usage=None)))
    with conversation("c"):
        list(client.chat.completions.create(**CHAT, stream=True))
    agentsight_auto.uninstrument()
    list(client.chat.completions.create(**CHAT, stream=True))
    assert provider.asked[0].raw == provider.asked[1].raw
    assert json.loads(provider.asked[0].raw) == {**CHAT, "stream": True}
    assert usages(recorded) == []
    assert "cost_usd" not in only_call(recorded)["metadata"]


@pytest.mark.parametrize("way", ["with", "close", "break", "drop unread", "generator closed"])
def test_a_stream_that_is_not_drained_is_told_as_closed_early(
    way: str, client: Any, provider: Provider, recorded: Recording
) -> None:
    """However it ends, the call is recorded once, with what had arrived."""
    provider.will(Answer(events=chat_chunks("On ", "its ", "way.")))
    with conversation("c"):
        stream = client.chat.completions.create(**CHAT, stream=True)
        if way == "with":
            with stream:
                next(stream)
        elif way == "close":
            next(stream)
            stream.close()
        elif way == "break":
            for _ in stream:
                break
        elif way == "generator closed":
            iterator = iter(stream)
            next(iterator)
            iterator.close()
        del stream
        if way == "generator closed":
            del iterator
        gc.collect()
    assert only_call(recorded)["metadata"]["is_closed_early"] is True


def test_a_stream_that_breaks_is_told_with_its_error(client: Any, provider: Provider, recorded: Recording) -> None:
    """The SDK's own exception reaches the program."""
    provider.will(Answer(events=chat_chunks("On ", "its "), cut_after=2))
    with conversation("c"), pytest.raises(Exception) as caught:
        list(client.chat.completions.create(**CHAT, stream=True))
    assert type(caught.value).__name__ in only_call(recorded)["error_msg"]


async def test_async_streams_with_tool_calls(aclient: Any, provider: Provider, recorded: Recording) -> None:
    """Arguments that arrive in pieces are told whole; ``async with`` and without."""
    chunks = chat_chunks(call=("find_order", ['{"id":', ' "A-17"}']))
    provider.will(Answer(events=chunks), Answer(events=chat_chunks("a", "b", number=2)))
    with conversation("c"):
        stream = await aclient.chat.completions.create(**CHAT, stream=True)
        async for _ in stream:
            pass
        async with await aclient.chat.completions.create(**CHAT, stream=True) as second:
            async for _ in second:
                break
    first, closed = calls(recorded)
    assert first["response"]["tool_calls"] == [{"name": "find_order", "arguments": '{"id": "A-17"}'}]
    assert closed["metadata"]["is_closed_early"] is True
    assert usages(recorded) == [(100, 20, 120)]


def test_raw_and_streaming_responses(client: Any, provider: Provider, recorded: Recording) -> None:
    """What the program reads is read by it alone; what the SDK has read already is told at once."""
    provider.will(*(Answer(chat_answer(number=number)) for number in (1, 2, 3)))
    with conversation("c"):
        raw = client.chat.completions.with_raw_response.create(**CHAT)
        assert len(calls(recorded)) == 1
        assert raw.parse().id == "chatcmpl-1"
        with client.chat.completions.with_streaming_response.create(**CHAT) as response:
            assert not response.http_response.is_stream_consumed
            assert len(calls(recorded)) == 1
            assert response.parse().id == "chatcmpl-2"
        with client.chat.completions.with_streaming_response.create(**CHAT) as response:
            pass
    assert [call["metadata"].get("response_id") for call in calls(recorded)] == ["chatcmpl-1", "chatcmpl-2", None]
    assert usages(recorded) == [(100, 20, 120)] * 2


def test_a_raw_stream_is_followed(client: Any, provider: Provider, recorded: Recording) -> None:
    """`with_raw_response` and `stream=True`: the stream that `parse()` returns is the call's."""
    provider.will(Answer(events=chat_chunks("a", "b")), Answer(events=chat_chunks("a", number=2)))
    with conversation("c"):
        raw = client.chat.completions.with_raw_response.create(**CHAT, stream=True)
        assert calls(recorded) == []
        list(raw.parse())
        assert usages(recorded) == [(100, 20, 120)]
        client.chat.completions.with_raw_response.create(**CHAT, stream=True)
        gc.collect()
    assert [call["metadata"].get("is_closed_early") for call in calls(recorded)] == [None, True]


def test_parse_and_its_failure(client: Any, provider: Provider, recorded: Recording) -> None:
    """A parsed reply is the SDK's; one cut off by length raises, and has cost tokens nevertheless."""
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        id: str

    cut = chat_answer('{"id', number=2)
    cut["choices"][0]["finish_reason"] = "length"
    provider.will(Answer(chat_answer('{"id": "A-17"}')), Answer(cut))
    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    with conversation("c"):
        assert parse(**CHAT, response_format=Order).choices[0].message.parsed == Order(id="A-17")
        with pytest.raises(openai.LengthFinishReasonError):
            parse(**CHAT, response_format=Order)
    assert [call["response"]["finish_reason"] for call in calls(recorded)] == ["stop", "length"]
    assert usages(recorded) == [(100, 20, 120)] * 2


def test_responses_whole_and_streamed(client: Any, provider: Provider, recorded: Recording) -> None:
    """The Responses API: cached and reasoning tokens are parts, and priced as such."""
    provider.will(Answer(response_answer()), Answer(events=response_events("On ", "its way.", number=2)))
    with conversation("c"):
        assert client.responses.create(model="gpt-4.1", input="Where?").output_text == "On its way."
        kinds = [event.type for event in client.responses.create(model="gpt-4.1", input="Where?", stream=True)]
    assert kinds[-1] == "response.completed"
    whole, streamed = calls(recorded)
    assert whole["tools_used"]["function"] == "openai.responses"
    assert streamed["metadata"]["time_to_first_token_ms"] > 0
    assert whole["response"] == streamed["response"] == {"finish_reason": "completed"}
    assert usages(recorded) == [(100, 20, 120)] * 2
    (usage, _) = recorded.of(events.TokenUsage)
    assert usage.metadata is not None
    assert (usage.metadata["cache_read_tokens"], usage.metadata["reasoning_tokens"]) == (40, 8)
    assert costs(recorded) == [pytest.approx((60 * 2 + 40 * 0.5 + 20 * 8) / 1e6)] * 2


def test_embeddings_count_as_embedding_tokens(client: Any, provider: Provider, recorded: Recording) -> None:
    """They are no prompt."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    body = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
    provider.will(Answer(body))
    with conversation("c"):
        client.embeddings.create(model="text-embedding-3-small", input=["tent"], encoding_format="float")
    assert only_call(recorded)["action_name"] == "embeddings text-embedding-3-small"
    (told,) = recorded.of(events.TokenUsage)
    assert (told.prompt_tokens, told.embedding_tokens, told.total_tokens) == (0, 8, 8)
    assert costs(recorded) == [pytest.approx(8 * 0.02 / 1e6)]


def test_one_response_is_counted_once(client: Any, provider: Provider, recorded: Recording) -> None:
    """A response that arrives twice, replayed by a cache say, has been paid once."""
    provider.will(Answer(chat_answer()), Answer(chat_answer()))
    with conversation("c") as chat:
        client.chat.completions.create(**CHAT)
        client.chat.completions.create(**CHAT)
        assert chat.get_token_usage()["total_tokens"] == 120
    assert len(calls(recorded)) == 2
    assert usages(recorded) == [(100, 20, 120)]


def test_messages_are_recorded_where_asked_in_order_and_once(
    client: Any, provider: Provider, recorded: Recording
) -> None:
    """A loop of tool calls and a second turn: what the customer said, then what the agent said, each once."""
    agentsight_auto.instrument("openai", capture_messages=True)
    provider.will(
        Answer(chat_answer(None, calls=[("find_order", {})])),
        Answer(chat_answer("On its way.", number=2)),
        Answer(events=chat_chunks("You are ", "welcome.", number=3)),
    )
    messages: list[Any] = [{"role": "system", "content": "Be kind."}, *ASKED]
    with conversation("c"):
        first = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        messages.append(first.choices[0].message)
        messages.append({"role": "tool", "tool_call_id": "call_1_0", "content": "shipped"})
        second = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        messages += [second.choices[0].message, {"role": "user", "content": [{"type": "text", "text": "Thanks"}]}]
        list(client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True))
    assert recorded.messages() == [
        ("end_user", "Where is A-17?"),
        ("agent", "On its way."),
        ("end_user", "Thanks"),
        ("agent", "You are welcome."),
    ]


def test_uninstrument_restores_the_very_functions(client: Any, provider: Provider, recorded: Recording) -> None:
    """And a stream that is open at that moment goes on."""
    agentsight_auto.uninstrument()
    import openai._base_client as base
    import openai._streaming as streaming

    names = [
        (base.SyncAPIClient, "request"),
        (base.AsyncAPIClient, "_process_response"),
        (streaming.Stream, "__stream__"),
        (streaming.AsyncStream, "close"),
    ]
    before = [vars(owner)[name] for owner, name in names]
    agentsight_auto.instrument("openai")
    assert all(vars(owner)[name] is not one for (owner, name), one in zip(names, before, strict=True))
    provider.will(Answer(events=chat_chunks("a", "b")), Answer(chat_answer()))
    with conversation("c"):
        stream = client.chat.completions.create(**CHAT, stream=True)
        agentsight_auto.uninstrument()
        assert len(list(stream)) == 5
        client.chat.completions.create(**CHAT)
    after = [vars(owner)[name] for owner, name in names]
    assert all(one is other for one, other in zip(after, before, strict=True))
    assert len(calls(recorded)) <= 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None, "usage": {}},
        {"id": 5, "model": 7, "choices": [{"message": None, "finish_reason": 3}], "usage": {"prompt_tokens": "many"}},
        [],
        "text",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_an_answer_that_is_none_ends_the_call_all_the_same(
    body: Any, client: Any, provider: Provider, recorded: Recording
) -> None:
    """What a proxy between the SDK and the provider makes of it: told once, and the SDK's own business."""
    provider.will(Answer(body))
    with conversation("c") as chat:
        with contextlib.suppress(openai.OpenAIError, AttributeError):
            client.chat.completions.create(**CHAT)
        assert agentsight_auto.current_conversation() is chat
    assert only_call(recorded)["action_name"] == "chat gpt-4o-mini"


async def test_calls_side_by_side_are_not_inside_each_other(
    aclient: Any, provider: Provider, recorded: Recording
) -> None:
    """Ten tasks of one conversation: ten calls, each with its usage."""
    provider.will(*[Answer(chat_answer(number=number)) for number in range(10)])
    async with conversation("c") as chat:
        await asyncio.gather(*[aclient.chat.completions.create(**CHAT) for _ in range(10)])
        assert agentsight_auto.current_conversation() is chat
    assert [call["parent_id"] for call in calls(recorded)] == [None] * 10
    assert usages(recorded) == [(100, 20, 120)] * 10


@pytest.mark.filterwarnings("ignore")
async def test_an_async_stream_that_cannot_be_closed_is_told(recorded: Recording) -> None:
    """Where the SDK's own generator fails while it is closed, its exception goes on and the call is told."""

    async def source() -> Any:
        try:
            yield {"choices": [{"delta": {"content": "a"}}]}
        finally:
            raise ConnectionError("no close")

    async with conversation("c"):
        request = Request("chat", "openai", "m", "openai.chat")
        call = start_call("openai", lambda: request)
        assert call is not None
        call.suspend()
        stream = follow_async(source(), Pending(call, ChatChunks()))
        await stream.__anext__()
        with pytest.raises(ConnectionError, match="no close"):
            await stream.aclose()
    assert only_call(recorded)["metadata"]["is_closed_early"] is True


def test_azure_clients_are_recorded(provider: Provider, recorded: Recording) -> None:
    """Their addresses differ, their calls do not."""
    provider.will(Answer(chat_answer()))
    with (
        openai.AzureOpenAI(azure_endpoint=provider.url, api_key="k", api_version="2024-10-21") as azure,
        conversation("c"),
    ):
        azure.chat.completions.create(**CHAT)
    assert "/deployments/gpt-4o-mini/" in provider.asked[0].path
    assert only_call(recorded)["action_name"] == "chat gpt-4o-mini"
