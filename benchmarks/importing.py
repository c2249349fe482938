"""What importing costs: seconds beyond an empty interpreter, modules, and which heavy ones, beside the peers.

All modules are compiled first, as an installation leaves them.

Run:    python benchmarks/importing.py [--rounds N] [--peers sentry,ddtrace]
Prints: medians of interleaved rounds, and the ratio to importing the three libraries that recording stands on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time

from peers.environments import OURS, PEERS, python_of, version_of

_FLOOR = "wrapt, contextvars_extras, msgspec"
_HEAVY = ("httpx", "sqlalchemy", "dotenv")
_MODULES = {
    "opentelemetry": "opentelemetry.sdk.trace, opentelemetry.sdk.trace.export, "
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "sentry": "sentry_sdk",
    "ddtrace": "ddtrace.trace",
}


def seconds(python: str, statement: str, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([python, "-c", statement], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def measure(cases: dict[str, tuple[str, str]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each import beyond an empty interpreter, all cases in turn in every round."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory(prefix="agentsight-benchmark-") as folder:
        environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        for number in range(rounds + 1):
            for name, (python, modules) in cases.items():
                empty_s = seconds(python, "pass", environment)
                taken_s = seconds(python, f"import {modules}", environment) - empty_s
                if number:  # the first round compiles
                    times[name].append(taken_s)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what importing costs.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", default=",".join(PEERS), help="which peers (default: all)")
    options = parser.parse_args()
    cases = {_FLOOR: (python_of(OURS), _FLOOR)}
    cases |= {
        name: (python_of(name), _MODULES.get(name, name)) for name in [OURS, *filter(None, options.peers.split(","))]
    }
    times = measure(cases, options.rounds)
    floor_s = statistics.median(times[_FLOOR])
    print("| import | ms | / the three libraries | modules | of httpx, sqlalchemy, dotenv |\n|---|---|---|---|---|")
    for name, (python, modules) in cases.items():
        code = f"import sys; before = len(sys.modules); import {modules}; print(len(sys.modules) - before)"
        code += f"; print(*[name for name in {_HEAVY} if name in sys.modules])"
        told = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        median_s = statistics.median(times[name])
        title = name if name == _FLOOR else f"{name} {version_of(name)}"
        heavy = ", ".join(told[1:]) or "none"
        print(f"| {title} | {median_s * 1000:.0f} | {median_s / floor_s:.2f} | {told[0]} | {heavy} |")


if __name__ == "__main__":
    main()
