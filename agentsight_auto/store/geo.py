"""Where an IP address is, from an optional MaxMind database file; no network is used.

In: the text of an address. Out: city, country and time zone, or None.
Loses: private and unreadable addresses have no place; a database that cannot be read is reported once.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("agentsight_auto.store.geo")

_UNUSABLE = (ImportError, OSError, ValueError, RuntimeError, LookupError, TypeError)
"""No package, no file, or bytes that lead maxminddb astray (its own InvalidDatabaseError is a RuntimeError)."""


class Place(NamedTuple):
    """A place: English city name, ISO 3166-1 alpha-2 country, IANA time zone; each may be unknown."""

    city: str | None
    country: str | None
    timezone: str | None


class _Reader(Protocol):
    def get(self, ip_address: str) -> Any: ...


class GeoLookup:
    """Look addresses up in a ``.mmdb`` file (GeoLite2-City or compatible); with no file everything is None."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened = False
        self._reader: _Reader | None = None

    def find(self, address: str | None) -> Place | None:
        """Return the place of a public address, or None."""
        public = public_address(address)
        if public is None or self._path is None:
            return None
        with self._lock:
            if not self._opened:
                self._opened, self._reader = True, _open(self._path)
            if self._reader is None:
                return None
            try:
                return _place(self._reader.get(public))
            except _UNUSABLE as error:
                self._reader = None
                _report(self._path, error)
                return None


def public_address(address: str | None) -> str | None:
    """Return the address in its normal form if it is one that is routed in the internet, else None."""
    if not isinstance(address, str):
        return None
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return str(parsed) if parsed.is_global and not parsed.is_multicast else None


def _open(path: Path) -> _Reader | None:
    try:
        import maxminddb  # noqa: PLC0415 - optional, and only needed once an address is looked up

        return maxminddb.open_database(path)
    except _UNUSABLE as error:
        _report(path, error)
        return None


def _report(path: Path, error: Exception) -> None:
    logger.warning(
        "agentsight-auto: places of IP addresses stay unknown: %s cannot be used (%s: %s). "
        "It needs the maxminddb package and a GeoLite2-City file.",
        path,
        type(error).__name__,
        error,
    )


def _place(found: Any) -> Place | None:
    if not isinstance(found, dict):
        return None
    place = Place(
        _text(found, "city", "names", "en"),
        _text(found, "country", "iso_code"),
        _text(found, "location", "time_zone"),
    )
    return place if any(place) else None


def _text(found: Any, *keys: str) -> str | None:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None
