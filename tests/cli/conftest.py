from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentsight_auto._runtime import Runtime
from agentsight_auto.events import AnyEvent
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .support import Cli


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "agentsight"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], home: Path) -> Cli:
    """The command line on that home."""
    return Cli(capsys, home)


@pytest.fixture
def tell(home: Path) -> Callable[..., None]:
    """Store events in that home."""

    def store(*events: AnyEvent) -> None:
        settings = Runtime(home=home).settings
        database = Database.open(settings.store_path)
        for answer in ingest(database, list(events)):
            assert answer.status == "stored", answer
        database.close()

    return store
