"""All integrations by name: which import triggers each, which versions are supported, where its patch is."""

from __future__ import annotations

from typing import NamedTuple


class Integration(NamedTuple):
    """One integration; its code is imported only once the user has imported `module`."""

    name: str
    """By which `instrument` and `uninstrument` know it."""

    module: str | None
    """The import that triggers it; None installs at once (the standard library)."""

    target: str
    """``module:function``; the function takes a `Patches`."""

    distribution: str | None = None
    """The package whose version counts; None for the standard library."""

    oldest: str = "0"
    """The oldest version that is supported, and tested."""

    by_default: bool = True
    """Whether ``instrument()`` without names installs it."""


_HERE = "agentsight_auto.integrations"

CATALOGUE: tuple[Integration, ...] = (
    Integration("anthropic", "anthropic", f"{_HERE}.anthropic_sdk:install", "anthropic", "0.49"),
    Integration("google_genai", "google.genai", f"{_HERE}.google_genai:install", "google-genai", "2.12"),
    Integration(
        "langchain",
        "langchain_core.language_models.chat_models",
        f"{_HERE}.langchain:install",
        "langchain-core",
        "1.0",
    ),
    Integration("langgraph", "langgraph.pregel", f"{_HERE}.langgraph:install", "langgraph", "1.0"),
    Integration("litellm", "litellm", f"{_HERE}.litellm:install", "litellm", "1.60"),
    Integration("llama_index", "llama_index.core", f"{_HERE}.llama_index:install", "llama-index-core", "0.13"),
    Integration("mcp", "mcp.client.session", f"{_HERE}.mcp:install", "mcp", "1.20"),
    Integration("openai", "openai", f"{_HERE}.openai_sdk:install", "openai", "1.66"),
    Integration("openai_agents", "agents", f"{_HERE}.openai_agents:install", "openai-agents", "0.6"),
    Integration("pydantic_ai", "pydantic_ai", f"{_HERE}.pydantic_ai:install", "pydantic-ai-slim", "1.0"),
    Integration("celery", "celery", f"{_HERE}.celery:install", "celery", "5.3"),
    Integration("dramatiq", "dramatiq", f"{_HERE}.dramatiq:install", "dramatiq", "1.17"),
    Integration("rq", "rq", f"{_HERE}.rq:install", "rq", "1.16"),
    Integration("httpx", "httpx", f"{_HERE}.httpx_client:install", "httpx", "0.27"),
    Integration("requests", "requests", f"{_HERE}.requests_client:install", "requests", "2.28"),
    Integration("threads", None, f"{_HERE}.threads:install"),
)
