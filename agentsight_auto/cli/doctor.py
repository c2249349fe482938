"""``agentsight-auto doctor``: what is where, what waits, what was lost and why, and what to do."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from agentsight_auto._clock import iso_from_us
from agentsight_auto._opening import describe_target
from agentsight_auto._settings import Settings, load_settings
from agentsight_auto._version import __version__
from agentsight_auto.cli.command import FAILED, FINE, Command, Invocation
from agentsight_auto.cli.examination import Examination
from agentsight_auto.cli.output import Output
from agentsight_auto.cli.recorded_text import one_line
from agentsight_auto.cli.settings_origin import describe_settings, misspelt_variables
from agentsight_auto.cli.wording import counted, duration, local_time, size
from agentsight_auto.deliver.rejected import Rejected
from agentsight_auto.integrations import registry
from agentsight_auto.integrations.report import read_reports

_RETRY_WAIT_S = 30.0
_CLOSE_WAIT_S = 2.0
_LABEL_WIDTH = 12
_PROGRAMS_SHOWN = 5
_STATES = (registry.ACTIVE, registry.WAITING, registry.SKIPPED)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--retry", action="store_true", help="send rejected events again")


def _run(invocation: Invocation) -> int:
    home = getattr(invocation.arguments, "home", None)
    settings = load_settings({"home": home})
    registry.default.reporter.is_silent = True  # this is no program that records
    registry.follow_settings(settings)
    retried = _retry(invocation) if invocation.arguments.retry else None
    examination = Examination(settings)
    findings: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "records_to": describe_target(settings),
        "home": examination.look_at_home(),
        "store": examination.look_at_store(),
        "outbox": examination.look_at_outbox(),
        "attachments": examination.look_at_attachments(),
        "sqlite": examination.look_at_sqlite(),
        "integrations": _integrations(),
        "programs": _programs(settings),
        "env_file": settings.env_file,
        "settings": describe_settings(settings, home_given=home is not None),
        "retried": retried,
    }
    examination.look_at_settings()
    for variable, nearest in misspelt_variables():
        advice = f"Did you mean {nearest}?" if nearest else "Unset it, or see the settings page of the documentation."
        examination.add(f"{variable} is set, but there is no such setting.", advice)
    findings["problems"] = msgspec.to_builtins(examination.problems)
    if invocation.output.is_json:
        invocation.output.json(findings)
    else:
        _Report(invocation.output).print(findings)
    return FAILED if any(problem.loses_data for problem in examination.problems) else FINE


def _integrations() -> list[dict[str, Any]]:
    """Say of each integration which version is here, and what a program with the same settings would do with it."""
    return [status._asdict() for status in registry.default.status()]


def _programs(settings: Settings) -> list[dict[str, Any]]:
    """Say what became of the integrations in the programs that ran lately, or run now."""
    return [
        {
            "program": report.program,
            "pid": report.pid,
            "is_running": report.is_running,
            "at": iso_from_us(report.at_us),
            "integrations": [one._asdict() for one in report.integrations if one.state != registry.OFF],
        }
        for report in read_reports(Path(settings.home))
    ]


def _retry(invocation: Invocation) -> dict[str, int]:
    """Send what was rejected again; return how many, and how many were rejected again."""
    rejected = Rejected(invocation.settings.outbox_path)
    if not rejected.count():
        return {"sent": 0, "rejected_again": 0, "waiting": 0}
    runtime = invocation.runtime
    try:
        sent = runtime.pipeline.retry_rejected()
        report = runtime.flush(_RETRY_WAIT_S)
    finally:
        runtime.shutdown(_CLOSE_WAIT_S)
    return {"sent": sent, "rejected_again": sum(report.rejected.values()), "waiting": report.pending}


class _Report:
    """Print findings for people."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def print(self, findings: dict[str, Any]) -> None:
        """Print everything, the problems last, where they are seen."""
        versions = f"agentsight-auto {findings['version']}, Python {findings['python']}"
        self._line("version", f"{versions}, SQLite {findings['sqlite']['version']}")
        self._line("records to", findings["records_to"])
        self._line("home", f"{findings['home']['path']}{'' if findings['home']['exists'] else '  (not made yet)'}")
        self._line("store", _store_text(findings["store"]))
        self._line("attachments", _attachments_text(findings["attachments"]))
        self._print_outbox(findings["outbox"])
        self._print_integrations(findings["integrations"])
        self._print_programs(findings["programs"])
        self._print_settings(findings)
        retried = findings["retried"]
        if retried is not None:
            told = f"{counted(retried['sent'], 'event')} sent again, {retried['rejected_again']} rejected again"
            self._line("retry", f"{told}, {retried['waiting']} still waiting")
        self._print_problems(findings["problems"])

    def _line(self, label: str, text: str, style: str = "") -> None:
        line = Text(f"{label:<{_LABEL_WIDTH}} ", style="dim")
        self._output.print(line.append(one_line(text), style=style or "default"))

    def _print_outbox(self, outbox: dict[str, Any]) -> None:
        if "events" not in outbox:
            self._line("outbox", f"{outbox['path']}  (cannot be read)")
            return
        waits = f"{counted(outbox['events'], 'event')} waiting" if outbox["events"] else "nothing waiting"
        if outbox["oldest_age_s"] is not None:
            waits += f", {size(outbox['size_bytes'])}, the oldest for {duration(outbox['oldest_age_s'] * 1000)}"
        self._line("outbox", f"{outbox['path']}  ({waits})")
        for share in outbox["processes"]:
            if share["segments"]:
                owner = {"living": "a running process", "dead": "a process that has ended"}.get(
                    share["owner"], "this process"
                )
                self._line("", f"{share['folder']}: {counted(share['events'], 'event')} of {owner}")
        rejected = outbox["rejected"]
        self._line("rejected", counted(rejected["count"], "event") if rejected["count"] else "none")
        for reason, count in rejected["by_reason"].items():
            self._line("", f"{count} x {reason}", style="red")
        for event in rejected["latest"][-5:]:
            self._line(
                "",
                f"{event['rejected_at']}  {event['kind'] or 'unreadable'} of {event['conversation_id'] or 'unknown'}",
            )
        lost = sum(outbox["lost"]["by_reason"].values())
        self._line("lost", counted(lost, "event") if lost else "none")
        for kind, aside in outbox["set_aside"].items():
            if aside["count"]:
                self._line(kind, f"{counted(aside['count'], 'file')} in {aside['folder']}", style="red")

    def _print_integrations(self, found: list[dict[str, Any]]) -> None:
        """Print one line for each library that is installed here, and the others together."""
        for one in found:
            if one["version"] is not None or one["reason"] is None:
                told = f"{one['name']} {one['version'] or ''}".strip()
                self._line("integration", f"{told}  ({one['reason'] or one['state']})")
        absent = [one["name"] for one in found if one["version"] is None and one["reason"] is not None]
        if absent:
            self._line("", f"not installed: {', '.join(absent)}")

    def _print_programs(self, programs: list[dict[str, Any]]) -> None:
        """Print what is active in the latest programs, and what was skipped and why."""
        for program in programs[:_PROGRAMS_SHOWN]:
            life = {True: ", running", False: ", ended", None: ""}[program["is_running"]]
            self._line(
                "program", f"{program['program']}  (process {program['pid']}{life}, as of {local_time(program['at'])})"
            )
            states = {state: [one for one in program["integrations"] if one["state"] == state] for state in _STATES}
            for state in (registry.ACTIVE, registry.WAITING):
                if states[state]:
                    named = (f"{one['name']} {one['version'] or ''}".strip() for one in states[state])
                    self._line("", f"{state}: {', '.join(named)}")
            for one in states[registry.SKIPPED]:
                if one["version"] is not None:
                    self._line("", f"{one['name']} {one['version']} skipped: {one['reason']}", style="yellow")

    def _print_settings(self, findings: dict[str, Any]) -> None:
        self._line(".env", findings["env_file"] or "none")
        self._output.print()
        rows = [
            [setting["variable"], one_line(_value_text(setting["value"]), 60), setting["origin"]]
            for setting in findings["settings"]
        ]
        self._output.table(("setting", "value", "from"), rows)

    def _print_problems(self, problems: list[dict[str, Any]]) -> None:
        self._output.print()
        if not problems:
            self._output.print(Text("No problems found.", style="green"))
        for problem in sorted(problems, key=lambda problem: not problem["loses_data"]):
            head = Text("problem  ", style="bold red") if problem["loses_data"] else Text("note     ", style="yellow")
            self._output.print(head.append(one_line(problem["what"]), style="default"))
            self._output.print(Text(f"         {one_line(problem['advice'])}", style="dim"))


def _store_text(store: dict[str, Any]) -> str:
    if not store["exists"]:
        return f"{store['path']}  (not made yet)"
    facts = [size(store["size_bytes"])]
    if store["schema_version"] is not None:
        facts.append(f"schema version {store['schema_version']}")
    if store["conversations"] is not None:
        facts.append(counted(store["conversations"], "conversation"))
    return f"{store['path']}  ({', '.join(facts)})"


def _attachments_text(attachments: dict[str, Any]) -> str:
    if not attachments["files"]:
        return f"{attachments['path']}  (none)"
    return f"{attachments['path']}  ({counted(attachments['files'], 'file')}, {size(attachments['size_bytes'])})"


def _value_text(value: Any) -> str:
    if value is None:
        return "not set"
    return (
        ", ".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
    )


COMMAND = Command(
    name="doctor",
    summary="what is where, what waits, what was lost and why",
    description="Examine the installation: files, settings and where they come from, events that wait or were\n"
    "rejected, damaged records, and problems with what to do. Exit code 1 if a problem loses data.",
    examples=("doctor", "doctor --home /srv/agent/.agentsight --json", "doctor --retry"),
    add_arguments=_add_arguments,
    run=_run,
)
