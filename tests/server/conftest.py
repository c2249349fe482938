from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Client, Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The application over an empty store."""
    with Served(tmp_path) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Client:
    """A client with a write key of the agent ``shop``."""
    return served.client()
