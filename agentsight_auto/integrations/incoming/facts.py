"""What the headers of a request say of the person behind it: device, language, address.

In: a request, and which proxies are trusted. Out: the documented fields of a conversation.
Loses: nothing; what the headers do not say is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from ..._guard import shown
from ...exceptions import ConfigurationException
from .request import IncomingRequest

Network: TypeAlias = IPv4Network | IPv6Network

_MOST_CHARACTERS = 2048
_MOST_PARTS = 32
_TABLET = re.compile(r"iPad|Tablet|PlayBook|Silk(?!.*Mobile)|Kindle|Android(?!.*Mobi)")
_MOBILE = re.compile(r"Mobi|iPhone|iPod|Android|Windows Phone|Opera Mini|BlackBerry")
_DESKTOP = re.compile(r"Windows NT|Macintosh|X11|CrOS|Linux x86_64")
_BOT = re.compile(r"bot\b|crawler|spider|HeadlessChrome", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,4}")


def device_of(request: IncomingRequest) -> str | None:
    """Return ``mobile``, ``tablet`` or ``desktop``; None for a program or a crawler.

    Source: the tokens that browsers put into User-Agent, and the client hint Sec-CH-UA-Mobile.
    """
    agent = (request.header("user-agent") or "")[:_MOST_CHARACTERS]
    if _BOT.search(agent):
        return None
    if _TABLET.search(agent):
        return "tablet"
    if _MOBILE.search(agent) or request.header("sec-ch-ua-mobile") == "?1":
        return "mobile"
    return "desktop" if _DESKTOP.search(agent) else None


def language_of(request: IncomingRequest) -> str | None:
    """Return the language tag that Accept-Language prefers, as it was sent: ``de-CH``."""
    best, best_quality = None, 0.0
    for part in (request.header("accept-language") or "")[:_MOST_CHARACTERS].split(",")[:_MOST_PARTS]:
        tag, _, parameter = part.strip().partition(";")
        quality = _quality(parameter)
        if quality > best_quality and _LANGUAGE.fullmatch(tag.strip()):
            best, best_quality = tag.strip(), quality
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    return float(value) if re.fullmatch(r"[01](?:\.\d{0,3})?", value.strip()) else 0.0


class TrustedProxies:
    """Tells a client's address where proxies stand before the application.

    `proxies` are addresses and networks, and ``unix`` for whatever connects through a unix socket. Nobody else's
    `header` is believed.
    """

    def __init__(self, proxies: Iterable[str], header: str) -> None:
        if isinstance(proxies, str):
            raise ConfigurationException(f"trusted_proxies must be a list of addresses, not {shown(proxies)}.")
        self._networks: list[Network] = []
        self._trusts_unix = False
        for proxy in proxies:
            if proxy == "unix":
                self._trusts_unix = True
                continue
            try:
                self._networks.append(ip_network(proxy, strict=False))
            except ValueError as error:
                raise ConfigurationException(
                    f"trusted_proxies: {shown(proxy)} is no address or network such as '10.0.0.0/8', nor 'unix'."
                ) from error
        self._header = header

    def client_address(self, request: IncomingRequest) -> str | None:
        """Return the address of the nearest one who is not a trusted proxy."""
        nearest = address_in(request.peer or "")
        if not (self._trusts_unix if nearest is None else self._trusts(nearest)):
            return None if nearest is None else str(nearest)
        for text in reversed(self._forwarded(request)):
            address = address_in(text)
            if address is None:
                break
            nearest = address
            if not self._trusts(address):
                break
        return None if nearest is None else str(nearest)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)

    def _forwarded(self, request: IncomingRequest) -> list[str]:
        parts = ",".join(request.headers(self._header))[-_MOST_CHARACTERS:].split(",")[-_MOST_PARTS:]
        if self._header.lower() != "forwarded":
            return [part for part in parts if part.strip()]
        found = [re.search(r'(?:^|;)\s*for="?([^";]*)', part, re.IGNORECASE) for part in parts]
        return [match[1] if match else "" for match in found]


def address_in(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in ``1.2.3.4``, ``1.2.3.4:80``, ``[::1]:80`` or ``::1``; None if there is none."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
