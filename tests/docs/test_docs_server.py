"""What the pages on HTTP show is what happens: against a server that is started for them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto.server.app import operations
from tests.docs.pages import DOCS, HTTP_PAGE, ROOT, blocks, shown_outputs
from tests.server.support import ServeProcess

SERVER_PAGE = DOCS / "server.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServeProcess]:
    """A server on a new store."""
    with ServeProcess(tmp_path / "agentsight.db", "--quiet") as running:
        yield running


def settings_of(server: ServeProcess) -> dict[str, str]:
    """Return the environment of a program that uses this server."""
    told = {"AGENTSIGHT_API_KEY": str(server.key), "AGENTSIGHT_API_ENDPOINT": server.address}
    return {**os.environ, **told, "no_proxy": "127.0.0.1", "TZ": "UTC"}


def is_part(shown: Any, real: Any) -> bool:
    """Whether all that is shown is in the real answer; lists are shown whole, in order."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return all(name in real and is_part(value, real[name]) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(real, list):
        return len(shown) == len(real) and all(map(is_part, shown, real))
    return bool(shown == real)


def test_curl_is_answered_as_the_page_shows(server: ServeProcess) -> None:
    """Each command of the page, in order on one new store, gives at least what stands below it."""
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("curl or bash is absent")
    (prelude,) = [block.text for block in blocks(SERVER_PAGE) if block.info == "sh curl"]
    examples = [
        found
        for block in blocks(SERVER_PAGE)
        if block.info == "console curl"
        for found in re.findall(r"^\$ (curl .*?)\n(\{.*?\})$(?=\n\$ |\n*\Z)", block.text, re.MULTILINE | re.DOTALL)
    ]
    assert len(examples) == SERVER_PAGE.read_text(encoding="utf-8").count("\n$ curl ")
    for command, shown in examples:
        done = subprocess.run(
            ["bash", "-c", prelude + command],
            env=settings_of(server), capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert is_part(json.loads(shown), json.loads(done.stdout)), f"{command}\n{done.stdout}"


def test_every_route_has_its_row() -> None:
    """The table of routes names each path that the server has, and no other."""
    text = SERVER_PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(/[^`]*)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted({operation.path for operation in operations()})


def test_the_page_on_delivery_runs_against_a_server(server: ServeProcess, tmp_path: Path) -> None:
    """Every Python block of the page runs with the settings of a server, and prints what the page says."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests" / "docs" / "run_page.py"), str(HTTP_PAGE)],
        cwd=tmp_path,
        env={**settings_of(server), "AGENTSIGHT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert shown_outputs(HTTP_PAGE)
    for block, expected in shown_outputs(HTTP_PAGE):
        assert printed[str(block.line)] == expected, f"line {block.line}"
