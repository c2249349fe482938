"""Fuzz what reads foreign bytes and what cuts values: ``python -m tests.faults.fuzz [--seconds 60]``.

Coverage-guided with atheris, in an environment made at the first run; the properties are those of the tests with
hypothesis. Stops at the first input that breaks one, and says which.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from zlib import crc32

TARGETS = ("segment", "snapshot")


def segment(data: bytes) -> None:
    """Whatever the bytes, reading ends, trusts only good checksums, and loses no byte."""
    from agentsight_auto.deliver.segment import frame, parse

    found = parse(data)
    assert sum(map(len, found.records)) + sum(map(len, found.damaged)) <= len(data)
    assert all(frame(record).rstrip(b"\n") in data for record in found.records)
    line = b'{"id":"%08x"}' % crc32(data)
    assert line in parse(data + b"\n" + frame(line)).records or found.is_newer


def snapshot(data: bytes) -> None:
    """Whatever the value, its copy fits the limit and is sound JSON."""
    import msgspec

    from agentsight_auto.snapshot import snapshot as copy

    limit_bytes = 64 + data[0] * 8 if data else 64
    for value in _values(data[1:]):
        encoded = msgspec.json.encode(copy(value, limit_bytes))
        json.loads(encoded)
        assert len(encoded) <= 4 * limit_bytes + 512, (limit_bytes, len(encoded))


def _values(data: bytes) -> list[object]:
    text = data.decode("utf-8", "surrogatepass" if data[:1] < b"\x80" else "replace") if _decodes(data) else repr(data)
    found: list[object] = [
        data,
        text,
        {text: [text, data]},
        [text] * (len(data) % 50),
        int.from_bytes(data[:64], "big"),
    ]
    with contextlib.suppress(ValueError, RecursionError):
        found.append(json.loads(text))
    nested: object = text
    for byte in data[:200]:
        nested = [nested] if byte % 2 else {text[:8]: nested}
    return [*found, nested]


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _fuzz(target: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["agentsight_auto"]):
        import agentsight_auto.deliver.segment
        import agentsight_auto.snapshot  # noqa: F401
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", "-print_final_stats=1"], globals()[target]
    )
    atheris.Fuzz()


def main() -> int:
    """Fuzz each target in a process of its own, and return how many broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long each target is fuzzed")
    parser.add_argument("--target", choices=TARGETS, help="fuzz this one in this process (needs atheris)")
    chosen = parser.parse_args()
    if chosen.target:
        _fuzz(chosen.target, chosen.seconds)
        return 0
    from .environments import environment_with
    from .rig import ROOT, environment

    python = environment_with("atheris")
    broken = 0
    for target in TARGETS:
        command = [python, "-m", "tests.faults.fuzz", "--target", target, "--seconds", str(chosen.seconds)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(ROOT / ".agentsight"), capture_output=True, text=True, check=False
        )
        runs = [line.rpartition(" ")[2] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"{target}: {runs[0] if runs else 'no'} runs, {'nothing broke' if done.returncode == 0 else 'BROKEN'}")
        if done.returncode:
            broken += 1
            print(done.stderr[-3000:])
    return broken


if __name__ == "__main__":
    sys.exit(main())
