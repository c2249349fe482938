"""A conversation as a transcript: header, messages and actions in their place, feedback, tokens.

In: a conversation in the documented shape. Out: lines on stdout.
Loses: what does not fit on a line, unless everything is asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec
from rich.text import Text

from agentsight_auto.cli.output import Output
from agentsight_auto.cli.recorded_text import clean_text, one_line
from agentsight_auto.cli.wording import counted, duration, local_time, milliseconds_between, size
from agentsight_auto.interchange.csv_format import kind_of

_SENDERS = {
    "end_user": ("customer", "bold cyan"),
    "agent": ("agent", "bold green"),
    "system": ("system", "bold magenta"),
}
_SHORT = 100
_DEEPEST = 12
_LABEL_WIDTH = 9
_MARGIN = 20


class Transcript:
    """Print conversations; `is_full` shortens nothing."""

    def __init__(self, output: Output, *, is_full: bool) -> None:
        self._output = output
        self._is_full = is_full

    def print(self, conversation: dict[str, Any]) -> None:
        """Print one conversation."""
        self._print_header(conversation)
        self._output.print()
        logs_of = _children(conversation["messages"])
        for message in conversation["messages"]:
            if not message["action_logs"]:
                self._print_message(message)
            for log in message["action_logs"]:
                if log["id"] in logs_of.roots:
                    self._print_action(message, log, logs_of)
        self._print_footer(conversation)

    # -- header and footer -------------------------------------------------------------------------------------------

    def _print_header(self, conversation: dict[str, Any]) -> None:
        title = Text(one_line(conversation["conversation_id"]), style="bold")
        if conversation["name"]:
            title.append(f"  {one_line(conversation['name'])}")
        for word, is_so in (("marked", conversation["is_marked"]), ("deleted", conversation["is_deleted"])):
            if is_so:
                title.append(f"  [{word}]", style="yellow")
        if not conversation["is_used"]:
            title.append("  [only visited]", style="dim")
        self._output.print(title)
        for label, value in _facts(conversation).items():
            if value:
                self._print_fact(label, Text(one_line(value)))
        if conversation["error"]:
            self._print_fact("outcome", Text(one_line(conversation["error"]), style="red"))
        if conversation["metadata"]:
            self._print_fact("metadata", Text(self._json(conversation["metadata"])))

    def _print_fact(self, label: str, value: Text) -> None:
        self._output.print(Text(f"{label:<{_LABEL_WIDTH}} ", style="dim").append_text(value))

    def _print_footer(self, conversation: dict[str, Any]) -> None:
        feedbacks, usage = conversation["feedbacks"], conversation["token_usage"]
        if feedbacks or usage:
            self._output.print()
        for feedback in feedbacks:
            style = {"positive": "green", "negative": "red"}.get(feedback["sentiment"], "")
            line = Text(f"{feedback['sentiment']} from {feedback['source']}", style=style)
            line.append(f", {local_time(feedback['created_at'])}", style="dim")
            if feedback["comment"]:
                line.append(
                    f": {one_line(feedback['comment'], None if self._is_full else 4 * _SHORT)}", style="default"
                )
            self._print_fact("feedback", line)
        if usage:
            kinds = f"{usage['prompt_tokens']:,} prompt, {usage['completion_tokens']:,} completion"
            parts = [f"{usage['total_tokens']:,} ({kinds})"]
            parts += [f"{usage['embedding_tokens']:,} embedding"] if usage["embedding_tokens"] else []
            self._print_fact("tokens", Text(", ".join(parts)))
        cost = conversation.get("cost")
        if cost:
            self._print_fact("cost", Text(_cost_text(cost)))

    # -- messages ----------------------------------------------------------------------------------------------------

    def _print_message(self, message: dict[str, Any]) -> None:
        label, style = _SENDERS.get(message["sender"], (message["sender"], ""))
        head = self._at(message)
        button = message["button"]
        if button is not None:
            head.append(f"{label:<8}  ", style=style)
            head.append(f"pressed [{one_line(button['label'], 80)}]", style="bold")
            head.append(f"  {one_line(button['button_event'], 80)} = {one_line(button['value'], 80)}", style="dim")
            self._output.print(head)
        else:
            self._output.print_hanging(head.append(f"{label:<8}  ", style=style), clean_text(message["content"]))
        for attachment in message["attachments"]:
            described = f"{attachment['mime_type']}, {size(attachment['size_bytes'])}"
            line = Text(" " * _MARGIN).append(f"attached {one_line(attachment['filename'], 80)}", style="bold")
            self._output.print(line.append(f"  {one_line(described)}", style="dim"))
        if self._is_full and message["metadata"]:
            self._output.print(Text(f"{' ' * _MARGIN}metadata {self._json(message['metadata'])}", style="dim"))

    def _at(self, message: dict[str, Any]) -> Text:
        return Text(f"{local_time(message['timestamp'], form='%H:%M:%S')}  ", style="dim")

    # -- actions -----------------------------------------------------------------------------------------------------

    def _print_action(self, message: dict[str, Any], log: dict[str, Any], logs_of: _Actions) -> None:
        """Print an action and, below it, those that ran inside it."""
        waiting = [(message, log, 0)]
        while waiting:
            message, log, depth = waiting.pop()
            self._print_one_action(message, log, min(depth, _DEEPEST))
            waiting += [(*inner, depth + 1) for inner in reversed(logs_of.inside[log["id"]])]

    def _print_one_action(self, message: dict[str, Any], log: dict[str, Any], depth: int) -> None:
        indent = "  " * depth
        head = self._at(message).append(f"{indent}└ " if depth else "action    ", style="yellow")
        body = Text(one_line(message["action_name"], 80), style="bold")
        arguments = self._arguments(log["tools_used"], message["action_name"])
        took = duration(log["duration_ms"])
        is_failed = bool(log["error_message"])
        body.append(f"({arguments})" if arguments is not None else "", style="not bold")
        body.append(f"  {took}" if took else "", style="not bold dim")
        body.append("  failed" if is_failed else "  ok", style="not bold red" if is_failed else "not bold green")
        self._output.print_hanging(head, body)
        margin = Text(" " * _MARGIN + indent)
        if is_failed:
            error = log["error_message"]
            text = clean_text(error) if self._is_full else one_line(error, 2 * _SHORT)
            self._output.print_hanging(margin, Text(text, style="red"))
        if log["response"] is not None:
            arrow = margin.copy().append("→ ", style="dim")
            self._output.print_hanging(arrow, Text(self._json(log["response"]), style="dim"))
        if self._is_full and log["metadata"]:
            self._output.print_hanging(margin, Text(f"metadata {self._json(log['metadata'])}", style="dim"))

    def _arguments(self, tools_used: Any, action_name: str) -> str | None:
        """Return the arguments as ``name=value``, or what else was recorded as tools; None for nothing."""
        if tools_used is None:
            return None
        if isinstance(tools_used, dict) and tools_used.keys() == {"function", "parameters"}:
            parameters, prefix = tools_used["parameters"], ""
            if tools_used["function"] != action_name:
                prefix = f"{one_line(str(tools_used['function']), 80)}: "
            if isinstance(parameters, dict):
                pairs = [f"{one_line(name, 80)}={self._json(value)}" for name, value in parameters.items()]
                return prefix + self._shortened(", ".join(pairs))
            return prefix + self._json(parameters)
        return self._json(tools_used)

    def _json(self, value: Any) -> str:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return self._shortened(one_line(text, None if self._is_full else 4 * _SHORT))

    def _shortened(self, text: str) -> str:
        return text if self._is_full or len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


class _Actions(msgspec.Struct):
    """Which actions stand by themselves, and which ran inside which; an action is a message with its log."""

    roots: set[int]
    inside: dict[int, list[tuple[dict[str, Any], dict[str, Any]]]]


def _children(messages: list[dict[str, Any]]) -> _Actions:
    logs = {log["id"]: (message, log) for message in messages for log in message["action_logs"]}
    inside: defaultdict[int, list[tuple[dict[str, Any], dict[str, Any]]]] = defaultdict(list)
    for message, log in logs.values():
        if log["parent_id"] in logs:
            inside[log["parent_id"]].append((message, log))
    roots = {log_id for log_id, (_, log) in logs.items() if log["parent_id"] not in logs}
    reached, waiting = set(roots), list(roots)
    while waiting:
        found = [log["id"] for _, log in inside[waiting.pop()]]
        reached.update(found)
        waiting += found
    # A chain of parents that comes back, which only an import can bring, hangs on no root: each then stands by itself.
    for log_id in logs.keys() - reached:
        roots.add(log_id)
        inside.pop(log_id, None)
    return _Actions(roots, inside)


def _cost_text(cost: dict[str, Any]) -> str:
    """Say what the model calls cost; what has no price is named, and never counts as free."""
    models = ", ".join(one_line(model["model"], 80) for model in cost["models"])
    calls = f"{counted(cost['priced_calls'] + cost['unpriced_calls'], 'model call')} to {models}"
    if cost["cost_usd"] is None:
        return f"unpriced ({calls})"
    dollars = f"${cost['cost_usd']:.6f}"
    return (
        f"at least {dollars} ({calls}, {cost['unpriced_calls']} unpriced)"
        if cost["unpriced_calls"]
        else f"{dollars} ({calls})"
    )


def _facts(conversation: dict[str, Any]) -> dict[str, str]:
    """Return who, when and where, in words."""
    lasted_ms = milliseconds_between(conversation["started_at"], conversation["ended_at"])
    when = f"{local_time(conversation['started_at'], form='%Y-%m-%d %H:%M:%S %Z')}, lasted {duration(lasted_ms)}"
    geo = conversation["geo_location"] or {}
    where = ", ".join(geo[key] for key in ("city", "country", "timezone_name") if geo.get(key))
    origin = [conversation["source"], conversation["device"], conversation["language"]]
    address = conversation["customer_ip_address"]
    kinds = Counter(map(kind_of, conversation["messages"]))
    contents = [
        counted(kinds[kind], kind) for kind in ("message", "action", "button") if kinds[kind] or kind != "button"
    ]
    return {
        "customer": conversation["customer_id"] or "",
        "when": when,
        "from": ", ".join(part for part in origin if part),
        "where": f"{where} ({address})" if where and address else where or address or "",
        "in": ", ".join([conversation["environment"], *contents]),
        "status": one_line(conversation.get("status", ""), 200),
        "deleted": local_time(conversation["deleted_at"]),
    }
