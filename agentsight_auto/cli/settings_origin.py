"""Where each setting comes from, for people: argument, environment, ``.env`` or default."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any

from agentsight_auto._setting_values import SETTINGS
from agentsight_auto._settings import Settings
from agentsight_auto.server.settings import SERVER_VARIABLES

_FURTHER_VARIABLES = frozenset(SERVER_VARIABLES)
_SECRET = frozenset({"api_key"})


def describe_settings(settings: Settings, *, home_given: bool) -> list[dict[str, Any]]:
    """Return each setting with its variable, its value (keys masked) and its origin."""
    file_values = _values_of_file(settings.env_file)
    return [
        {
            "name": setting.name,
            "variable": setting.variable,
            "value": _shown(setting.name, getattr(settings, setting.name)),
            "origin": "--home"
            if setting.name == "home" and home_given
            else _origin(setting.variable, settings.problems, file_values),
        }
        for setting in SETTINGS
    ]


def misspelt_variables() -> list[tuple[str, str | None]]:
    """Return the variables of the environment that look like settings but are none, with the nearest that is."""
    known = {setting.variable for setting in SETTINGS} | _FURTHER_VARIABLES
    strange = sorted(name for name in os.environ if name.startswith("AGENTSIGHT_") and name not in known)
    return [(name, next(iter(difflib.get_close_matches(name, known, n=1)), None)) for name in strange]


def _origin(variable: str, problems: tuple[str, ...], file_values: Mapping[str, str | None]) -> str:
    if any(problem.startswith(f"{variable}:") for problem in problems):
        return "default (what is set cannot be used)"
    if variable in os.environ:  # a blank one hides that of the file
        return "environment" if os.environ[variable].strip() else "default"
    return ".env" if (file_values.get(variable) or "").strip() else "default"


def _values_of_file(path: str | None) -> dict[str, str | None]:
    if path is None:
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - only where there is such a file

    try:
        return dict(dotenv_values(path))
    except (OSError, UnicodeDecodeError):
        return {}


def _shown(name: str, value: Any) -> Any:
    if value is None or name not in _SECRET:
        return list(value) if isinstance(value, tuple) else value
    return f"{str(value)[:4]}…{str(value)[-2:]} (masked)"
