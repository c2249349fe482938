"""Environments of the peers, made at the first use and kept in the user's cache folder; recorders running in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REQUIREMENTS = {
    "agentsight": ["agentsight==0.1.4"],
    "opentelemetry": ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"],
    "sentry": ["sentry-sdk"],
    "ddtrace": ["ddtrace"],
    "langfuse": ["langfuse"],
    "langsmith": ["langsmith"],
    "logfire": ["logfire"],
}
PEERS = list(REQUIREMENTS)
OURS = "agentsight_auto"
PROTOTYPE = "prototype"
WRAPPER = "wrapt"
DISABLED = "disabled"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentsight-auto-benchmarks"


def python_of(name: str) -> str:
    """Return the interpreter that has a recorder: this one for ours, one of its own for a peer."""
    if name not in REQUIREMENTS:
        return sys.executable
    folder = _CACHE / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"making the environment of {name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]], check=True)
        (folder / "ready").touch()
    return str(python)


def version_of(name: str) -> str:
    """Return the version of a recorder's package."""
    package = {"sentry": "sentry-sdk", "opentelemetry": "opentelemetry-sdk", OURS: "agentsight-auto"}.get(name, name)
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python_of(name), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


class Recorder:
    """A recorder in a process of its own, and the sink it exports to in another."""

    def __init__(self, name: str) -> None:
        self.name = name
        python = python_of(name)
        self._sink = subprocess.Popen([python, HERE / "sink.py"], stdout=subprocess.PIPE, text=True)
        assert self._sink.stdout is not None
        self._address = self._sink.stdout.readline().strip()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AGENTSIGHT_")}
        self._process = subprocess.Popen(
            [python, HERE / "drive.py", name, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._answer() == "ready"

    def ask(self, *command: Any) -> Any:
        """Have a command carried out and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def delivered(self) -> int:
        """Return how many different markers the sink has seen."""
        with urllib.request.urlopen(f"{self._address}/markers") as reply:
            return int(json.load(reply)["markers"])

    def close(self) -> None:
        """End both processes."""
        for process in (self._process, self._sink):
            process.terminate()
            process.wait()

    def wait(self) -> None:
        """Wait until the recorder's process has ended by itself."""
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the recorder {self.name} has ended")
        return json.loads(line)
