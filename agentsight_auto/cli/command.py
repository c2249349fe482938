"""What a command of the command line is, and what each is given."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentsight_auto._runtime import Runtime
from agentsight_auto.cli.output import Output
from agentsight_auto.deliver.folders import process_folders

if TYPE_CHECKING:
    from agentsight_auto._settings import Settings
    from agentsight_auto.query.backend import Backend

FINE, FAILED, USAGE = 0, 1, 2
_READ_WAIT_S = 10.0
_CLOSE_WAIT_S = 2.0


@dataclass(frozen=True)
class Invocation:
    """One call of a command: its arguments, as given and as parsed, its output and its runtime."""

    argv: Sequence[str]
    arguments: argparse.Namespace
    output: Output
    runtime: Runtime

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self.runtime.settings

    def has_records(self) -> bool:
        """Tell whether anything was ever recorded here; looking makes no file."""
        settings = self.settings
        return settings.is_remote or settings.store_path.exists() or bool(process_folders(settings.outbox_path))

    def nothing_recorded(self) -> str:
        """Return what to say where nothing was recorded yet."""
        return (
            f"No conversations recorded in {self.settings.home} yet. Run `agentsight-auto demo`, "
            "import some with `agentsight-auto import FILE`, or name another folder with --home."
        )

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """Give what answers queries, after delivering what dead processes have left."""
        try:
            yield self.runtime.backend(wait_s=_READ_WAIT_S)
        finally:
            self.runtime.shutdown(_CLOSE_WAIT_S)


@dataclass(frozen=True)
class Command:
    """A command: its name, one line of help, an example, its arguments and what it does (returns the exit code)."""

    name: str
    summary: str
    description: str
    examples: Sequence[str]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Invocation], int]
