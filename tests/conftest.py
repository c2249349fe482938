"""Fixtures for all tests: a home of its own for every test, and a guard that raises what it would swallow."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from agentsight_auto import _guard, _runtime
from agentsight_auto.testing import Recording, recording

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background; programs under test inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and a failure inside the library fails it."""
    for name in [name for name in os.environ if name.startswith("AGENTSIGHT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AGENTSIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(_guard, "raise_errors", True)
    _guard._last_logged.clear()
    for name in ("agentsight_auto", "agentsight_auto.server.access"):  # as another test's settings may have left them
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).propagate = True


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Everything the test records, in memory."""
    with recording() as recorder:
        yield recorder


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[_runtime.Runtime]:
    """A default runtime over an embedded store of the test's own."""
    fresh = _runtime.Runtime(home=tmp_path / "home")
    with _runtime.used_as_default(fresh):
        yield fresh
    fresh.shutdown(5)


@pytest.fixture
def airline_file() -> Path:
    """The file of 200 real conversations; skips where it is absent."""
    path = DATA / "airline-support.jsonl"
    if not path.exists():
        pytest.skip("../shared/data is absent: the real conversations cannot be replayed")
    return path
