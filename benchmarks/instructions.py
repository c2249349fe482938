"""The guard against slow regressions: instructions of the hot paths, as ratios to a bare wrapt wrapper in the same run.

Counts do not depend on the machine's mood, so this runs in CI. The ratios below hold for one interpreter and the pinned
wheels; elsewhere they are printed and not judged. A path may take 5 % more than its ratio; one that takes 10 % less
wants its ratio lowered, here.

Run:    python benchmarks/instructions.py
Needs:  valgrind (callgrind). Prints: instructions of each path and its ratio; exit code 1 where one is too many.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hot_paths import REPEATS

RATIOS = {"disabled": 0.70, "call": 2.84, "turn": 42.7}
"""Instructions of a path / those of a bare wrapt wrapper's call."""

INTERPRETER = "CPython 3.11"
PINNED = Path(__file__).parent / "pinned.txt"
_TOLERANCE = 0.05
_STALE = 0.10
_PARTS = {"bare": (2,), "disabled": (4,), "call": (6, 8), "turn": (10,)}
"""Which dumps of `hot_paths.py` belong to a path; those in between are preparation."""


def count(folder: Path) -> dict[str, float]:
    """Run the hot paths once under callgrind and return the instructions of one call or turn of each."""
    command = ["valgrind", "--tool=callgrind", "--dump-before=sched_yield", f"--callgrind-out-file={folder}/out"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment = {name: value for name, value in environment.items() if not name.startswith("AGENTSIGHT_")}
    here = Path(__file__).parent
    subprocess.run([*command, sys.executable, here / "hot_paths.py"], env=environment, check=True, capture_output=True)
    return {path: sum(total(folder, part) for part in parts) / REPEATS[path] for path, parts in _PARTS.items()}


def total(folder: Path, part: int) -> int:
    """Return the instructions of one dump."""
    for line in (folder / f"out.{part}").read_text(errors="replace").splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise ValueError(f"callgrind wrote no total of part {part}")


def why_not_judged() -> str:
    """Return why the ratios do not hold here; '' where they do."""
    here = f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}"
    if here != INTERPRETER:
        return f"the ratios hold for {INTERPRETER}, this is {here}"
    pins = [line.split("==") for line in PINNED.read_text().splitlines()]
    others = [f"{name} {version}" for name, version in pins if importlib.metadata.version(name) != version]
    return f"the ratios hold with {', '.join(others)}" if others else ""


def main() -> int:
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed (apt-get install valgrind)")
        return 0
    with tempfile.TemporaryDirectory(prefix="agentsight-benchmark-") as folder:
        counts = count(Path(folder))
    skipped = why_not_judged()
    has_failed = False
    print(f"{'path':<10}{'instructions':>14}{'ratio':>8}{'allowed':>9}")
    for path, instructions in counts.items():
        ratio, known = instructions / counts["bare"], RATIOS.get(path, 1.0)
        too_many, is_stale = ratio > known * (1 + _TOLERANCE), ratio < known * (1 - _STALE)
        verdict = "  TOO MANY" if too_many else "  fewer than known: lower its ratio in this file" if is_stale else ""
        print(
            f"{path:<10}{instructions:>14,.0f}{ratio:>8.2f}{known * (1 + _TOLERANCE):>9.2f}{'' if skipped else verdict}"
        )
        has_failed |= too_many
    if skipped:
        print(f"not judged: {skipped}")
        return 0
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
