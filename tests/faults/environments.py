"""Environments with foreign libraries, made when a full run first needs them and kept outside the project."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from .rig import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "agentsight-auto-environments"


def environment_with(*packages: str, python: str = sys.executable) -> str:
    """Return the Python of an environment with these packages and what this project needs; PYTHONPATH leads to it."""
    key = hashlib.sha256(repr((packages, python)).encode()).hexdigest()[:12]
    folder = CACHE / f"{packages[0].partition('=')[0]}-{key}"
    inside = folder / "bin" / "python"
    if not (folder / "done").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(inside), "-m", "pip", "install", "-q", str(ROOT), *packages], check=True)
        (folder / "done").touch()
    return str(inside)


def python_of(version: str) -> str | None:
    """Return an interpreter of a minor version such as ``3.13``, where the machine has one."""
    found = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else None
