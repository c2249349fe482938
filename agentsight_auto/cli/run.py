"""``agentsight-auto run``: run a Python program with all integrations installed, without touching its code."""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import sys
import traceback
from pathlib import Path

from agentsight_auto import _runtime
from agentsight_auto.capture.conversation import conversation
from agentsight_auto.cli import children
from agentsight_auto.cli.command import FAILED, FINE, USAGE, Command, Invocation
from agentsight_auto.integrations.registry import instrument


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", dest="module", action="store_true", help="PROGRAM is a module, as in python -m")
    parser.add_argument("--only", metavar="NAMES", default="", help="integrations to install, by comma")
    parser.add_argument("--exclude", metavar="NAMES", default="", help="integrations to leave out, by comma")
    parser.add_argument(
        "--conversation", metavar="ID", help="record the whole run as one conversation (for scripts that open none)"
    )
    parser.add_argument("--capture-messages", action="store_true", help="record prompts and completions as messages")
    parser.add_argument("program", metavar="PROGRAM", help="the program's file")
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="arguments of the program")


def _run(invocation: Invocation) -> int:
    arguments = invocation.arguments
    program: str = arguments.program
    if not arguments.module and not Path(program).exists():
        invocation.output.complain(f"agentsight-auto run: there is no file {program}")
        return USAGE
    if hasattr(arguments, "home"):
        _runtime.default().configure(home=arguments.home)
    instrument(
        *_names(arguments.only),
        exclude=_names(arguments.exclude),
        capture_messages=True if arguments.capture_messages else None,
    )
    _prepare_children(arguments)
    sys.argv = [program, *arguments.rest]
    sys.path.insert(0, str(Path.cwd() if arguments.module else Path(program).resolve().parent))
    block = contextlib.nullcontext() if arguments.conversation is None else conversation(arguments.conversation)
    try:
        with block:
            if arguments.module:
                runpy.run_module(program, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(program, run_name="__main__")
    except SystemExit as stop:
        return _exit_code(stop)
    except Exception as error:  # noqa: BLE001 - the program's own, shown as Python shows it
        traceback.print_exception(error)
        return FAILED
    return FINE


def _prepare_children(arguments: argparse.Namespace) -> None:
    """Let the processes that the program starts do the same: a server's workers, say."""
    words = _names(arguments.only) or ["auto"]
    words += [f"-{name}" for name in _names(arguments.exclude)]
    os.environ["AGENTSIGHT_INSTRUMENT"] = ",".join(words)
    if arguments.capture_messages:
        os.environ["AGENTSIGHT_CAPTURE_MESSAGES"] = "1"
    if hasattr(arguments, "home"):
        os.environ["AGENTSIGHT_HOME"] = str(Path(arguments.home).absolute())
    path = [str(Path(children.__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or FINE
    sys.stderr.write(f"{stop.code}\n")
    return FAILED


COMMAND = Command(
    name="run",
    summary="run a program with all integrations installed",
    description="Run a Python program as python would, with every integration installed before its first line:\n"
    "its model calls and tools are recorded in the conversations it opens, or in that of --conversation.\n"
    "Python processes that it starts, a server's workers say, are run in the same way.",
    examples=("run app.py", "run --conversation nightly-report report.py --day monday", "run -m uvicorn app:app"),
    add_arguments=_add_arguments,
    run=_run,
)
