"""The conversation in a W3C ``baggage`` header: written for hosts on the allow list, read where a middleware says so.

In: the current conversation; headers of requests. Out: one member of the header. Loses: nothing; other members stay.
Source: https://www.w3.org/TR/baggage/ (members, percent-encoding, 8,192 bytes and 64 members at most).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from .. import _runtime
from .._guard import guarded

MEMBER = "agentsight.conversation_id"

_MOST_BYTES = 8192
_MOST_MEMBERS = 64


def is_allowed(host: str | None, hosts: Iterable[str]) -> bool:
    """Return whether `host` is on the list: by its name, or under a ``*.`` in front of a domain."""
    name = (host or "").lower().rstrip(".")
    return bool(name) and any(
        name.endswith(allowed[1:].lower()) if allowed.startswith("*.") else name == allowed.lower() for allowed in hosts
    )


@guarded
def header_for(host: str | None, present: str | None) -> str | None:
    """Return the header's value for a request to `host`; None where it stays as it is.

    `present` is the value the program has set itself: its members are kept, and a conversation it names counts.
    """
    runtime = _runtime.default()
    frame = runtime.current.get()
    if frame is None or not frame.conversation.is_recording or not is_allowed(host, runtime.settings.baggage_hosts):
        return None
    members = [member for member in (present or "").split(",") if member.strip()]
    if any(member.partition("=")[0].strip() == MEMBER for member in members):
        return None
    members.append(f"{MEMBER}={quote(frame.conversation.conversation_id, safe='')}")
    value = ",".join(members)
    return value if len(members) <= _MOST_MEMBERS and len(value) <= _MOST_BYTES else None


def conversation_id_in(headers: Iterable[str]) -> str | None:
    """Return the conversation that a request's ``baggage`` headers name; None if they name none."""
    for member in ",".join(headers)[:_MOST_BYTES].split(","):
        name, _, rest = member.partition("=")
        if name.strip() == MEMBER:
            return unquote(rest.partition(";")[0].strip()) or None
    return None
