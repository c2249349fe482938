"""``agentsight-auto demo``: let a small support agent hold conversations, and show what was recorded of them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from agentsight_auto import _runtime
from agentsight_auto.cli.command import FAILED, FINE, Command, Invocation
from agentsight_auto.cli.output import Output
from agentsight_auto.cli.wording import counted, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentsight_auto.demo.run import DemoResult

_MOST_CONVERSATIONS = 100_000
_CLOSE_WAIT_S = 2.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--conversations", type=_number, default=200, metavar="N", help="how many conversations (default: 200)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same conversations (default: 1)")


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MOST_CONVERSATIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST_CONVERSATIONS:,}")
    return number


def _run(invocation: Invocation) -> int:
    from agentsight_auto.demo.run import run_demo  # noqa: PLC0415 - only this command needs the demo

    arguments, output = invocation.arguments, invocation.output
    with _recording_to(getattr(arguments, "home", None)), _progress(output, arguments.conversations) as on_done:
        result = run_demo(arguments.conversations, seed=arguments.seed, on_done=on_done)
    if output.is_json:
        output.json(_document(result))
    else:
        _print(output, result, invocation)
    for problem in result.problems:
        output.complain(f"agentsight-auto demo: the store differs from what was done: {problem}")
    return FAILED if result.problems else FINE


@contextmanager
def _recording_to(home: str | None) -> Iterator[None]:
    """Let everything the demo records go to this folder, and win back what was before."""
    runtime = _runtime.Runtime(home=home)
    try:
        with _runtime.used_as_default(runtime):
            yield
    finally:
        runtime.shutdown(_CLOSE_WAIT_S)


@contextmanager
def _progress(output: Output, total: int) -> Iterator[Callable[[], object]]:
    """Show how far it is: a bar on a terminal, else a line at each quarter; nothing of it on stdout."""
    if output.error_console.is_terminal:
        columns = (TextColumn("Holding conversations"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=output.error_console, transient=True) as progress:
            task = progress.add_task("", total=total)
            yield lambda: progress.advance(task)
        return
    quarters = {total * quarter // 4 for quarter in (1, 2, 3, 4)}
    done = iter(range(1, total + 1))

    def on_done() -> None:
        number = next(done)
        if number in quarters and not output.is_json:
            output.note(f"{number} of {counted(total, 'conversation')}")

    yield on_done


def _document(result: DemoResult) -> dict[str, object]:
    cost = result.cost
    return {
        "run": result.run,
        "store": str(result.store),
        "is_complete": not result.problems,
        "problems": result.problems,
        **result.stored,
        "duration_s": round(result.duration_s, 3),
        "cost_us": {"undecorated": cost.plain_us, "tracked": cost.tracked_us, "added": cost.added_us},
        "conversation_id": result.shown_id,
    }


def _print(output: Output, result: DemoResult, invocation: Invocation) -> None:
    output.print(f"Recorded in {result.store} in {duration(result.duration_s * 1000)}, read back from there:")
    for name, number, remark in _lines(result.stored):
        output.print(f"  {name:<14}{number:>8,}  {remark}".rstrip())
    if not result.problems:
        output.print("Every message and action is in its own conversation and in order.")
    cost = result.cost
    output.print(
        f"@track_action adds {cost.added_us:.1f} µs to a call, with its argument and result recorded "
        f"({cost.tracked_us:.1f} against {cost.plain_us:.2f} µs, medians of {cost.calls:,} calls)."
    )
    home = getattr(invocation.arguments, "home", None)
    place = f" --home {shlex.quote(home)}" if home else ""
    output.print("Next:")
    output.print(f"  agentsight-auto list{place}")
    output.print(f"  agentsight-auto show {result.shown_id}{place}")


def _lines(stored: dict[str, int]) -> Iterator[tuple[str, int, str]]:
    human, agent = stored["human_messages"], stored["agent_messages"]
    feedbacks = {name: stored[f"{name}_feedbacks"] for name in ("positive", "neutral", "negative")}
    yield "conversations", stored["conversations"], ""
    yield "messages", human + agent, f"{human:,} of customers, {agent:,} of the agent"
    yield "actions", stored["action_calls"], f"{stored['action_errors']:,} failed"
    yield "escalations", stored["escalated_conversations"], "conversations handed to a human"
    yield "attachments", stored["attachments"], ""
    yield "buttons", stored["buttons"], ""
    yield "feedback", sum(feedbacks.values()), ", ".join(f"{count:,} {name}" for name, count in feedbacks.items())
    yield "tokens", stored["total_tokens"], ""


COMMAND = Command(
    name="demo",
    summary="let a small support agent hold 200 conversations and show what was recorded",
    description=(
        "Run a small rule-based support agent of an imaginary shop, on threads and on asyncio at once, and record its\n"
        "conversations: no key, no model, no network. Each run adds conversations of its own to the store. The counts\n"
        "it prints are read back from the store; the exit code is 1 if they differ from what was done."
    ),
    examples=("demo", "demo --conversations 20 --home /tmp/demo", "demo --json"),
    add_arguments=_add_arguments,
    run=_run,
)
