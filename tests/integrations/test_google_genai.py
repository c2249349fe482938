"""The real google-genai SDK against a provider on a local port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation, events, track_action
from agentsight_auto.testing import Recording

from .provider import Answer, Provider
from .support import calls, costs, usages

genai = pytest.importorskip("google.genai", reason="google-genai is not installed: pip install -e .[integrations-test]")

from google.genai import errors, types

pytestmark = pytest.mark.filterwarnings("ignore")
MODEL = "gemini-2.5-flash"


def content_answer(*parts: dict[str, Any], number: int = 1, ends: bool = True) -> dict[str, Any]:
    """A response as the Gemini API sends it."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    counts = {"promptTokenCount": 100, "candidatesTokenCount": 15, "thoughtsTokenCount": 5, "totalTokenCount": 120}
    return {
        "candidates": [{**candidate, "finishReason": "STOP"} if ends else candidate],
        "usageMetadata": {**counts, "cachedContentTokenCount": 40},
        "modelVersion": MODEL,
        "responseId": f"response-{number}",
    }


@pytest.fixture(autouse=True)
def _instrumented() -> None:
    agentsight_auto.instrument("google_genai")


@pytest.fixture
async def client(provider: Provider) -> AsyncIterator[Any]:
    """A client of the provider."""
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=provider.url))
    yield client
    await client.aio.aclose()
    client.close()


async def test_sync_and_async_calls(client: Any, provider: Provider, recorded: Recording) -> None:
    """Thoughts are part of the completion, cached input is part of the prompt and has its price."""
    provider.will(Answer(content_answer({"text": "On its way."})), Answer(content_answer({"text": "Yes."}, number=2)))
    with conversation("c"):
        assert client.models.generate_content(model=MODEL, contents="Where?").text == "On its way."
        await client.aio.models.generate_content(model=MODEL, contents="Where?")
    first, second = calls(recorded)
    assert first["action_name"] == second["action_name"] == f"chat {MODEL}"
    assert first["response"] == {"finish_reason": "STOP"}
    assert usages(recorded) == [(100, 20, 120)] * 2
    assert costs(recorded) == [pytest.approx((60 * 0.3 + 40 * 0.03 + 20 * 2.5) / 1e6)] * 2


async def test_streams_belong_to_where_they_were_opened(client: Any, provider: Provider, recorded: Recording) -> None:
    """Sync and async, drained under another conversation; counters are the last chunk's."""
    chunks = [content_answer({"text": "On "}, ends=False), content_answer({"text": "its way."})]
    again = [content_answer({"text": "Yes."}, number=2)]
    provider.will(Answer(events=[_data(chunk) for chunk in chunks]), Answer(events=[_data(chunk) for chunk in again]))
    with conversation("a"):
        stream = client.models.generate_content_stream(model=MODEL, contents="Where?")
        astream = await client.aio.models.generate_content_stream(model=MODEL, contents="Where?")
    with conversation("b"):
        assert "".join(chunk.text for chunk in stream) == "On its way."
        async for _ in astream:
            pass
    assert calls(recorded, "b") == []
    assert all(call["metadata"]["time_to_first_token_ms"] > 0 for call in calls(recorded, "a"))
    assert usages(recorded, "a") == [(100, 20, 120)] * 2


def _data(chunk: dict[str, Any]) -> str:
    import json

    return json.dumps(chunk)


def test_functions_that_the_sdk_calls_are_tools(client: Any, provider: Provider, recorded: Recording) -> None:
    """Automatic function calling: model, function, model; the customer's words once."""
    agentsight_auto.instrument("google_genai", capture_messages=True)

    def find_order(order_id: str) -> str:
        """Find an order."""
        return f"{order_id} is shipped"

    find_order.__annotations__ = {"order_id": str, "return": str}  # the SDK's older versions read no texts
    asked = {"functionCall": {"name": "find_order", "args": {"order_id": "A-17"}}}
    provider.will(Answer(content_answer(asked)), Answer(content_answer({"text": "It is shipped."}, number=2)))
    with conversation("c"):
        config = types.GenerateContentConfig(tools=[find_order])
        client.models.generate_content(model=MODEL, contents="Where is A-17?", config=config)
    assert recorded.action_names() == [f"chat {MODEL}", "find_order", f"chat {MODEL}"]
    first, ran, _ = recorded.actions()
    assert first["response"]["tool_calls"] == [{"name": "find_order", "arguments": {"order_id": "A-17"}}]
    assert (ran["tools_used"]["parameters"], ran["response"]) == ({"order_id": "A-17"}, "A-17 is shipped")
    assert recorded.messages() == [("end_user", "Where is A-17?"), ("agent", "It is shipped.")]


async def test_a_tracked_function_is_told_once(client: Any, provider: Provider, recorded: Recording) -> None:
    """By itself, sync and async, in the words of its decorator."""

    @track_action("Find an order")
    def find_order(order_id: str) -> str:
        """Find an order."""
        return f"{order_id} is shipped"

    @track_action("Find it")
    async def find_it(order_id: str) -> str:
        """Find an order."""
        raise LookupError(f"no {order_id}")

    for function in (find_order, find_it):
        function.__annotations__ = {"order_id": str, "return": str}  # the SDK's older versions read no texts
    asked = [{"functionCall": {"name": name, "args": {"order_id": "A-17"}}} for name in ("find_order", "find_it")]
    last = Answer(content_answer({"text": "It is shipped."}, number=2))
    provider.will(Answer(content_answer(asked[0])), last, Answer(content_answer(asked[1])), last)
    with conversation("c"):
        config = types.GenerateContentConfig(tools=[find_order])
        client.models.generate_content(model=MODEL, contents="Where is A-17?", config=config)
        config = types.GenerateContentConfig(tools=[find_it])
        await client.aio.models.generate_content(model=MODEL, contents="Where is A-17?", config=config)
    chat = f"chat {MODEL}"
    assert recorded.action_names() == [chat, "Find an order", chat, chat, "Find it", chat]
    assert recorded.actions()[1]["metadata"] == {"kind": "tool", "by": "google_genai"}
    assert "LookupError" in recorded.actions()[4]["error_msg"]


def test_errors_and_embeddings(client: Any, provider: Provider, recorded: Recording) -> None:
    """The SDK's error goes on; embeddings without counted tokens have no usage."""
    refused = {"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}}
    provider.will(Answer(refused, status=404), Answer({"embeddings": [{"values": [0.1, 0.2]}]}))
    with conversation("c"):
        with pytest.raises(errors.ClientError):
            client.models.generate_content(model=MODEL, contents="Where?")
        client.models.embed_content(model="gemini-embedding-001", contents="tent")
    failed, embedded = calls(recorded)
    assert "no such model" in failed["error_msg"]
    assert embedded["action_name"] == "embeddings gemini-embedding-001"
    assert recorded.of(events.TokenUsage) == []


def test_uninstrument_restores(client: Any, provider: Provider, recorded: Recording) -> None:
    """The methods are the SDK's own."""
    from google.genai import models

    agentsight_auto.uninstrument()
    assert type(vars(models.Models)["_generate_content"]).__name__ == "function"
    provider.will(Answer(content_answer({"text": "Yes."})))
    with conversation("c"):
        client.models.generate_content(model=MODEL, contents="Where?")
    assert recorded.action_names() == []
