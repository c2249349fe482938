"""What tests of model calls ask of a recording."""

from __future__ import annotations

from typing import Any

from agentsight_auto import events
from agentsight_auto.testing import Recording


def calls(recorded: Recording, conversation_id: str | None = None) -> list[dict[str, Any]]:
    """The model calls, in order."""
    actions = recorded.actions(conversation_id)
    return [action for action in actions if (action["metadata"] or {}).get("kind") == "model_call"]


def only_call(recorded: Recording, conversation_id: str | None = None) -> dict[str, Any]:
    """The one model call that was recorded."""
    (call,) = calls(recorded, conversation_id)
    return call


def usages(recorded: Recording, conversation_id: str | None = None) -> list[tuple[int, int, int]]:
    """Prompt, completion and total tokens of each usage."""
    told = recorded.of(events.TokenUsage, conversation_id)
    return [(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) for usage in told]


def costs(recorded: Recording) -> list[float | None]:
    """The cost of each usage in US dollars."""
    return [(usage.metadata or {}).get("cost_usd") for usage in recorded.of(events.TokenUsage)]
