from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.support import Client, Served

from .support import Browser


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The application over an empty store, with a sign-in."""
    with Served(tmp_path) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Client:
    """What records for the agent ``shop``."""
    return served.client()


@pytest.fixture
def visitor(served: Served, client: Client) -> Browser:
    """Somebody who has signed in with a write key of ``shop``."""
    browser = Browser(served)
    browser.sign_in(client.key)
    return browser
