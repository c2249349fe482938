"""``agentsight-auto erase``: remove a conversation, or all of a customer, to the last byte."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from agentsight_auto._erasure import erase
from agentsight_auto.cli.command import FAILED, FINE, USAGE, Command, Invocation
from agentsight_auto.cli.output import Output
from agentsight_auto.cli.recorded_text import one_line
from agentsight_auto.cli.wording import counted, local_time
from agentsight_auto.exceptions import ConfigurationException

if TYPE_CHECKING:
    from agentsight_auto.query.embedded import EmbeddedBackend

_TIDY_WAIT_S = 60.0
_CLOSE_WAIT_S = 2.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("conversation", metavar="ID", nargs="?", help="text id of the conversation to erase")
    parser.add_argument("--customer", metavar="ID", help="erase all conversations of this customer instead")
    parser.add_argument(
        "--expired",
        action="store_true",
        help="erase what is older than AGENTSIGHT_RETENTION_DAYS, and go on with erasures that were interrupted",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before erasing")


def _run(invocation: Invocation) -> int:
    arguments, output = invocation.arguments, invocation.output
    given = [arguments.conversation is not None, arguments.customer is not None, arguments.expired]
    if sum(given) != 1:
        output.complain("agentsight-auto erase: give exactly one of ID, --customer ID and --expired.")
        return USAGE
    if not arguments.expired and not _is_meant(arguments):
        output.complain("Nothing was erased.")
        return FAILED
    try:
        receipts = _tidy(invocation) if arguments.expired else [_erase(invocation)]
    finally:
        invocation.runtime.shutdown(_CLOSE_WAIT_S)
    if output.is_json:
        output.json({"receipts": receipts} if arguments.expired else receipts[0])
    elif not receipts:
        output.print("Nothing has expired, and no erasure was interrupted.")
    for receipt in [] if output.is_json else receipts:
        _print(output, receipt)
    return FINE if all(_is_finished(receipt) for receipt in receipts) else FAILED


def _is_meant(arguments: argparse.Namespace) -> bool:
    """Ask before something is gone for good, where there is somebody to ask."""
    if arguments.yes or not sys.stdin.isatty():
        return True
    what = f"conversation {arguments.conversation!r}"
    if arguments.conversation is None:
        what = f"all conversations of customer {arguments.customer!r}"
    return input(f"Erase {one_line(what, 300)} for good? [y/N] ").strip().lower() in {"y", "yes"}


def _erase(invocation: Invocation) -> dict[str, Any]:
    arguments = invocation.arguments
    return erase(invocation.runtime, conversation_id=arguments.conversation, customer_id=arguments.customer)


def _tidy(invocation: Invocation) -> list[dict[str, Any]]:
    settings = invocation.settings
    if settings.is_remote:
        raise ConfigurationException(
            "Conversations expire where they are stored: set AGENTSIGHT_SERVER_RETENTION_DAYS where "
            "`agentsight-auto serve` runs."
        )
    if not invocation.has_records():
        return []
    backend: EmbeddedBackend = invocation.runtime.backend()  # type: ignore[assignment]  # not remote, not disabled
    return backend.tidy(settings.retention_days, wait_s=_TIDY_WAIT_S)


def _is_finished(receipt: dict[str, Any]) -> bool:
    return receipt["finished_at"] is not None and not receipt.get("outbox", {}).get("left_to_processes")


def _print(output: Output, receipt: dict[str, Any]) -> None:
    what = {"conversation": "a conversation", "customer": "a customer", "retention": "what has expired"}
    output.print(
        f"Receipt {receipt['id']}: {what.get(receipt['subject'], 'nothing')}, {local_time(receipt['requested_at'])}"
    )
    counts = (
        counted(receipt["conversations"], "conversation"),
        counted(receipt["messages"], "message or action", "messages and actions"),
        counted(receipt["attachments"], "attachment"),
    )
    output.print(f"  erased from the store: {', '.join(counts)}")
    outbox = receipt.get("outbox")
    if outbox is not None:
        kinds = (
            counted(outbox["waiting_events"], "waiting event"),
            counted(outbox["rejected_events"], "rejected event"),
            counted(outbox["damaged_copies"], "damaged copy", "damaged copies"),
        )
        output.print(f"  erased from the outbox: {', '.join(kinds)}")
        if outbox["left_to_processes"]:
            left = counted(outbox["left_to_processes"], "event")
            output.print(f"  not yet: {left} in the outbox of running programs, dropped when they deliver or end")
    if receipt["finished_at"] is None:
        output.print("  not yet: the store is still removing; `agentsight-auto erase --expired` goes on")


COMMAND = Command(
    name="erase",
    summary="remove a conversation, or all of a customer, to the last byte",
    description=(
        "Removes rows, search index, attachments, waiting, rejected and damaged events, and prints a receipt without "
        "ids. What was captured before and is still on its way is not stored any more. There is no way back."
    ),
    examples=("erase chat-1", "erase --customer mia --yes", "erase --expired"),
    add_arguments=_add_arguments,
    run=_run,
)
