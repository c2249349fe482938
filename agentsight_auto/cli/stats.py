"""``agentsight-auto stats``: count what happened."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from agentsight_auto._runtime import Runtime
from agentsight_auto.cli.command import FINE, Command, Invocation
from agentsight_auto.cli.filters import add_filters, filters_of
from agentsight_auto.cli.output import Output
from agentsight_auto.cli.recorded_text import one_line
from agentsight_auto.cli.wording import counted, duration
from agentsight_auto.query.backend import Backend

_DAYS_SHOWN = 14
_ROWS_SHOWN = 15
_ORIGINS = ("source", "device", "language", "country")
_OPTIONS = frozenset({"escalation_actions", "include_development"})
_SHOWN = (
    "containment_rate", "resolution_rate", "abandonment_rate", "abandoned_after_failure_rate", "left_asking_rate",
    "first_response_p50_ms", "first_response_p95_ms", "response_p50_ms", "response_p95_ms", "repeated_rate",
    "loop_rate", "satisfaction", "cost_per_conversation",
)  # fmt: skip
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--include-development",
        action="store_true",
        help="count development conversations even where there are production ones",
    )
    parser.add_argument("--metrics", action="store_true", help="all metrics, each with its definition")
    add_filters(parser)


def _run(invocation: Invocation) -> int:
    output = invocation.output
    filters = filters_of(invocation.arguments)
    if invocation.arguments.include_development:
        filters["include_development"] = True
    filters["escalation_actions"] = list(invocation.settings.escalation_actions)
    if invocation.arguments.metrics and not invocation.settings.is_remote:
        return _show_metrics(invocation, filters)
    if not invocation.has_records():
        if not output.is_json:
            output.print(one_line(invocation.nothing_recorded()))
            return FINE
        stats, rows = _stats_of_nothing(filters), []
    else:
        with invocation.backend() as backend:
            stats = backend.stats(filters)
            rows = [] if output.is_json or invocation.settings.is_remote else _insights(backend, filters)
    if output.is_json:
        output.json(stats)
    else:
        _print(output, stats, rows)
    return FINE


def _show_metrics(invocation: Invocation, filters: dict[str, Any]) -> int:
    """Print every metric, its definition below it."""
    output = invocation.output
    with invocation.backend() as backend:
        computed = _metrics_of(backend, filters)
    if output.is_json:
        output.json(computed)
        return FINE
    for metric in computed["metrics"]:
        output.print(Text(f"{metric['title']:<28}", style="bold").append(_value_text(metric), style="not bold"))
        output.print(Text(f"  {metric['definition']}", style="dim"))
    return FINE


def _metrics_of(backend: Backend, filters: dict[str, Any]) -> dict[str, Any]:
    from agentsight_auto.query.board import Board  # noqa: PLC0415 - loads SQLAlchemy
    from agentsight_auto.query.embedded import EmbeddedBackend  # noqa: PLC0415

    assert isinstance(backend, EmbeddedBackend)
    wanted = {name: value for name, value in filters.items() if name not in _OPTIONS}
    return Board(backend).metrics(wanted, include_development=bool(filters.get("include_development")))


def _insights(backend: Backend, filters: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the metrics that have something to tell."""
    found = {metric["name"]: metric for metric in _metrics_of(backend, filters)["metrics"]}
    told = [found[name] for name in _SHOWN if found[name]["value"] or name.endswith("_ms")]
    return [[metric["title"].lower(), _value_text(metric)] for metric in told if metric["value"] is not None]


def _value_text(metric: dict[str, Any]) -> str:
    value = metric["value"]
    if value is None:
        return "-"
    unit = metric["unit"]
    if unit == "ratio":
        return f"{value:.1%} ({metric['numerator']:,} of {metric['denominator']:,})"
    if unit == "ms":
        return duration(value)
    return f"${value:,.4f}" if unit == "usd" else f"{value:,.6g}" if value % 1 else f"{int(value):,}"


def _stats_of_nothing(filters: dict[str, Any]) -> dict[str, Any]:
    """Return the documented shape without making a store where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(home=folder, disabled=False)
        try:
            return runtime.backend().stats(filters)
        finally:
            runtime.shutdown(0)


def _print(output: Output, stats: dict[str, Any], rows: Sequence[Sequence[str]]) -> None:
    output.table(("", ""), [[Text(label, style="dim"), value] for label, value in _totals(stats) if value])
    _section(output, "how conversations went", ("", ""), rows)
    _section(output, "actions", ("action", "calls", "failed", "average"), _actions(stats))
    for name in _ORIGINS:
        rows = [[one_line(row[name] or "unknown", 40), f"{row['conversations']:,}"] for row in stats[f"by_{name}"]]
        if any(row[name] is not None for row in stats[f"by_{name}"]):
            _section(output, name, (name, "conversations"), rows)
    _section(output, "days (UTC)", ("day", "conversations", "customer messages", "agent messages"), _days(stats))
    _section(output, "peak hours (UTC)", ("hour", "messages"), _peaks(stats))


def _section(output: Output, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    output.print()
    output.print(Text(title, style="bold"))
    output.table(columns, rows[:_ROWS_SHOWN], right=columns[1:])
    if len(rows) > _ROWS_SHOWN:
        output.print(f"... and {len(rows) - _ROWS_SHOWN} more, see --json")


def _totals(stats: dict[str, Any]) -> list[tuple[str, str]]:
    environments, tokens, feedback = stats["environments"], stats["tokens"], stats["feedbacks"]
    counted_in = ", ".join(environments["counted"])
    if environments["left_out"]:
        counted_in += f" (left out: {', '.join(environments['left_out'])}; see --include-development)"
    rate = stats["escalation_rate"]
    judged = [f"{feedback[sentiment]:,} {sentiment}" for sentiment in ("positive", "neutral", "negative")]
    return [
        ("environments", one_line(counted_in)),
        ("conversations", f"{stats['conversations']:,} ({stats['visited_only_conversations']:,} only visited)"),
        ("customers", f"{stats['customers']:,}"),
        (
            "messages",
            f"{stats['messages']:,} ({stats['human_messages']:,} customer, {stats['agent_messages']:,} agent)",
        ),
        ("average length", duration(stats["average_conversation_ms"])),
        ("average response", duration(stats["average_response_ms"])),
        (
            "escalated",
            "" if rate is None else f"{counted(stats['escalated_conversations'], 'conversation')}, {rate:.1%}",
        ),
        ("feedback", ", ".join(judged) if any(feedback.values()) else ""),
        ("tokens", f"{tokens['total_tokens']:,}" if tokens["total_tokens"] else ""),
    ]


def _actions(stats: dict[str, Any]) -> list[list[str]]:
    return [
        [
            one_line(action["action_name"], 60),
            f"{action['calls']:,}",
            f"{action['errors']:,}" if action["errors"] else "",
            duration(action["average_duration_ms"]),
        ]
        for action in stats["actions"]
    ]


def _days(stats: dict[str, Any]) -> list[list[str]]:
    begun = {day["date"]: day["conversations"] for day in stats["conversations_per_day"]}
    said = {day["date"]: day for day in stats["messages_per_day"]}
    return [
        [
            date,
            f"{begun.get(date, 0):,}",
            f"{said.get(date, {}).get('human_messages', 0):,}",
            f"{said.get(date, {}).get('agent_messages', 0):,}",
        ]
        for date in sorted(begun.keys() | said.keys(), reverse=True)[:_DAYS_SHOWN]
    ]


def _peaks(stats: dict[str, Any]) -> list[list[str]]:
    busiest = sorted(stats["peak_hours"], key=lambda peak: -peak["messages"])[:5]
    return [[f"{_WEEKDAYS[peak['weekday']]} {peak['hour']:02d}:00", f"{peak['messages']:,}"] for peak in busiest]


COMMAND = Command(
    name="stats",
    summary="count what happened",
    description="Count conversations, messages, actions, response times, hand-overs, feedback and tokens.",
    examples=("stats --since 2026-11-01", "stats --source whatsapp --json", "stats --metrics"),
    add_arguments=_add_arguments,
    run=_run,
)
