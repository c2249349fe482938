"""``agentsight-auto import``: bring conversations from a file into the store."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from agentsight_auto.cli.command import FAILED, FINE, Command, Invocation
from agentsight_auto.cli.output import Output
from agentsight_auto.cli.wording import counted
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.store.attachments import AttachmentFolder

if TYPE_CHECKING:
    from agentsight_auto.interchange.importing import BadLine, ImportReport

_NAMES = {
    "human_messages": ("customer message", "customer messages"),
    "agent_messages": ("agent message", "agent messages"),
    "system_messages": ("system message", "system messages"),
    "actions": ("action", "actions"),
    "buttons": ("button", "buttons"),
    "attachments": ("set of attachments", "sets of attachments"),
    "token_usages": ("token usage", "token usages"),
    "feedbacks": ("feedback", "feedbacks"),
}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="JSON lines or one JSON array; - for stdin")
    parser.add_argument(
        "--id-prefix", default="", metavar="TEXT", help="put this before each id, to keep files with equal ids apart"
    )


def _run(invocation: Invocation) -> int:
    # Imported here, so that the other commands and --help do not load SQLAlchemy.
    from agentsight_auto.interchange.importing import Importer  # noqa: PLC0415
    from agentsight_auto.store.database import Database  # noqa: PLC0415
    from agentsight_auto.store.geo import GeoLookup  # noqa: PLC0415

    arguments, output, settings = invocation.arguments, invocation.output, invocation.settings
    source = "stdin" if arguments.file == "-" else arguments.file

    def tell(bad: BadLine) -> None:
        output.complain(f"{source}, {bad.where}: {bad.reason}")

    with (
        _opened(arguments.file) as stream,
        invocation.backend(),
        contextlib.closing(Database.open(settings.store_path)) as database,
    ):
        importer = Importer(
            database,
            AttachmentFolder(settings.attachments_path),
            limits=Limits(settings.max_value_bytes, settings.max_text_bytes),
            now_us=invocation.runtime.clock.now_us,
            geo=GeoLookup(Path(settings.geoip_db) if settings.geoip_db else None),
            id_prefix=arguments.id_prefix,
            on_bad=tell,
            processing=invocation.runtime.processing,
        )
        with _progress(output, stream) as watched:
            report = importer.run(watched)
    if output.is_json:
        output.json(_document(report))
    else:
        _print(output, report)
    return FAILED if report.bad_count else FINE


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield cast("BinaryIO", sys.stdin.buffer)
        return
    with Path(name).open("rb") as stream:
        yield stream


@contextlib.contextmanager
def _progress(output: Output, stream: BinaryIO) -> Iterator[BinaryIO]:
    """Show how far reading has come, on a terminal and for a real file only."""
    size_bytes = 0
    with contextlib.suppress(OSError, ValueError):
        size_bytes = os.fstat(stream.fileno()).st_size
    if not output.error_console.is_terminal or not size_bytes:
        yield stream
        return
    from rich.progress import Progress  # noqa: PLC0415 - for people only

    with Progress(console=output.error_console, transient=True) as progress:
        yield progress.wrap_file(stream, size_bytes, description="importing")


def _document(report: ImportReport) -> dict[str, Any]:
    conversations = {"new": report.new, "extended": report.extended, "unchanged": report.unchanged}
    bad = [msgspec.to_builtins(line) for line in report.bad]
    events = {"new": report.events, "known": report.known}
    return {"conversations": conversations, "events": events, "bad_count": report.bad_count, "bad": bad}


def _print(output: Output, report: ImportReport) -> None:
    new = [counted(count, *_NAMES[name]) for name, count in report.events.items() if count]
    output.print(f"Imported  {counted(report.new, 'conversation')}{': ' if new else ''}{', '.join(new)}.")
    if report.extended:
        output.print(f"Extended  {counted(report.extended, 'conversation')} that had been there.")
    if report.unchanged or report.known:
        output.print(
            f"Known     {counted(report.unchanged, 'conversation')}, {counted(report.known, 'event')}: unchanged."
        )
    if report.bad_count:
        output.print(f"Bad       {counted(report.bad_count, 'line')}: see above.")
    if report.new or report.extended or report.unchanged:
        output.print("Next: agentsight-auto list")


COMMAND = Command(
    name="import",
    summary="bring conversations from a file into the store",
    description="Import conversations in the OpenAI chat format, or our own export, from JSON lines or one JSON\n"
    "array. Importing the same file twice changes nothing. A bad line is reported, the rest is imported.",
    examples=("import transcripts.jsonl", "import - < transcripts.jsonl"),
    add_arguments=_add_arguments,
    run=_run,
)
