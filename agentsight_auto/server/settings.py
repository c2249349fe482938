"""Settings of the server: argument > environment variable ``AGENTSIGHT_SERVER_<NAME>`` > default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agentsight_auto.exceptions import ConfigurationException

MIB = 1024 * 1024
_PREFIX = "AGENTSIGHT_SERVER_"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server's data lies, and what it accepts; sizes in bytes.

    `db` is the database file; attachments lie in the folder ``attachments`` beside it. `public_address` is how clients
    reach the server, where it stands behind a proxy (by default what they put into the ``Host`` header).
    `agent_attachment_bytes` bounds what one agent keeps of attachments; 0 does not.
    Conversations that ended more than `retention_days` ago are erased; None keeps all.
    """

    db: str = ".agentsight/agentsight.db"
    host: str = "127.0.0.1"
    port: int = 8417
    public_address: str | None = None
    geoip_db: str | None = None
    body_bytes: int = 4 * MIB
    batch_bytes: int = 64 * MIB
    attachment_bytes: int = 25 * MIB
    attachments_bytes: int = 40 * MIB
    attachments_per_request: int = 10
    agent_attachment_bytes: int = 0
    json_depth: int = 64
    page_size: int = 10
    largest_page: int = 100
    requests_per_minute: int = 60_000
    read_timeout_s: float = 60.0
    link_lifetime_s: int = 3600
    session_idle_s: int = 1800
    session_lifetime_s: int = 43_200
    open_metrics: bool = False
    shutdown_timeout_s: float = 10.0
    retention_days: float | None = None

    @property
    def db_path(self) -> Path:
        """The database file."""
        return Path(self.db).expanduser().absolute()

    @property
    def attachments_path(self) -> Path:
        """The folder of attachments, by content."""
        return self.db_path.parent / "attachments"

    @property
    def attachment_request_bytes(self) -> int:
        """The largest body with attachments: base64 takes four bytes for three."""
        return self.attachments_bytes * 4 // 3 + MIB

    @property
    def secret_path(self) -> Path:
        """The file with the secret that file links are signed with."""
        return self.db_path.with_name(f"{self.db_path.name}.secret")


_AT_LEAST: Mapping[str, float] = {
    "port": 0, "body_bytes": 1024, "batch_bytes": 1024, "attachment_bytes": 1, "attachments_bytes": 1,
    "attachments_per_request": 1, "agent_attachment_bytes": 0, "json_depth": 4, "page_size": 1, "largest_page": 1,
    "requests_per_minute": 0,
    "read_timeout_s": 0.1, "link_lifetime_s": 1, "session_idle_s": 1, "session_lifetime_s": 1, "shutdown_timeout_s": 0,
    "retention_days": 0.001,
}  # fmt: skip
_AT_MOST: Mapping[str, float] = {"port": 65_535, "json_depth": 200, "page_size": 100, "largest_page": 100}


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return _PREFIX + name.upper()


SERVER_VARIABLES = tuple(variable_of(name) for name in ServerSettings.__struct_fields__)


def load_server_settings(arguments: Mapping[str, Any]) -> ServerSettings:
    """Read the settings; None in `arguments` is "not given".

    Raises:
        ConfigurationException: a value that cannot be used, with its name.
    """
    values: dict[str, Any] = {}
    for name in ServerSettings.__struct_fields__:
        raw = os.environ.get(variable_of(name), "").strip()
        if raw:
            values[name] = raw
    values.update((name, value) for name, value in arguments.items() if value is not None)
    try:
        settings = msgspec.convert(values, ServerSettings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationException(f"A setting of the server ({_PREFIX}...) cannot be used: {error}.") from error
    for name, low in _AT_LEAST.items():
        if getattr(settings, name) is None:
            continue
        value, high = getattr(settings, name), _AT_MOST.get(name, float("inf"))
        if not low <= value <= high:
            bounds = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise ConfigurationException(f"{variable_of(name)} ({name}) cannot be {value!r}: give a number {bounds}.")
    return settings
