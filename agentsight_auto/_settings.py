"""Settings: argument > environment variable > ``.env`` > default.

In: keyword arguments, ``os.environ`` and the nearest ``.env`` file (read, never written into ``os.environ``).
Out: one immutable `Settings`. Loses: nothing; what cannot be used raises, or on the recording path is reported in
`problems` and replaced by its default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ._guard import shown
from ._setting_values import BY_NAME, SETTINGS, read_path, refuse
from .exceptions import (
    ConfigurationException,
    InvalidApiKeyException,
    InvalidConversationDataException,
    NoApiKeyException,
)

HOSTED_ENDPOINT = "https://api.agentsight.io"
_SMALL_LIMIT_BYTES = 2048
"""From this limit on, a text of 256 characters is never cut, whatever it is made of."""


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
    captures_all: bool = True
    """Recording is on, with arguments and results, and no small one has to be cut: what every call asks, in one."""

    def __post_init__(self) -> None:
        is_all = self.capture_args and self.capture_response and self.max_value_bytes >= _SMALL_LIMIT_BYTES
        msgspec.structs.force_setattr(self, "captures_all", is_all and not self.disabled)

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
    setting = BY_NAME.get(name)
    if setting is None:
        raise ConfigurationException(f"There is no setting {name!r}. Settings are: {', '.join(sorted(BY_NAME))}.")
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
    from ipaddress import ip_address  # noqa: PLC0415 - only who speaks plain HTTP needs them
    from urllib.parse import urlsplit  # noqa: PLC0415

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
                values[setting.name] = (refuse,)
    if "home" not in values:
        try:
            values["home"] = read_path(".agentsight")
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
