from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..query.story import Story


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Give an empty store in a folder of its own."""
    story = Story(tmp_path)
    yield story
    story.database.close()
