"""Run the command line as a user does, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agentsight_auto.cli.main import main

ROOT = Path(__file__).parent.parent.parent


class Done(NamedTuple):
    """What one invocation said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """The command line in this process, on one home."""

    def __init__(self, capsys: pytest.CaptureFixture[str], home: Path) -> None:
        self._capsys = capsys
        self.home = home

    def __call__(self, *arguments: str) -> Done:
        self._capsys.readouterr()
        code = main([*arguments, "--home", str(self.home)])
        captured = self._capsys.readouterr()
        return Done(code, captured.out, captured.err)


def start(*arguments: str, home: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``python -m agentsight_auto`` in a process of its own."""
    command = [sys.executable, "-m", "agentsight_auto", *arguments, "--home", str(home)]
    options.setdefault("env", {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"})
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, cwd=ROOT, **{**pipes, **options})


def run(*arguments: str, home: Path, stdin: bytes = b"", **options: Any) -> Done:
    """Run ``python -m agentsight_auto`` to its end."""
    with start(*arguments, home=home, **options) as process:
        out, err = process.communicate(stdin, timeout=60)
    return Done(process.returncode, out.decode(), err.decode())
