"""``agentsight-auto export``: conversations as JSON lines that `import` reads back, or as CSV."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from agentsight_auto.cli.command import FAILED, FINE, USAGE, Command, Invocation
from agentsight_auto.cli.filters import add_filters, filters_of
from agentsight_auto.cli.wording import counted
from agentsight_auto.interchange.csv_format import CsvWriter
from agentsight_auto.interchange.export_format import to_line
from agentsight_auto.store.attachments import AttachmentFolder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default: jsonl")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write to this file, once it is complete (default: stdout)"
    )
    parser.add_argument(
        "--attachments",
        action="store_true",
        help="jsonl: put the attachments' bytes in, as base64, not only what they are",
    )
    add_filters(parser)


def _run(invocation: Invocation) -> int:
    arguments, output = invocation.arguments, invocation.output
    if arguments.format == "csv" and (arguments.attachments or (output.is_json and not arguments.output)):
        output.complain("agentsight-auto export: CSV has no --attachments, and --json needs -o FILE with it.")
        return USAGE
    has_records = invocation.has_records()
    if not has_records:
        output.note(invocation.nothing_recorded())
    with contextlib.ExitStack() as stack:
        conversations: Iterator[dict[str, Any]] = iter(())
        if has_records:
            conversations = stack.enter_context(invocation.backend()).export_conversations(filters_of(arguments))
        stream = stack.enter_context(_target(arguments.output))
        exported, missing = _write(invocation, conversations, stream)
    if arguments.output and output.is_json:
        document = {"conversations": exported, "file": arguments.output, "format": arguments.format}
        output.json({**document, "attachments_left_out": missing})
    else:
        output.note(
            f"{counted(exported, 'conversation')} exported{f' to {arguments.output}' if arguments.output else ''}."
        )
    return FAILED if missing else FINE


def _write(invocation: Invocation, conversations: Iterator[dict[str, Any]], stream: BinaryIO) -> tuple[int, int]:
    """Write all conversations; return how many, and how many attachments could not be put in."""
    if invocation.arguments.format == "csv":
        return _write_csv(conversations, stream), 0
    folder = AttachmentFolder(invocation.settings.attachments_path) if invocation.arguments.attachments else None
    exported = left_out = 0
    for conversation in conversations:
        line, missing = to_line(conversation, folder)
        stream.write(msgspec.json.encode(line) + b"\n")
        exported += 1
        left_out += len(missing)
        for name in missing:
            identity = conversation["conversation_id"]
            invocation.output.complain(
                f"{identity}: attachment {name} left out: not on this disk, or over 150 MiB together."
            )
    return exported, left_out


def _write_csv(conversations: Iterator[dict[str, Any]], stream: BinaryIO) -> int:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = CsvWriter(text)
    exported = 0
    for exported, conversation in enumerate(conversations, 1):  # noqa: B007 - counts
        writer.write(conversation)
    text.flush()
    text.detach()
    return exported


@contextlib.contextmanager
def _target(name: str | None) -> Iterator[BinaryIO]:
    """Give where to write; a file appears under its name when it is complete, readable by its owner only."""
    if name is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and not path.is_file():  # a device or a pipe: nothing to rename there
        with path.open("wb") as stream:
            yield stream
        return
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise


COMMAND = Command(
    name="export",
    summary="write conversations to a file",
    description="Write conversations, the oldest first: as JSON lines, one conversation each, that `import` reads\n"
    "back to the same, or as CSV, one row per message or action, that no spreadsheet executes.\n"
    "Attachments are described; their bytes are included only with --attachments.",
    examples=("export -o conversations.jsonl", "export --format csv --since 2026-11-01 -o november.csv"),
    add_arguments=_add_arguments,
    run=_run,
)
