"""The page on web frameworks: every block runs, with the real frameworks, and prints what the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, shown_outputs

PAGE = DOCS / "web.md"
RUNNER = Path(__file__).parent.parent / "docs" / "run_page.py"


def test_every_block_of_the_page_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    """In order, in one namespace."""
    for name in ("celery", "django", "fastapi", "flask", "requests"):
        pytest.importorskip(name, reason="pip install agentsight-auto[integrations-test]")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(RUNNER), str(PAGE)],
        cwd=tmp_path,
        env={**os.environ, "AGENTSIGHT_HOME": str(tmp_path / "home"), "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    shown = shown_outputs(PAGE)
    assert len(shown) >= 6
    for block, expected in shown:
        assert printed[str(block.line)] == expected, f"line {block.line}"
