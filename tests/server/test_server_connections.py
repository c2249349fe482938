"""What a kept connection costs."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

from .support import ServeProcess


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(tmp_path: Path) -> None:
    """Head and body of an answer are two packets; the second goes out at once, not 40 ms after the first."""
    with ServeProcess(tmp_path / "agentsight.db", "--quiet") as server:
        connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=10)
        seconds = []
        for _ in range(30):
            begun = time.perf_counter()
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            seconds.append(time.perf_counter() - begun)
        connection.close()
    assert min(seconds[15:]) < 0.03
