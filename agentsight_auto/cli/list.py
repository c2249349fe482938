"""``agentsight-auto list``: find conversations."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rich.text import Text

from agentsight_auto.cli.command import FINE, Command, Invocation
from agentsight_auto.cli.filters import add_filters, filters_of
from agentsight_auto.cli.output import Output
from agentsight_auto.cli.recorded_text import one_line
from agentsight_auto.cli.wording import cost_in_short, counted, duration, local_time, milliseconds_between
from agentsight_auto.interchange.csv_format import kind_of
from agentsight_auto.query.backend import Backend

_COLUMNS = (
    "conversation",
    "started",
    "from",
    "customer",
    "messages",
    "actions",
    "duration",
    "cost",
    "feedback",
    "mark",
)
_NUMBERS = ("messages", "actions", "duration", "cost")
_FIXED = ("started", *_NUMBERS)
_LONGEST_CELL = 60
_LARGEST_PAGE = 100
_SAID_BY = frozenset({"end_user", "agent"})
_FEEDBACK_STYLES = {"positive": "green", "negative": "red"}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", type=int, default=1, metavar="N", help="which page (default: 1)")
    parser.add_argument("--page-size", type=int, default=20, metavar="N", help="1 to 100 a page (default: 20)")
    parser.add_argument("--all", action="store_true", help="all pages")
    add_filters(parser)


def _run(invocation: Invocation) -> int:
    arguments, output = invocation.arguments, invocation.output
    if not invocation.has_records():
        if output.is_json:
            output.json({"count": 0, "next": None, "previous": None, "results": []})
        else:
            output.print(one_line(invocation.nothing_recorded()))
        return FINE
    filters = filters_of(arguments)
    with invocation.backend() as backend:
        if arguments.all:
            _list_all(invocation, backend, filters)
        else:
            page = backend.fetch_conversations(
                page=arguments.page, page_size=arguments.page_size, cursor=None, count=True, filters=filters
            )
            _show_page(invocation, page)
    return FINE


def _show_page(invocation: Invocation, page: dict[str, Any]) -> None:
    output, arguments = invocation.output, invocation.arguments
    if output.is_json:
        output.json(page)
        return
    if not page["results"]:
        output.print("No conversation matches." if filters_of(arguments) else "There are no conversations yet.")
        return
    _print_table(output, page["results"])
    size = min(max(arguments.page_size, 1), _LARGEST_PAGE)
    pages = -(-page["count"] // size)
    output.print()
    output.print(f"{counted(page['count'], 'conversation')}, page {arguments.page} of {pages}.")
    if page["next"] is not None:
        output.print(f"Next: {_next_command(invocation.argv, arguments.page + 1)}")


def _list_all(invocation: Invocation, backend: Backend, filters: dict[str, Any]) -> None:
    """Go through the pages one by one, so that a large store is not held in memory."""
    output = invocation.output
    total = 0
    for page in _pages(backend, filters):
        results = page["results"]
        if output.is_json:
            for conversation in results:
                output.write(b'{"results":[' if total == 0 else b",")
                output.write_json(conversation)
                total += 1
            continue
        if results:
            _print_table(output, results)
        total += len(results)
    if output.is_json:
        output.write(b"" if total else b'{"results":[')
        output.write(b'],"count":%d,"next":null,"previous":null}\n' % total)
    else:
        output.print()
        output.print(f"{counted(total, 'conversation')}.")


def _print_table(output: Output, conversations: Sequence[dict[str, Any]]) -> None:
    """Print a table; without a column that would be empty because no model was called."""
    hidden = set() if any(conversation.get("cost") for conversation in conversations) else {"cost"}
    shown = [name for name in _COLUMNS if name not in hidden]
    rows = [[cells[name] for name in shown] for cells in map(_cells, conversations)]
    output.table(
        shown,
        rows,
        right=[name for name in _NUMBERS if name in shown],
        fixed=[name for name in _FIXED if name in shown],
    )


def _pages(backend: Backend, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    number = 1
    while True:
        page = backend.fetch_conversations(
            page=number, page_size=_LARGEST_PAGE, cursor=cursor, count=False, filters=filters
        )
        yield page
        if page["next"] is None:
            return
        cursor = parse_qs(urlsplit(page["next"]).query)["cursor"][0]
        number += 1


def _next_command(argv: Sequence[str], page: int) -> str:
    """Return the command that was given, with another page."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--page":
            next(words, None)
        elif not word.startswith("--page="):
            kept.append(word)
    return shlex.join(["agentsight-auto", *kept, "--page", str(page)])


def _cells(conversation: dict[str, Any]) -> dict[str, Text]:
    messages = conversation["messages"]
    said = sum(message["sender"] in _SAID_BY and kind_of(message) == "message" for message in messages)
    logs = [log for message in messages for log in message["action_logs"]]
    failed = sum(bool(log["error_message"]) for log in logs)
    actions = Text(str(len(logs)))
    if failed:
        actions.append(f" ({failed} failed)", style="red")
    lasted_ms = milliseconds_between(conversation["started_at"], conversation["ended_at"])
    origin = "/".join(part for part in (conversation["source"], conversation["device"]) if part)
    return {
        "conversation": _cell(conversation["conversation_id"], "bold", limit=None),
        "started": _cell(local_time(conversation["started_at"])),
        "from": _cell(origin),
        "customer": _cell(conversation["customer_id"]),
        "messages": Text(str(said)),
        "actions": actions,
        "duration": _cell(duration(lasted_ms)),
        "cost": _cell(cost_in_short(conversation.get("cost"))),
        "feedback": _feedback(conversation["feedbacks"]),
        "mark": _mark(conversation),
    }


def _cell(text: str | None, style: str = "", *, limit: int | None = _LONGEST_CELL) -> Text:
    return Text(one_line(text or "", limit), style=style)


def _feedback(feedbacks: Sequence[dict[str, Any]]) -> Text:
    parts = [
        Text(feedback["sentiment"], style=_FEEDBACK_STYLES.get(feedback["sentiment"], "")) for feedback in feedbacks
    ]
    return Text(", ").join(parts)


def _mark(conversation: dict[str, Any]) -> Text:
    words = [("marked", "yellow")] if conversation["is_marked"] else []
    words += [("deleted", "red")] if conversation["is_deleted"] else []
    words += [("failed", "red")] if conversation["error"] else []
    return Text(", ").join(Text(word, style=style) for word, style in words)


COMMAND = Command(
    name="list",
    summary="find conversations",
    description="List conversations, the newest first, with what was said and done in each.",
    examples=(
        "list --customer mia --has-feedback",
        "list --since 2026-11-01 --action transfer_to_human --sentiment negative",
        "list --metadata plan:gold --metadata address.city:Vienna --json",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
