"""What the pages show of the command line is what it prints, times and sizes apart."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, README, ROOT, Block, blocks, commands

CLI_PAGE = DOCS / "cli.md"
HOME_ON_PAGES = "/srv/chat"
VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"[A-Z][a-z]{2} \d\d:00"), "HOUR"),
    (re.compile(r"[\d.]+ (µs|ms|s)\b"), "DURATION"),
    (re.compile(r"[ \t]+"), " "),
]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one line of a page in `folder`, standard error together with standard output."""
    program, *arguments = shlex.split(command)
    assert program == "agentsight-auto"
    environment = {name: value for name, value in os.environ.items() if name != "AGENTSIGHT_HOME"}
    return subprocess.run(
        [sys.executable, "-m", "agentsight_auto", *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "100", "TZ": "UTC"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def run_python(page: Path, folder: Path, first: int = 0, last: int = sys.maxsize) -> None:
    """Run the Python blocks of a page between two lines in `folder`, with the default home."""
    environment = {name: value for name, value in os.environ.items() if name != "AGENTSIGHT_HOME"}
    subprocess.run(
        [sys.executable, str(Path(__file__).parent / "run_page.py"), str(page), str(first), str(last)],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=60,
        check=True,
    )


def steady(text: str, folder: Path) -> str:
    """Return a text with times, durations and widths of columns made equal."""
    text = text.replace(str(folder), HOME_ON_PAGES)
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def calls(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output the page shows."""
    found = re.findall(r"^\$ ([^\n]*)\n(.*?)(?=^\$ |\Z)", block.text, re.MULTILINE | re.DOTALL)
    return [(command, output) for command, output in found]


@pytest.mark.parametrize("page", [CLI_PAGE, README], ids=lambda page: page.name)
def test_commands_print_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    """Each command of a console block prints what stands below it, once the Python above it has run."""
    done_to_line = 0
    for block in blocks(page):
        if block.info != "console":
            continue
        run_python(page, tmp_path, done_to_line + 1, block.line)
        done_to_line = block.line
        for command, expected in calls(block):
            done = run(command, tmp_path)
            assert done.returncode in {0, 1}, f"{command}: {done.stdout}"
            assert steady(done.stdout, tmp_path) == steady(expected, tmp_path), command
    assert done_to_line


def test_samples_have_the_form_of_the_real_output(tmp_path: Path) -> None:
    """Where versions, random ids and lengths differ, each line of the page begins as a line of the real output does."""
    run_python(CLI_PAGE, tmp_path)
    for block in blocks(CLI_PAGE):
        for command, expected in calls(block) if block.info == "console sample" else []:
            done = run(command, tmp_path)
            assert done.returncode == 0, f"{command}: {done.stdout}"
            real = {_beginning(line) for line in steady(done.stdout, tmp_path).splitlines()}
            shown = [line for line in steady(expected, tmp_path).splitlines() if line != "..."]
            assert [line for line in shown if _beginning(line) not in real] == [], command


def _beginning(line: str) -> str:
    return re.split(r"[\s\d]", line, maxsplit=1)[0]


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The help of each command."""
    folder = tmp_path_factory.mktemp("help")
    names = re.findall(r"^ {4}(\w+)  ", run("agentsight-auto --help", folder).stdout, re.MULTILINE)
    found = {name: run(f"agentsight-auto {name} --help", folder).stdout for name in names}
    found["keys"] += run("agentsight-auto keys create --help", folder).stdout
    return found


def test_every_command_has_a_section_with_an_example(helps: dict[str, str]) -> None:
    """The page shows each command that the program has."""
    listed = list(helps)
    assert "doctor" in listed
    shown = {shlex.split(command)[1] for command in commands(CLI_PAGE)}
    assert set(listed) == shown
    text = CLI_PAGE.read_text(encoding="utf-8")
    assert [name for name in listed if f"\n## {name}\n" not in text] == []


def test_options_on_the_pages_exist(helps: dict[str, str]) -> None:
    """Every option that a page names is in the help of some command."""
    known = "".join(helps.values())
    text = "".join(page.read_text(encoding="utf-8") for page in (CLI_PAGE, DOCS / "delivery.md"))
    named = set(re.findall(r"`(?:agentsight-auto \w+ )?(--[a-z-]+)", text))
    assert "--retry" in named
    assert [option for option in sorted(named) if option not in known] == []


def test_the_two_commands_of_the_readme_name_what_exists() -> None:
    """The extras, the entry point and the flags of the README's two commands are those of setup.cfg."""
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    shell = [block.text for block in blocks(README) if block.language == "sh"]
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/agentsight-auto demo\n" in shell
    assert 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest\n' in shell
    assert "agentsight-auto = agentsight_auto.cli.main:main" in setup
    extras = set(re.findall(r"^(\w+) =$", setup.partition("[options.extras_require]")[2], re.MULTILINE))
    everything = "".join(page.read_text(encoding="utf-8") for page in [README, *DOCS.glob("*.md")])
    assert set(re.findall(r"\[(\w+)\]\"", everything)) <= extras
