from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Place, place


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A store."""
    with place(tmp_path / "here") as opened:
        yield opened


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Place]:
    """Another store, on another machine say."""
    with place(tmp_path / "there") as opened:
        yield opened
