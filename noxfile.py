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


@nox.session
def lowest_web(session: nox.Session) -> None:
    """The integrations of web frameworks, workers and clients with the oldest versions that are supported."""
    session.install("-e", ".[integrations-test]")
    session.install("-r", "tests/lowest-web.txt")
    session.run("pytest", "tests/integrations", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the cost of recording, and of serving, as ratios to named baselines."""
    session.install("-e", ".[server]")
    session.run("python", "benchmarks/track_action.py", *session.posargs)
    session.run("python", "benchmarks/snapshot.py")
    session.run("python", "benchmarks/capture.py")
    session.run("python", "benchmarks/delivery.py")
    session.run("python", "benchmarks/importing.py")
    session.run("python", "benchmarks/instructions.py")
    session.run("python", "benchmarks/serve.py")
    session.run("python", "benchmarks/ingest.py")
    session.install("openai")
    session.run("python", "benchmarks/openai_call.py")
