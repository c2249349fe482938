"""``agentsight-auto``: parse the arguments, run one command, turn its outcome into an exit code.

0: fine. 1: it did not work, or only in part; one line on stderr says what to do. 2: the arguments cannot be used.
130: interrupted with Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from agentsight_auto._runtime import Runtime
from agentsight_auto._version import __version__
from agentsight_auto.cli.command import FAILED, USAGE, Command, Invocation
from agentsight_auto.cli.output import Output, silence_stdout
from agentsight_auto.exceptions import AgentSightException, ConfigurationException, InvalidQueryException

_COMMANDS = (
    "agentsight_auto.cli.demo",
    "agentsight_auto.cli.list",
    "agentsight_auto.cli.show",
    "agentsight_auto.cli.stats",
    "agentsight_auto.cli.export",
    "agentsight_auto.cli.import_file",
    "agentsight_auto.cli.ui",
    "agentsight_auto.cli.erase",
    "agentsight_auto.cli.run",
    "agentsight_auto.cli.serve",
    "agentsight_auto.cli.keys",
    "agentsight_auto.cli.doctor",
)
"""Modules with a `COMMAND`, in the order of the help."""

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; `argv` without the program's name, by default the process's."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parser().parse_args(given)
    except SystemExit as stop:  # argparse has written what there was to say
        return stop.code if isinstance(stop.code, int) else USAGE
    output = Output(is_json=getattr(arguments, "json", False))
    try:
        code = _run(given, arguments, output)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return FAILED
    except KeyboardInterrupt:
        output.complain("Interrupted.")
        return _INTERRUPTED
    return code


def _run(argv: Sequence[str], arguments: argparse.Namespace, output: Output) -> int:
    command: Command = arguments.command
    try:
        # AGENTSIGHT_DISABLED turns recording off; what is there can still be read.
        runtime = Runtime(home=getattr(arguments, "home", None), disabled=False)
        return command.run(Invocation(argv, arguments, output, runtime))
    except (InvalidQueryException, ConfigurationException) as error:
        output.complain(f"agentsight-auto {command.name}: {error}")
        return USAGE if isinstance(error, InvalidQueryException) else FAILED
    except BrokenPipeError:
        raise
    except (AgentSightException, OSError) as error:
        output.complain(f"agentsight-auto {command.name}: {error}")
        return FAILED


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints end with where help is."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with exit code 2."""
        self.exit(USAGE, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="agentsight-auto",
        description="Look at what your AI agent's conversations recorded.",
        epilog="Each command has help with an example: agentsight-auto list --help",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"agentsight-auto {__version__}")
    _add_common(parser)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for module in _COMMANDS:
        command: Command = importlib.import_module(module).COMMAND
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog="\n".join(["examples:", *(f"  agentsight-auto {example}" for example in command.examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_common(subparser)
        command.add_arguments(subparser)
        subparser.set_defaults(command=command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that stand before or after the command's name."""
    parser.add_argument(
        "--home",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder of the store (default: AGENTSIGHT_HOME, else .agentsight in the working directory)",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for programs instead of text"
    )
