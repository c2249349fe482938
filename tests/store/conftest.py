from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsight_auto.store.database import Database


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where the test's store will be; neither file nor folder exist yet."""
    return tmp_path / "home" / "store.db"


@pytest.fixture
def database(store_path: Path) -> Iterator[Database]:
    """An empty store of the test's own."""
    database = Database.open(store_path)
    yield database
    database.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One store for all examples of a property test, which keep apart by conversation or agent."""
    database = Database.open(tmp_path_factory.mktemp("shared") / "store.db")
    yield database
    database.close()
