"""One command for each of check, test, bench and docs; CI runs the same ones."""

from __future__ import annotations

import nox

nox.options.sessions = ["check", "test"]
nox.options.default_venv_backend = "venv"


@nox.session
def check(session: nox.Session) -> None:
    """Format, lint, types and the direction of imports."""
    session.install("-e", ".[check]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("pyright", "tests/typing")
    session.run("lint-imports")


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def test(session: nox.Session) -> None:
    """All tests, on every Python that is installed."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests with the lowest supported version of every dependency."""
    session.install("-e", ".[test]")
    session.install("-r", "tests/lowest.txt")
    session.run("pytest", *session.posargs)


OLDEST = {
    "openai": ("openai_sdk cost", "openai==1.66.0 httpx==0.27.0"),
    "anthropic": ("anthropic_sdk", "anthropic==0.49.0 httpx==0.27.0"),
    "google-genai": ("google_genai", "google-genai==2.12.0"),
    "langchain": (
        "langchain",
        "langchain-core==1.0.0 langgraph==1.0.0 langgraph-prebuilt==1.0.0 langchain-openai==1.0.0",
    ),
    "litellm": ("litellm", "litellm==1.60.0"),
    "llama-index": ("llama_index", "llama-index-core==0.13.0 llama-index-llms-openai==0.5.0"),
    "mcp": ("mcp", "mcp==1.20.0 pydantic<2.12"),
    "openai-agents": ("openai_agents", "openai-agents==0.6.0 openai==2.8.0"),
    "pydantic-ai": ("pydantic_ai", "pydantic-ai-slim[openai]==1.0.0 openai==1.108.0 opentelemetry-api==1.36.0"),
    "queues": ("web_queues", "rq==1.16.0 dramatiq==1.17.0 redis==4.6.0"),
    "web": (
        "web_asgi web_baggage web_celery web_django web_facts web_gunicorn web_serverless web_threads web_wsgi",
        "-r tests/lowest-web.txt",
    ),
}
"""The oldest versions that the integrations support, and which of tests/integrations run with them."""


@nox.session
@nox.parametrize("library", list(OLDEST))
def lowest_integrations(session: nox.Session, library: str) -> None:
    """The tests of integrations with the oldest versions that are supported, each library in its own environment."""
    tests, pins = OLDEST[library]
    session.install("-e", ".[test]")
    session.install(*pins.split())
    session.run("pytest", *(f"tests/integrations/test_{test}.py" for test in tests.split()), *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the cost of recording, and of serving, as ratios to named baselines."""
    session.install("-e", ".[server]")
    session.run("python", "benchmarks/snapshot.py")
    session.run("python", "benchmarks/capture.py", *session.posargs)
    session.run("python", "benchmarks/delivery.py")
    session.run("python", "benchmarks/importing.py")
    session.run("python", "benchmarks/instructions.py")
    session.run("python", "benchmarks/serve.py")
    session.run("python", "benchmarks/ingest.py")
    session.install("openai")
    session.run("python", "benchmarks/openai_call.py")
