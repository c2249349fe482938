"""The catalogue of settings: each with its keyword, environment variable, reader and one line of documentation.

In: values as code or the environment gives them. Out: values as `Settings` keeps them. Loses: nothing; what cannot be
used raises ValueError, TypeError or the documented exception.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from ._guard import shown
from .exceptions import ConfigurationException, InvalidApiKeyException, InvalidConversationDataException

_KEY_FORM = re.compile(r"ags_[a-f0-9]{32}_[a-f0-9]{6}", re.IGNORECASE)
_SLUG_FORM = re.compile(r"[a-z0-9-]{1,64}")
_ENVIRONMENT_ALIASES = {"prod": "production", "dev": "development"}
TEXT_PATTERNS = ("email", "phone", "iban", "card")
"""The ready patterns of `redact`."""

_LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def normalize_environment(value: object) -> str:
    """Return the slug of an environment: ``production``, ``development`` or another ``[a-z0-9-]{1,64}``.

    Raises:
        InvalidConversationDataException: not such a slug.
    """
    plain: Any = value.value if issubclass(type(value), Enum) else value  # type: ignore[attr-defined]
    text = plain.strip().lower() if issubclass(type(plain), str) else ""
    text = _ENVIRONMENT_ALIASES.get(text, text)
    if not _SLUG_FORM.fullmatch(text):
        raise InvalidConversationDataException(
            f"The environment {shown(value)} is unknown. Use 'production', 'development', "
            "or another slug of 1 to 64 lower-case letters, digits and hyphens."
        )
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not blank")
    return value.strip()


def _api_key(value: Any) -> str:
    text = str(value).strip()
    if not _KEY_FORM.fullmatch(text):
        raise InvalidApiKeyException
    return text


def _endpoint(value: Any) -> str:
    text = str(value).strip().rstrip("/")
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise ValueError("expected an address that starts with http:// or https://")
    return text


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("expected 1, true, yes, on or 0, false, no, off")


def _log_level(value: Any) -> str:
    text = str(getattr(value, "value", value)).strip().upper()
    if text not in _LOG_LEVELS:
        raise ValueError(f"expected one of {', '.join(_LOG_LEVELS)}")
    return text


def _durability(value: Any) -> str:
    text = str(value).strip().lower()
    if text not in {"process", "disk", "memory"}:
        raise ValueError("expected process, disk or memory")
    return text


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = float(value)
        if not low <= number <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return number

    return read


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return number

    return read


def read_path(value: Any) -> str:
    text = os.fspath(value)
    if not text or "\0" in text:
        raise ValueError("expected the path of a file or folder")
    return str(Path(text).expanduser().absolute())


def _idle_after(value: Any) -> tuple[str, ...]:
    parts = _names([value] if isinstance(value, (int, float)) else value)
    for part in parts:
        _number(0.01, 60 * 24 * 365)(part.rpartition("=")[2])
    if not parts:
        raise ValueError("expected minutes, or source=minutes")
    return parts


def refuse(_: object) -> Any:
    """Stand for processors of the environment that cannot be used: with it every text is replaced by a marker."""
    raise ConfigurationException


def _redaction(value: Any) -> tuple[Any, ...]:
    rules = _names(value) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    for rule in rules:
        is_text_pattern = isinstance(rule, re.Pattern) and isinstance(rule.pattern, str)
        if not (rule in TEXT_PATTERNS if isinstance(rule, str) else is_text_pattern or callable(rule)):
            raise ValueError(
                f"expected some of {', '.join(TEXT_PATTERNS)}, compiled patterns over text, or functions over text"
            )
    return tuple(rules)


def _functions(value: Any) -> tuple[Any, ...]:
    given = _names(value) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    functions = [_imported(one) if isinstance(one, str) else one for one in given]
    if not all(map(callable, functions)):
        raise ValueError("expected functions, or their names as `module:function`")
    return tuple(functions)


def _imported(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError("expected a name like `module:function`")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ValueError(f"it cannot be imported ({type(error).__name__})") from error


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(name for name in (str(part).strip() for part in parts) if name)


def _token_handler(value: Any) -> str:
    text = str(value).strip().lower()
    if text not in {"langchain", "llamaindex"}:
        raise ValueError("expected langchain or llamaindex")
    return text


class Setting(NamedTuple):
    """One setting: its keyword, environment variable, reader and one line of documentation."""

    name: str
    variable: str
    read: Callable[[Any], Any]
    doc: str


SETTINGS = (
    Setting("api_key", "AGENTSIGHT_API_KEY", _api_key, "API key, `ags_` + 32 hex + `_` + 6 hex."),
    Setting("endpoint", "AGENTSIGHT_API_ENDPOINT", _endpoint, "Address of a remote AgentSight API."),
    Setting(
        "allow_http",
        "AGENTSIGHT_ALLOW_HTTP",
        _flag,
        "`1` lets the endpoint be a `http://` address of another machine: key and conversations travel readable.",
    ),
    Setting("environment", "AGENTSIGHT_ENVIRONMENT", normalize_environment, "`production`, `development` or a slug."),
    Setting("conversation_id", "AGENTSIGHT_CONVERSATION_ID", _text, "Conversation of events recorded outside any."),
    Setting("home", "AGENTSIGHT_HOME", read_path, "Folder of the embedded store, the outbox and the attachments."),
    Setting("disabled", "AGENTSIGHT_DISABLED", _flag, "`1` turns all recording off: no thread, no file."),
    Setting("log_level", "AGENTSIGHT_LOG_LEVEL", _log_level, "Level of the `agentsight_auto` logger."),
    Setting("durability", "AGENTSIGHT_DURABILITY", _durability, "What leaving a block waits for: see Delivery."),
    Setting(
        "journal_interval_ms",
        "AGENTSIGHT_JOURNAL_INTERVAL_MS",
        _number(0, 60_000),
        "Age in ms at which events of an open block are written to disk; 0 writes each one at once.",
    ),
    Setting("capture_args", "AGENTSIGHT_CAPTURE_ARGS", _flag, "Whether `@track_action` records arguments."),
    Setting("capture_response", "AGENTSIGHT_CAPTURE_RESPONSE", _flag, "Whether `@track_action` records results."),
    Setting(
        "redact",
        "AGENTSIGHT_REDACT",
        _redaction,
        "What is taken out of every text before it is written, of `email,phone,iban,card`; in code also compiled "
        "patterns and functions from text to text: see Privacy.",
    ),
    Setting(
        "processors",
        "AGENTSIGHT_PROCESSORS",
        _functions,
        "Functions, here as `module:function`, that get each event and return the one to keep, or None: see Privacy.",
    ),
    Setting(
        "max_value_bytes",
        "AGENTSIGHT_MAX_VALUE_BYTES",
        _whole(512, 1024 * 1024),
        "Bytes kept of one argument, result or metadata document.",
    ),
    Setting(
        "max_text_bytes", "AGENTSIGHT_MAX_TEXT_BYTES", _whole(256, 16 * 1024 * 1024), "Bytes kept of a message's text."
    ),
    Setting(
        "memory_limit_bytes",
        "AGENTSIGHT_MEMORY_LIMIT_BYTES",
        _whole(64 * 1024, 1024**3),
        "Bytes of events that may wait in memory where the disk cannot take them.",
    ),
    Setting(
        "outbox_limit_bytes",
        "AGENTSIGHT_OUTBOX_LIMIT_BYTES",
        _whole(1024 * 1024, 1024**4),
        "Bytes of events that may wait on disk, per process; then the oldest go first, counted.",
    ),
    Setting(
        "idle_minutes",
        "AGENTSIGHT_IDLE_MINUTES",
        _number(0.001, 60 * 24 * 365),
        "Idle minutes after which a binding made without a block ends.",
    ),
    Setting(
        "exit_timeout_s",
        "AGENTSIGHT_EXIT_TIMEOUT_S",
        _number(0, 60),
        "Seconds that the end of the process takes at most, with 0.7 s of it for Python itself: see Delivery.",
    ),
    Setting(
        "retention_days",
        "AGENTSIGHT_RETENTION_DAYS",
        _number(0.001, 36_500),
        "Days after which conversations that have ended are erased from the embedded store; unset keeps them.",
    ),
    Setting(
        "geoip_db", "AGENTSIGHT_GEOIP_DB", read_path, "MaxMind database (.mmdb) that turns an IP address into a city."
    ),
    Setting(
        "escalation_actions",
        "AGENTSIGHT_ESCALATION_ACTIONS",
        _names,
        "Action names that count as a hand-over to a human.",
    ),
    Setting(
        "resolution_actions",
        "AGENTSIGHT_RESOLUTION_ACTIONS",
        _names,
        "Action names that count as a conversation resolved.",
    ),
    Setting(
        "idle_after",
        "AGENTSIGHT_IDLE_AFTER",
        _idle_after,
        "Minutes without a word after which a conversation is idle; `source=minutes` for one source.",
    ),
    Setting(
        "baggage_hosts",
        "AGENTSIGHT_BAGGAGE_HOSTS",
        _names,
        "Hosts that get the conversation id with requests of httpx and requests: names, or `*.example.com`; see Web.",
    ),
    Setting(
        "instrument",
        "AGENTSIGHT_INSTRUMENT",
        _names,
        "Integrations to install at the first use: `auto`, or names; `-name` leaves one out.",
    ),
    Setting(
        "capture_messages",
        "AGENTSIGHT_CAPTURE_MESSAGES",
        _flag,
        "Whether integrations record prompts and completions as messages.",
    ),
    Setting(
        "token_handler_type",
        "AGENTSIGHT_TOKEN_HANDLER_TYPE",
        _token_handler,
        "Framework whose model calls add to the token usage by themselves.",
    ),
    Setting(
        "prices", "AGENTSIGHT_PRICES", read_path, "JSON file of model prices beside those that come with the library."
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
