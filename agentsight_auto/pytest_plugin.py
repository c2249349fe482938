"""The pytest plugin: the fixture `agentsight_recording`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Recording


@pytest.fixture
def agentsight_recording() -> Iterator[Recording]:
    """Record into memory during the test; see `agentsight_auto.testing.recording`."""
    from .testing import recording  # noqa: PLC0415 - tests that do not use the fixture do not load the library

    with recording() as recorded:
        yield recorded
