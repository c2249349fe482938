"""What becomes of events under load: threads, a burst, a flush, the end of the process, memory.

Each recorder runs in a process of its own and really delivers (ours into its embedded store, the peers to a local HTTP
server that counts). Scenarios: 8 threads x 2,000 turns; 100,000 calls without a pause; a flush of 10,000 events; the
end of the process with 10,000 events waiting.

Run:    python benchmarks/delivery.py [--peers sentry,ddtrace] [--threads 8] [--turns 2000] [--burst 100000]
Prints: seconds, and how many of the produced calls were delivered.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from peers.environments import OURS, PEERS, Recorder, version_of

_WAITING = 10_000


def run(name: str, options: Any) -> list[str]:
    """Run all scenarios with one recorder and return its row."""
    cells = [f"{name} {version_of(name)}"]
    for scenario in (("threads", options.threads, options.turns), ("burst", options.burst), ("burst", _WAITING)):
        recorder = Recorder(name)
        try:
            taken_s, flush_s = recorder.ask(*scenario), recorder.ask("flush")
            produced = recorder.ask("produced")
            delivered = recorder.ask("delivered") if name == OURS else recorder.delivered()
            cells.append(f"{flush_s:.2f} s" if scenario[-1] == _WAITING else f"{taken_s:.2f} s + {flush_s:.2f} s")
            cells.append(f"{delivered:,} of {produced:,}")
        finally:
            recorder.close()
    recorder = Recorder(name)
    try:
        recorder.ask("burst", _WAITING)
        recorder.ask("leave")
        started = time.perf_counter()
        recorder.wait()
        cells.append(f"{time.perf_counter() - started:.2f} s")
    finally:
        recorder.close()
    return cells


def memory_per_event() -> float:
    """Return the bytes that an event of ours takes in memory beyond its content, while its block is open."""
    code = """if True:
        import tempfile, tracemalloc
        from agentsight_auto import configure, conversation, track_action
        configure(home=tempfile.mkdtemp(), journal_interval_ms=60_000)
        find_order = track_action(lambda order_id: order_id)
        with conversation("memory"):
            find_order("A-17")
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for number in range(1_000):  # of more than 2,000 a block would let the oldest go
                find_order("A-17")
            used = tracemalloc.get_traced_memory()[0] - before
            print(used / 1_000)
        """
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(reply.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what becomes of events under load.")
    parser.add_argument("--peers", default=",".join(PEERS), help="which peers (default: all)")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--turns", type=int, default=2000, help="of each thread")
    parser.add_argument("--burst", type=int, default=100_000)
    options = parser.parse_args()
    threads = f"{options.threads} threads x {options.turns:,} turns + flush"
    heads = ["recorder", threads, "delivered", f"{options.burst:,} calls + flush", "delivered"]
    heads += [f"flush of {_WAITING:,}", "delivered", f"exit with {_WAITING:,} waiting"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in [OURS, *filter(None, options.peers.split(","))]:
        print("| " + " | ".join(run(name, options)) + " |", flush=True)
    print(f"\nmemory of a recorded call, its content included: {memory_per_event():.0f} bytes")


if __name__ == "__main__":
    main()
