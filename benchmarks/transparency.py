"""Which decorators keep the function what it was? Ours and six released ones, each in an environment of its own.

Run with ``python benchmarks/transparency.py [--write]``. The environments are made at the first run and kept outside
the project. A cell counts the checks of `tests/faults/transparency.py` that a kind of function passes with a library.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.environments import environment_with  # noqa: E402 - the project is not installed here
from tests.faults.table import between_markers  # noqa: E402

OURS = "agentsight-auto"
PEERS = ("opentelemetry-sdk", "sentry-sdk", "ddtrace", "langfuse", "langsmith", "logfire")
PAGE = ROOT / "docs" / "reliability.md"
QUIET = {
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "LANGFUSE_PUBLIC_KEY": "pk-lf-none",
    "LANGFUSE_SECRET_KEY": "sk-lf-none",
    "LANGFUSE_HOST": "http://127.0.0.1:9",
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_API_KEY": "none",
    "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "AGENTSIGHT_DURABILITY": "memory",
}


def measure(library: str) -> dict[str, Any]:
    """Return the version of a library and what its decorator passes, by kind and check."""
    python = sys.executable if library == OURS else environment_with(library)
    done = subprocess.run(
        [python, "-m", "tests.faults.transparency", library],
        cwd=ROOT,
        env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return kinds by libraries, and checks by libraries, as Markdown."""
    names = list(results)
    head = "".join(f" {name} {results[name]['version']} |" for name in names)
    kinds = list(results[names[0]]["found"])
    checks = list(results[names[0]]["found"][kinds[0]])
    lines = [f"| Kind of function, of {len(checks)} checks |{head}", "|---|" + "---|" * len(names)]
    for kind in kinds:
        passed = [sum(not why for why in results[name]["found"][kind].values()) for name in names]
        lines.append(f"| {kind} |" + "".join(f" {count} |" for count in passed))
    lines += ["", f"| Check, of {len(kinds)} kinds |{head}", "|---|" + "---|" * len(names)]
    for check in checks:
        passed = [sum(not results[name]["found"][kind][check] for kind in kinds) for name in names]
        lines.append(f"| {check} |" + "".join(f" {count} |" for count in passed))
    totals = [sum(not why for row in results[name]["found"].values() for why in row.values()) for name in names]
    lines.append("| **all** |" + "".join(f" **{total}** |" for total in totals))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all libraries and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reliability.md")
    parser.add_argument("--why", action="store_true", help="print why a check does not pass")
    chosen = parser.parse_args()
    results = {library: measure(library) for library in (OURS, *PEERS)}
    text = table(results)
    print(text)
    if chosen.why:
        for library, result in results.items():
            for kind, row in result["found"].items():
                for check, why in row.items():
                    if why:
                        print(f"{library}: {kind}: {check}: {why}")
    if chosen.write:
        PAGE.write_text(between_markers(PAGE.read_text(encoding="utf-8"), "transparency", text), encoding="utf-8")


if __name__ == "__main__":
    main()
