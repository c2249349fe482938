"""What `instrument("openai")` adds to a call, and to the start of a program: ``python benchmarks/openai_call.py``.

Calls of the real SDK against a server in another process on this machine, instrumented and not, taken in turns.
Prints medians in microseconds and the ratio; and the milliseconds that ``instrument()`` takes in fresh processes.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from typing import Any

import openai

import agentsight_auto
from agentsight_auto.testing import recording

ROUNDS = 40
CALLS = 10
_BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 0,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}
_SWITCH = (
    "import time, agentsight_auto\nbegan = time.perf_counter()\nagentsight_auto.instrument()\n"
    "print((time.perf_counter() - began) * 1000)"
)


class Provider(BaseHTTPRequestHandler):
    """Answers at once, every time with another id."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        """Answer one call."""
        self.rfile.read(int(self.headers["content-length"]))
        Provider.count += 1
        data = json.dumps({**_BODY, "id": f"chatcmpl-{Provider.count}"}).encode()
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data
        )

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def serve(ports: Queue[int]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    ports.put(server.server_address[1])
    server.serve_forever()


def time_calls(client: openai.OpenAI) -> float:
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])
    return (time.perf_counter_ns() - began) / CALLS / 1000


def main() -> None:
    ports: Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ports.get(timeout=30)}/v1"
    plain_us, recorded_us = [], []
    with openai.OpenAI(base_url=url, api_key="k") as client, recording(durability="process"):
        time_calls(client)
        for _ in range(ROUNDS):
            with agentsight_auto.conversation("benchmark"):
                plain_us.append(time_calls(client))
                agentsight_auto.instrument("openai")
                recorded_us.append(time_calls(client))
                agentsight_auto.uninstrument()
    server.terminate()
    plain, recorded = statistics.median(plain_us), statistics.median(recorded_us)
    switch = [float(subprocess.check_output([sys.executable, "-c", _SWITCH])) for _ in range(7)]
    print(f"openai call       {plain:8.0f} µs (baseline)")
    print(f"  instrumented    {recorded:8.0f} µs, {recorded / plain:.3f} of the baseline, +{recorded - plain:.0f} µs")
    print(f"instrument()      {statistics.median(switch):8.2f} ms, at most {max(switch):.2f} ms")


if __name__ == "__main__":
    main()
