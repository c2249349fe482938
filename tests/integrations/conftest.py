"""Every test leaves the process as it found it: nothing stays instrumented."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import agentsight_auto


@pytest.fixture(autouse=True)
def _uninstrumented() -> Iterator[None]:
    """Undo whatever a test has instrumented."""
    yield
    agentsight_auto.uninstrument()
