"""Which requests a page answers at all: not those that another site made a browser send.

In: method and headers. Out: None, or why the request is refused.

A browser says in ``Sec-Fetch-Site`` where a request came from; where it does not (plain HTTP on another machine), it
still sends ``Origin`` with every post. Without a sign-in the name in ``Host`` must be the machine's own, because a
name of somebody else's that points to 127.0.0.1 would make their site the same as ours.
Source: https://www.w3.org/TR/fetch-metadata/, https://fetch.spec.whatwg.org/#origin-header
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD"})
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_OWN_SITE = frozenset({"same-origin", "none"})


def refusal(method: str, headers: Mapping[str, str], *, is_local: bool, public_address: str | None) -> str | None:
    """Return why this request is not answered, as a key of the texts; None for one that is.

    `is_local` is whether nobody needs to sign in, `public_address` how browsers reach the server if it knows that.
    """
    host = headers.get("host", "")
    if is_local and not is_own_name(host):
        return "refused_host"
    if method in SAFE_METHODS:
        return None
    site = headers.get("sec-fetch-site")
    if site is not None:
        return None if site in _OWN_SITE else "refused_cross_site"
    origin = headers.get("origin")
    own = {host.lower()} | ({urlsplit(public_address).netloc.lower()} if public_address else set())
    if origin is None or urlsplit(origin).netloc.lower() not in own:
        return "refused_cross_site"
    return None


def is_own_name(host: str) -> bool:
    """Tell whether a ``Host`` header names this machine as itself, with any port."""
    name = host.lower()
    if name.count(":") == 1 or name.startswith("["):
        name, _, port = name.rpartition(":") if not name.endswith("]") else (name, "", "0")
        if not port.isdigit():
            return False
    return name in _OWN_NAMES
