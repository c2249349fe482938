from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.support import ServeProcess

from .support import PublishedClient, Tenant, install_published_client


@pytest.fixture(scope="session")
def published_python(request: pytest.FixtureRequest) -> Path:
    """Python of the environment with the published client; skips where it cannot be installed."""
    return install_published_client(Path(request.config.cache.mkdir("interop")))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """One ``agentsight-auto serve`` for all tests of this folder; each test is an agent of its own."""
    with ServeProcess(tmp_path_factory.mktemp("serve") / "agentsight.db", "--quiet") as running:
        yield running


@pytest.fixture
def tenant(server: ServeProcess, request: pytest.FixtureRequest) -> Tenant:
    """An agent that has nothing yet."""
    return Tenant(server, request.node.name)


@pytest.fixture
def published(published_python: Path, tenant: Tenant) -> PublishedClient:
    """The published client in an environment of its own, with a write key of the test's agent."""
    return PublishedClient(published_python, tenant.address, tenant.key())
