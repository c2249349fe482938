"""What recording costs the caller: a call and a turn, side by side with what a user would pick instead.

All recorders take turns in every round of one run, each in a process of its own that really delivers (ours into its
embedded store, the peers to a local HTTP server). A call: a function that returns its argument, inside a conversation,
arguments and result recorded; beyond the cost of the undecorated call. A turn: open, user message, 3 calls, agent
message, token usage, close; with us and the prototype it is safe on disk then. Beside them a wrapt wrapper that passes
through, and ours with recording disabled.

Run:    python benchmarks/capture.py [--rounds N] [--peers sentry,ddtrace]
Prints: medians in microseconds, the p99 of a turn, ratios to the prototype; then what was asked and what was reached.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from peers.environments import DISABLED, OURS, PEERS, PROTOTYPE, WRAPPER, Recorder, version_of

_CALLS = 100
_TURNS = 20
_WARM_UP_ROUNDS = 3
_TITLES = {PROTOTYPE: "prototype", WRAPPER: "a bare wrapt wrapper", DISABLED: "agentsight_auto, disabled"}


def measure(recorders: list[Recorder], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Run all recorders in turn, `rounds` times."""
    times: dict[str, dict[str, list[float]]] = {r.name: {"call": [], "await": [], "turn": []} for r in recorders}
    for number in range(rounds + _WARM_UP_ROUNDS):
        for recorder in recorders:
            call, awaited = recorder.ask("calls", _CALLS), recorder.ask("awaits", _CALLS)
            turns = recorder.ask("turns", _TURNS)
            if number >= _WARM_UP_ROUNDS:
                taken = times[recorder.name]
                taken["call"].append(call)
                taken["await"].append(awaited)
                taken["turn"] += turns
            recorder.ask("flush")
    return times


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def print_table(times: dict[str, dict[str, list[float]]]) -> None:
    floor = {what: statistics.median(taken) for what, taken in times[PROTOTYPE].items()}
    print("| recorder | call, µs | / prototype | awaited call, µs | turn, µs | / prototype | turn p99, µs |")
    print("|---|---|---|---|---|---|---|")
    for name, taken in sorted(times.items(), key=lambda entry: statistics.median(entry[1]["call"])):
        call, awaited, turn = (statistics.median(taken[what]) for what in ("call", "await", "turn"))
        title = f"{name} {version_of(name)}" if name in {OURS, *PEERS} else _TITLES[name]
        awaited_text = "" if name == PROTOTYPE else f"{awaited:.2f}"
        print(
            f"| {title} | {call:.2f} | {call / floor['call']:.1f} | {awaited_text} | {turn:.1f} "
            f"| {turn / floor['turn']:.1f} | {p99(taken['turn']):.1f} |"
        )


def print_verdicts(times: dict[str, dict[str, list[float]]]) -> None:
    medians = {name: {what: statistics.median(v) for what, v in taken.items()} for name, taken in times.items()}
    peers = [name for name in medians if name in PEERS]
    if not peers:
        return
    ours, floor = medians[OURS], medians[PROTOTYPE]
    call, awaited, turn = (min(medians[peer][what] for peer in peers) for what in ("call", "await", "turn"))
    figures: list[tuple[str, float, float]] = [
        ("call / cheapest peer's", ours["call"] / call, 1 / 5),
        ("awaited call / cheapest peer's", ours["await"] / awaited, 1 / 5),
        ("call / prototype's", ours["call"] / floor["call"], 2.5),
        ("turn / cheapest peer's", ours["turn"] / turn, 1 / 4),
        ("p99 of a turn / median of the cheapest peer's", p99(times[OURS]["turn"]) / turn, 1.0),
    ]
    figures.append(("disabled call / bare wrapper's", medians[DISABLED]["call"] / medians[WRAPPER]["call"], 1.05))
    print("\n| figure | asked | reached |\n|---|---|---|")
    for name, reached, asked in figures:
        print(f"| {name} | at most {asked:.2f} | {reached:.2f}{'' if reached <= asked else ' (falls short)'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what recording costs the caller.")
    parser.add_argument("--rounds", type=int, default=25, help="rounds to take medians over (default: 25)")
    parser.add_argument("--peers", default=",".join(PEERS), help="which peers (default: all)")
    options: Any = parser.parse_args()
    recorders = [
        Recorder(name) for name in [OURS, PROTOTYPE, WRAPPER, DISABLED, *filter(None, options.peers.split(","))]
    ]
    try:
        times = measure(recorders, max(options.rounds, 1))
        produced = {r.name: (r.ask("leave"), r.delivered()) for r in recorders if r.name in PEERS}
    finally:
        for recorder in recorders:
            recorder.close()
    print_table(times)
    print_verdicts(times)
    print("\ndelivered of produced calls: " + ", ".join(f"{n} {d:,} of {p:,}" for n, (p, d) in produced.items()))
    print(f"{OURS}: every flush checked that captured = delivered")


if __name__ == "__main__":
    main()
