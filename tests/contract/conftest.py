from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .places import PLACES, Clients, Server, clients_over, serve_in_process, serve_in_thread


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | None]:
    """Each place in turn; None is the embedded store."""
    folder = tmp_path_factory.mktemp("served")
    if request.param == PLACES[0]:
        yield None
    else:
        serve = serve_in_thread if request.param == PLACES[1] else serve_in_process
        with serve(folder) as running:
            yield running


@pytest.fixture
def clients(server: Server | None, tmp_path: Path) -> Iterator[Clients]:
    """The documented clients over that place, with nothing in it yet."""
    with clients_over(tmp_path / "home", server) as made:
        yield made
