"""A server process under observation: its memory and descriptors, a disk of its own, and kill -9 with a restart."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server.support import ServeProcess

MIB = 1024 * 1024


def rss_bytes(pid: int) -> int:
    """Memory that a process has in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Watch(threading.Thread):
    """Remember the most memory that a process has had, looked at every 5 ms."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.before = self.most = rss_bytes(pid)
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(0.005):
            self.most = max(self.most, rss_bytes(self.pid))

    @property
    def added(self) -> int:
        return self.most - self.before

    def __enter__(self) -> Watch:  # noqa: PYI034 - Self is not in Python 3.10
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join(5)


def can_mount() -> bool:
    """Whether this user may mount a small disk in a name space of its own."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False, timeout=20)
    return done.returncode == 0


class Restarting:
    """A server on one port and one database that is killed and started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.db = folder / "a.db"
        self.problems: list[str] = []
        self.key = ""
        self._environment = {
            **os.environ,
            "AGENTSIGHT_SERVER_REQUESTS_PER_MINUTE": "0",
            **{f"AGENTSIGHT_SERVER_{name.upper()}": value for name, value in settings.items()},
        }
        self.server = self.start()

    def start(self) -> ServeProcess:
        server = ServeProcess(self.db, "--port", str(self.port), env=self._environment)
        self.key = server.key or self.key
        self._reader = threading.Thread(target=self._read, args=(server.process.stderr,), daemon=True)
        self._reader.start()
        return server

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.problems.append(line)

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self.server.process.kill()
        self.server.process.wait(20)
        self._reader.join(10)
        for stream in (self.server.process.stdout, self.server.process.stderr):
            if stream is not None:
                stream.close()

    def restart(self) -> None:
        self.kill()
        time.sleep(0.05)
        self.server = self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def restarting(folder: Path, **settings: str) -> Iterator[Restarting]:
    running = Restarting(folder, **settings)
    try:
        yield running
    finally:
        running.kill()
