"""Run the fault matrix and print its table: ``python -m tests.faults [--quick] [--rows C1,S4] [--write]``."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from pathlib import Path

import pytest

from .table import PROFILE, Table, versions, write

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "reliability.md"


def main() -> int:
    """Run the rows that were asked for, in one process after the other, and return pytest's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rounds each, as CI runs them")
    parser.add_argument("--rows", default="", help="only these, separated by commas: C1,C2,S4")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/reliability.md")
    parser.add_argument("-n", default="0", help="how many tests to run at once (1 and more need pytest-xdist)")
    chosen = parser.parse_args()
    profile = "quick" if chosen.quick else "full"
    os.environ[PROFILE] = profile
    arguments = [str(HERE), "-q", "-n", chosen.n, "-p", "no:cacheprovider", "-o", "timeout=600"]
    if chosen.rows:
        arguments += ["-k", " or ".join(_test_name(name.strip()) for name in chosen.rows.split(","))]
    table = Table()
    code = pytest.main(arguments, plugins=[table])
    today = dt.datetime.now(tz=dt.timezone.utc).date().isoformat()
    print(f"\n{profile} profile of {today}, {versions()}\n\n{table.markdown()}")
    if chosen.write:
        write(PAGE, table.rows, profile=profile, when=today)
    return int(code)


def _test_name(row: str) -> str:
    return f"test_{row[0].lower()}{int(row[1:]):02d}_"


if __name__ == "__main__":
    sys.exit(main())
