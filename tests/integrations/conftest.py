"""Every test leaves the process as it found it: nothing stays instrumented."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import agentsight_auto
from agentsight_auto.integrations import model_call
from agentsight_auto.testing import Recording, recording

from .provider import Provider, serving


@pytest.fixture(autouse=True)
def _uninstrumented() -> Iterator[None]:
    """Undo whatever a test has instrumented."""
    yield
    agentsight_auto.uninstrument()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider of models on a local port; every answer that was scripted must have been asked for."""
    with serving() as made:
        yield made
    assert not made.answers


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """What is recorded, in memory."""
    model_call._told_usages.clear()
    model_call._told_prompts.clear()
    with recording() as made:
        yield made
