from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsight_auto.store.database import Database


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.db"


@pytest.fixture
def database(store_path: Path) -> Iterator[Database]:
    database = Database.open(store_path)
    yield database
    database.close()
