"""Settings: argument > environment variable > ``.env`` > default.

In: keyword arguments, ``os.environ`` and the nearest ``.env`` file (read, never written into ``os.environ``).
Out: one immutable `Settings`. Loses: nothing; what cannot be used raises, or on the recording path is reported in
`problems` and replaced by its default.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ._guard import shown
from .exceptions import (
    ConfigurationException,
    InvalidApiKeyException,
    InvalidConversationDataException,
    NoApiKeyException,
)

HOSTED_ENDPOINT = "https://api.agentsight.io"

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


def _path(value: Any) -> str:
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


def _refuse(_: object) -> Any:
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
    Setting("home", "AGENTSIGHT_HOME", _path, "Folder of the embedded store, the outbox and the attachments."),
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
        "Seconds that the end of the process waits for delivery at most.",
    ),
    Setting(
        "retention_days",
        "AGENTSIGHT_RETENTION_DAYS",
        _number(0.001, 36_500),
        "Days after which conversations that have ended are erased from the embedded store; unset keeps them.",
    ),
    Setting("geoip_db", "AGENTSIGHT_GEOIP_DB", _path, "MaxMind database (.mmdb) that turns an IP address into a city."),
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
    Setting("prices", "AGENTSIGHT_PRICES", _path, "JSON file of model prices beside those that come with the library."),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, read and checked; `problems` are those that could not be used, `env_file` the ``.env`` read."""

    api_key: str | None = None
    endpoint: str | None = None
    allow_http: bool = False
    environment: str = "development"
    conversation_id: str | None = None
    home: str = ".agentsight"
    disabled: bool = False
    log_level: str | None = None
    durability: str = "process"
    journal_interval_ms: float = 250.0
    capture_args: bool = True
    capture_response: bool = True
    redact: tuple[Any, ...] = ()
    processors: tuple[Any, ...] = ()
    max_value_bytes: int = 16 * 1024
    max_text_bytes: int = 256 * 1024
    memory_limit_bytes: int = 16 * 1024 * 1024
    outbox_limit_bytes: int = 256 * 1024 * 1024
    idle_minutes: float = 30.0
    exit_timeout_s: float = 2.0
    retention_days: float | None = None
    geoip_db: str | None = None
    escalation_actions: tuple[str, ...] = ("fallback_to_human", "open_ticket", "ticket", "contact_human")
    resolution_actions: tuple[str, ...] = ("resolve_conversation",)
    idle_after: tuple[str, ...] = ("30",)
    baggage_hosts: tuple[str, ...] = ()
    instrument: tuple[str, ...] = ()
    capture_messages: bool = False
    token_handler_type: str | None = None
    prices: str | None = None
    env_file: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_remote(self) -> bool:
        """Whether events go to a remote API: a key or an endpoint is set."""
        return self.api_key is not None or self.endpoint is not None

    @property
    def store_path(self) -> Path:
        """The embedded store's database file."""
        return Path(self.home) / "agentsight.db"

    @property
    def attachments_path(self) -> Path:
        """The folder of attachments, by content."""
        return Path(self.home) / "attachments"

    @property
    def outbox_path(self) -> Path:
        """The folder of events that are not yet delivered."""
        return Path(self.home) / "outbox"


def check_setting(name: str, value: Any) -> Any:
    """Return `value` as the setting `name` keeps it.

    Raises:
        ConfigurationException: no such setting, or not a value for it.
        InvalidApiKeyException: an API key of the wrong form.
        InvalidConversationDataException: an unknown environment.
    """
    setting = _BY_NAME.get(name)
    if setting is None:
        raise ConfigurationException(f"There is no setting {name!r}. Settings are: {', '.join(sorted(_BY_NAME))}.")
    try:
        return setting.read(value)
    except (InvalidApiKeyException, InvalidConversationDataException):
        raise
    except (ValueError, TypeError, OverflowError, RuntimeError, OSError) as error:
        raise ConfigurationException(f"{setting.variable} ({name}) cannot be {shown(value)}: {error}.") from error


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check arguments alone and together; None counts as not given.

    Raises:
        ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: one cannot be used.
    """
    checked = {name: check_setting(name, value) for name, value in arguments.items() if value is not None}
    if _is_readable_on_the_way(checked.get("endpoint")):
        check_transport(load_settings(checked))


def check_transport(settings: Settings) -> None:
    """Refuse to speak plain HTTP to another machine.

    Raises:
        ConfigurationException: the endpoint is such an address, and `allow_http` does not allow it.
    """
    if _is_readable_on_the_way(settings.endpoint) and not settings.allow_http:
        raise ConfigurationException(
            f"AGENTSIGHT_API_ENDPOINT (endpoint) is {settings.endpoint!r}: the key and what customers say would travel "
            "readable for everyone on the way. Use https://, or set AGENTSIGHT_ALLOW_HTTP=1 if that is meant."
        )


def check_remote(settings: Settings) -> tuple[str, str]:
    """Return the endpoint and the key of a remote API that may be spoken to.

    Raises:
        NoApiKeyException: an endpoint is set, and no key.
        ConfigurationException: the endpoint is plain HTTP to another machine.
    """
    if settings.api_key is None:
        raise NoApiKeyException(
            f"The endpoint {settings.endpoint} is set, but no API key. Set AGENTSIGHT_API_KEY or call "
            "configure(api_key=...); to use the embedded store unset AGENTSIGHT_API_ENDPOINT."
        )
    check_transport(settings)
    return settings.endpoint or HOSTED_ENDPOINT, settings.api_key


def _is_readable_on_the_way(endpoint: str | None) -> bool:
    if endpoint is None or not endpoint.lower().startswith("http://"):
        return False
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def load_settings(arguments: Mapping[str, Any]) -> Settings:
    """Read the settings; `arguments` (None = not given) win and are checked strictly.

    Values of the environment that cannot be used are replaced by their defaults and named in `problems`, because the
    program they run in must go on.

    Raises:
        ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: from `arguments` only.
    """
    values = {name: check_setting(name, value) for name, value in arguments.items() if value is not None}
    problems: list[str] = []
    env_file, from_file = _read_env_file(problems)
    for setting in SETTINGS:
        if setting.name in values:
            continue
        raw = os.environ.get(setting.variable, from_file.get(setting.variable))
        if raw is None or not raw.strip():
            continue
        try:
            values[setting.name] = check_setting(setting.name, raw)
        except (ConfigurationException, InvalidConversationDataException) as error:
            problems.append(f"{setting.variable}: {error}")
            if setting.name in {"redact", "processors"}:  # fails closed
                values[setting.name] = (_refuse,)
    if "home" not in values:
        try:
            values["home"] = _path(".agentsight")
        except OSError as error:
            problems.append(f"AGENTSIGHT_HOME: the working directory is gone, events stay in memory: {error}")
    settings = Settings(**values, env_file=env_file)
    try:
        check_transport(settings)
    except ConfigurationException as error:
        problems.append(f"{error} Until then events wait in the outbox.")
    return msgspec.structs.replace(settings, problems=tuple(problems))


def _read_env_file(problems: list[str]) -> tuple[str | None, dict[str, str | None]]:
    """Read the nearest ``.env`` from the working directory upwards; python-dotenv is imported only if there is one."""
    path = None
    try:
        here = Path.cwd()
        if not any((folder / ".env").is_file() for folder in (here, *here.parents)):
            return None, {}
        from dotenv import dotenv_values, find_dotenv  # noqa: PLC0415 - 30 ms that only users of .env pay

        path = find_dotenv(usecwd=True)
        try:
            return (path, dict(dotenv_values(path))) if path else (None, {})
        except UnicodeDecodeError:
            problems.append(f"{path} is not UTF-8; it is read as Latin-1")
            return path, dict(dotenv_values(path, encoding="latin-1"))
    except OSError as error:
        if path:
            problems.append(f"{path} cannot be read: {error}")
        return None, {}


def prepare_home(home: str) -> None:
    """Create the home folder (0700) with a ``.gitignore`` that keeps everything in it out of version control."""
    folder = Path(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
