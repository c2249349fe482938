"""litellm over the real openai SDK, against a provider on a local port."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation
from agentsight_auto.testing import Recording

from .provider import Answer, Provider, chat_answer, chat_chunks
from .support import calls, costs, only_call, usages

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    litellm = pytest.importorskip("litellm", reason="litellm is not installed: pip install -e .[integrations-test]")

openai = pytest.importorskip("openai", reason="openai is not installed: pip install -e .[integrations-test]")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=[("litellm", "openai"), ("litellm",)], ids=["with the SDK", "alone"], autouse=True)
def _instrumented(request: Any) -> None:
    agentsight_auto.instrument(*request.param)


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    """Close the clients that litellm keeps: whose turn it is when they go would be told of their sockets."""
    yield
    cache = litellm.in_memory_llm_clients_cache
    for client in cache.cache_dict.values():
        if isinstance(client, openai.AsyncOpenAI):
            await client.close()
        elif isinstance(client, openai.OpenAI):
            client.close()
    cache.flush_cache()


@pytest.fixture
def asked(provider: Provider) -> dict[str, Any]:
    """The arguments of a completion."""
    messages = [{"role": "user", "content": "Where is A-17?"}]
    to = {"api_base": f"{provider.url}/v1", "api_key": "k", "num_retries": 0, "max_retries": 0}
    return {"model": "openai/gpt-4o-mini", "messages": messages, **to}


async def test_sync_and_async_completions(asked: Any, provider: Provider, recorded: Recording) -> None:
    """Told once, whoever calls whom inside."""
    provider.will(Answer(chat_answer()), Answer(chat_answer(number=2)))
    with conversation("c"):
        assert litellm.completion(**asked).choices[0].message.content == "On its way."
        await litellm.acompletion(**asked)
    first, second = calls(recorded)
    assert first["action_name"] == second["action_name"] == "chat openai/gpt-4o-mini"
    assert first["tools_used"]["function"] == "litellm.completion"
    assert first["metadata"]["provider"] == "openai"
    assert usages(recorded) == [(100, 20, 120)] * 2
    assert costs(recorded) == [pytest.approx((100 * 0.15 + 20 * 0.6) / 1e6)] * 2


async def test_streams(asked: Any, provider: Provider, recorded: Recording) -> None:
    """Sync and async, each told where it was opened."""
    provider.will(*(Answer(events=chat_chunks("On ", "its way.", number=number)) for number in (1, 2)))
    with conversation("a"):
        stream = litellm.completion(**asked, stream=True, stream_options={"include_usage": True})
        astream = await litellm.acompletion(**asked, stream=True)
    with conversation("b"):
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "On its way."
        async for _ in astream:
            pass
    assert calls(recorded, "b") == []
    assert all(call["metadata"]["time_to_first_token_ms"] > 0 for call in calls(recorded, "a"))
    assert len(calls(recorded, "a")) == 2
    assert usages(recorded, "a")[0] == (100, 20, 120)


def test_errors_are_those_of_the_library(asked: Any, provider: Provider, recorded: Recording) -> None:
    """And are told."""
    provider.will(Answer({"error": {"message": "no such model"}}, status=404))
    with conversation("c"), pytest.raises(litellm.NotFoundError):
        litellm.completion(**asked)
    assert "NotFoundError" in only_call(recorded)["error_msg"]


def test_uninstrument_restores(asked: Any, provider: Provider, recorded: Recording) -> None:
    """Both names are the library's own function again."""
    agentsight_auto.uninstrument()
    assert type(litellm.completion).__name__ == type(litellm.main.completion).__name__ == "function"
    provider.will(Answer(chat_answer()))
    with conversation("c"):
        litellm.completion(**asked)
    assert recorded.action_names() == []
