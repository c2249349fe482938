"""Schemathesis asks every operation of the served description what the description allows, and what it does not.

Quick by default; ``FUZZ_EXAMPLES=200`` runs all its phases with so many examples per operation.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from .support import ServeProcess

pytest.importorskip("schemathesis")

QUICK = ("--phases", "fuzzing", "--max-examples", "4")
# The description says which types fit; blank text and ids that nobody has are refused all the same. And one documented
# route answers 403 where a key is missing, which the second check does not allow; ignored_auth looks at keys too.
LEFT_OUT = "positive_data_acceptance,missing_required_header"


class Outcome(NamedTuple):
    """What a run of Schemathesis did."""

    returncode: int
    generated: int
    output: str
    server: tuple[int, str]
    """The server's exit code and what it wrote to stderr."""


def run_schemathesis(folder: Path, profile: tuple[str, ...]) -> Outcome:
    """Run it against a server of its own, with every check but those that are left out."""
    environment = {**os.environ, "AGENTSIGHT_SERVER_REQUESTS_PER_MINUTE": "0", "NO_COLOR": "1"}
    with ServeProcess(folder / "a.db", "--quiet", env=environment) as server:
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.address}/api/schema/"]
        options = ["-H", f"Authorization: Api-Key {server.key}", "--checks", "all", "--exclude-checks", LEFT_OUT]
        done = subprocess.run(
            [*command, *options, "--seed", "1", *profile],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=1700, check=False,
        )  # fmt: skip
        stopped = server.stop()
    tried = re.search(r"(\d+) generated", done.stdout)
    return Outcome(done.returncode, int(tried[1]) if tried else 0, done.stdout[-8000:] + done.stderr[-2000:], stopped)


@pytest.mark.timeout(1800)
def test_the_server_does_what_its_description_says(tmp_path: Path) -> None:
    """No 5xx; status, type and body are as described; invalid data, missing keys and wrong methods are refused."""
    examples = os.environ.get("FUZZ_EXAMPLES")
    found = run_schemathesis(tmp_path, QUICK if examples is None else ("--max-examples", examples))
    assert found.returncode == 0, found.output
    assert found.generated >= 50
    code, problems = found.server
    assert (code, "Traceback" in problems) == (0, False), problems[-4000:]
