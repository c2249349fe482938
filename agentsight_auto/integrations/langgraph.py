"""langgraph: a graph's stream runs where it was opened; its models and tools are those of langchain-core."""

from __future__ import annotations

from .patches import Patches
from .streams import carry_async_stream, carry_stream


def install(patches: Patches) -> None:
    """Patch the graphs."""
    patches.wrap("langgraph.pregel", "Pregel.stream", carry_stream)
    patches.wrap("langgraph.pregel", "Pregel.astream", carry_async_stream)
