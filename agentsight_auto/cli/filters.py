"""The filters of `fetch_conversations` as options."""

from __future__ import annotations

import argparse
from typing import Any

_TEXT = (
    ("--id", "conversation_id", "ID", "the conversation with exactly this id"),
    ("--customer", "customer_id", "ID", "conversations of exactly this customer"),
    ("--customer-contains", "customer_id__icontains", "TEXT", "the customer's id contains this, in any case"),
    ("--name", "name", "TEXT", "the name contains this, in any case"),
    ("--device", "device", "NAME", "exactly this device: desktop, mobile, tablet ..."),
    ("--source", "source", "NAME", "exactly this source: web, whatsapp, voice ..."),
    ("--language", "language", "CODE", "exactly this language"),
    ("--ip", "customer_ip_address", "ADDRESS", "exactly this IP address of the customer"),
    ("--environment", "environment", "NAME", "production, development or another environment"),
    ("--since", "started_at_after", "TIME", "started at or after: 2026-11-21, 2026-11-21T08:30 (local time), ...Z"),
    ("--until", "started_at_before", "TIME", "started at or before; a date alone is its midnight"),
    ("--contains", "message_contains", "TEXT", "something that was said contains this, in any case"),
    ("--action", "action_name", "TEXT", "an action's name contains this, in any case"),
    ("--status", "status", "STATUS", "open, idle, resolved, escalated or abandoned"),
    ("--insight", "insight", "LIST", "a list behind a metric: escalated, repeated, looped, unanswered ..."),
    ("--country", "country", "CODE", "the customer's country, two letters"),
    ("--feedback-source", "feedback_source", "WHO", "feedback from customer or platform"),
)
_FLAGS = (
    ("--marked", "is_marked", "marked conversations", "those that are not marked"),
    ("--has-messages", "has_messages", "conversations with messages", "those without"),
    ("--has-feedback", "has_feedback", "conversations with feedback", "those without"),
    ("--has-action", "has_action", "conversations with actions", "those without"),
)
_NEGATED = {"--marked": "--no-marked"}


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add an option for each filter."""
    group = parser.add_argument_group("filters", "Only conversations to which all of these apply.")
    for option, filter_name, shown, text in _TEXT:
        group.add_argument(option, dest=f"filter_{filter_name}", metavar=shown, help=text)
    group.add_argument(
        "--sentiment",
        dest="filter_feedback_sentiment",
        choices=("positive", "neutral", "negative"),
        help="feedback of this sentiment",
    )
    group.add_argument(
        "--metadata",
        dest="filter_metadata",
        metavar="KEY:VALUE",
        action="append",
        help="metadata has this value; a.b:value looks inside; may be repeated",
    )
    for option, filter_name, text, opposite in _FLAGS:
        pair = group.add_mutually_exclusive_group()
        pair.add_argument(option, dest=f"filter_{filter_name}", action="store_const", const=True, help=text)
        negated = _NEGATED.get(option, option.replace("--has-", "--no-"))
        pair.add_argument(negated, dest=f"filter_{filter_name}", action="store_const", const=False, help=opposite)
    group.add_argument(
        "--include-deleted",
        dest="filter_include_deleted",
        action="store_const",
        const=True,
        help="deleted conversations, too",
    )


def filters_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the filters that were given, by the name that `fetch_conversations` has for them."""
    filters = {
        name.removeprefix("filter_"): value
        for name, value in vars(arguments).items()
        if name.startswith("filter_") and value is not None
    }
    if "metadata" in filters:
        filters["metadata"] = ",".join(filters["metadata"])
    return filters
