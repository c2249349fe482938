"""``agentsight-auto show``: print one conversation."""

from __future__ import annotations

import argparse
from typing import Any

from agentsight_auto.cli.command import FAILED, FINE, Command, Invocation
from agentsight_auto.cli.recorded_text import one_line
from agentsight_auto.cli.transcript import Transcript
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.backend import Backend


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the conversation's id; digits may also be its database id")
    parser.add_argument("--full", action="store_true", help="arguments, results and metadata in full")


def _run(invocation: Invocation) -> int:
    arguments, output = invocation.arguments, invocation.output
    if not invocation.has_records():
        output.complain(invocation.nothing_recorded())
        return FAILED
    with invocation.backend() as backend:
        try:
            conversation = _fetch(backend, arguments.id)
            status = "" if invocation.settings.is_remote or output.is_json else _status(backend, conversation["id"])
        except NotFoundException:
            name = one_line(arguments.id, 80)
            output.complain(f"There is no conversation {name!r}. See `agentsight-auto list --all` for those there are.")
            return FAILED
    if output.is_json:
        output.json(conversation)
    else:
        Transcript(output, is_full=arguments.full).print({**conversation, "status": status})
    return FINE


def _status(backend: Backend, conversation_id: int) -> str:
    """Return how the conversation stands, with the reason that was given."""
    from agentsight_auto.query.board import Board  # noqa: PLC0415 - loads SQLAlchemy
    from agentsight_auto.query.embedded import EmbeddedBackend  # noqa: PLC0415

    assert isinstance(backend, EmbeddedBackend)
    told = Board(backend).transcript(conversation_id)
    return told["status"] if told["status_reason"] is None else f"{told['status']}: {told['status_reason']}"


def _fetch(backend: Backend, given: str) -> dict[str, Any]:
    """Fetch by the text id, and if there is none and it is a number, by the database id."""
    try:
        return backend.fetch_conversation(given)
    except NotFoundException:
        if not (given.isascii() and given.isdigit()) or len(given) > 18:
            raise
        return backend.fetch_conversation(int(given))


COMMAND = Command(
    name="show",
    summary="print one conversation",
    description="Print the transcript of one conversation: messages, actions in their place, feedback, tokens.",
    examples=("show chat-1", "show chat-1 --full", "show chat-1 --json"),
    add_arguments=_add_arguments,
    run=_run,
)
