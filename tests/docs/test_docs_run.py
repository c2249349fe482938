"""What the pages show is what happens: every Python block runs, and prints what the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, HTTP_PAGE, PAGES, blocks, shown_outputs

RUNNER = Path(__file__).parent / "run_page.py"
TESTING_PAGE = DOCS / "testing.md"
WEB_PAGE = DOCS / "web.md"
ELSEWHERE = {TESTING_PAGE, HTTP_PAGE, WEB_PAGE}
"""Pages that need more than a folder: pytest, a server, web frameworks (see tests/integrations)."""
PAGES_THAT_RUN = [page for page in PAGES if page not in ELSEWHERE and any(block.runs for block in blocks(page))]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with warnings as errors in an empty working directory."""
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env={**os.environ, "AGENTSIGHT_HOME": str(folder / "home"), "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=lambda page: page.name)
def test_every_python_block_runs_and_prints_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """The blocks of a page run in order in one namespace; an output block after one is what it prints."""
    done = run(str(RUNNER), str(page), folder=tmp_path / "work")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    for block, expected in shown_outputs(page):
        assert printed[str(block.line)] == expected, f"{page.name}, line {block.line}"


def test_the_tests_on_the_testing_page_pass(tmp_path: Path) -> None:
    """The page is a test module: pytest collects its tests, with the fixture of the plugin, and all pass."""
    source = "\n".join(block.text for block in blocks(TESTING_PAGE) if block.runs)
    (tmp_path / "test_page.py").write_text(source, encoding="utf-8")
    options = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    command = ("-m", "pytest", *options, str(tmp_path / "test_page.py"))
    done = run(*command, folder=tmp_path / "work")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{source.count('def test_')} passed" in done.stdout


def test_blocks_that_do_not_run_say_why() -> None:
    """A block that is not run starts with a comment that gives the reason, and there are few of them."""
    unrun = [(page.name, block) for page in PAGES for block in blocks(page) if "notest" in block.info.split()]
    assert [name for name, block in unrun if not block.text.startswith("# ")] == []
    assert len(unrun) <= 3
