"""Where an id is taken from: the words of `id_from` and `customer_from`.

In: ``header:NAME``, ``cookie:NAME``, ``query:NAME``, ``path:/chats/{id}``, ``path:NAME``, ``json:a.b.0``,
``form:NAME``, ``user``, ``baggage``, a callable, or several of them. Out: a `Source`, which reads a text from a
request. Loses: nothing; a request that has no usable value has no id.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

from ..._guard import guarded, shown, warn_at_most_once_a_minute
from ...capture.arguments import usable_conversation_id
from ...exceptions import ConfigurationException
from .. import baggage
from .request import IncomingRequest

Given: TypeAlias = "str | Callable[[IncomingRequest], object] | tuple[Given, ...] | list[Given] | None"
"""What `id_from` may be; of several the first that has a value counts."""

_WORDS = "header:NAME, cookie:NAME, query:NAME, path:/chats/{id}, json:FIELD, form:NAME, user, baggage or a callable"


class Source:
    """Reads one text from a request; `reads_body` says whether it must be able to look into the body."""

    def __init__(self, given: Given, *, has_path_parameters: bool = False) -> None:
        parts = given if isinstance(given, (list, tuple)) else () if given is None else (given,)
        self._readers = [_reader(part, has_path_parameters=has_path_parameters) for part in parts]
        self.reads_body = any(isinstance(part, str) and part.startswith(("json:", "form:")) for part in parts)

    @guarded
    def read(self, request: IncomingRequest) -> str | None:
        """Return the first usable text; None if there is none."""
        for reader in self._readers:
            text = usable_text(reader(request))
            if text is not None:
                return text
        return None


def usable_text(value: object) -> str | None:
    """Return an id as text of at most 255 characters; None for what is none.

    Blank texts, texts with control characters, booleans, fractions, lists and documents are none.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, bytes, uuid.UUID)):
        return None
    if isinstance(value, int) and value.bit_length() > 128:
        return None
    text = usable_conversation_id(value)
    given = value.strip() if isinstance(value, str) else text or ""
    if not given.isprintable():
        warn_at_most_once_a_minute("unprintable id", "agentsight-auto: an id with control characters is not used")
        return None
    return text


def _reader(given: Any, *, has_path_parameters: bool) -> Callable[[IncomingRequest], object]:
    if callable(given):
        return _calling(given)
    if not isinstance(given, str):
        raise ConfigurationException(f"An id cannot be taken from {shown(given)}: use {_WORDS}.")
    kind, _, name = given.partition(":")
    if given == "user":
        return lambda request: _identity(request.user())
    if given == "baggage":
        return lambda request: baggage.conversation_id_in(request.headers("baggage"))
    if kind == "path" and name.startswith("/"):
        return _from_template(name)
    if kind == "path" and name and not has_path_parameters:
        raise ConfigurationException(
            f"{given!r}: a middleware runs before the path is matched. Give its form: 'path:/chats/{{{name}}}'."
        )
    if not name or kind not in _NAMED:
        raise ConfigurationException(f"An id cannot be taken from {given!r}: use {_WORDS}.")
    return _NAMED[kind](name)


def _from_json(field: str) -> Callable[[IncomingRequest], object]:
    steps = field.split(".")

    def read(request: IncomingRequest) -> object:
        found = request.json()
        for step in steps:
            if isinstance(found, dict):
                found = found.get(step)
            elif isinstance(found, list) and step.isdecimal() and len(step) < 10:
                found = found[int(step)] if int(step) < len(found) else None
            else:
                return None
        return found

    return read


_NAMED: dict[str, Callable[[str], Callable[[IncomingRequest], object]]] = {
    "header": lambda name: lambda request: request.header(name),
    "cookie": lambda name: lambda request: request.cookie(name),
    "query": lambda name: lambda request: request.query(name),
    "path": lambda name: lambda request: request.path_parameter(name),
    "form": lambda name: lambda request: request.form(name),
    "json": _from_json,
}


def _from_template(template: str) -> Callable[[IncomingRequest], object]:
    """Match ``/chats/{id}`` and what lies below it; a ``*`` stands for any one segment."""
    parts = re.split(r"(\{\w+\}|\*)", template.rstrip("/"))
    if sum(part.startswith("{") for part in parts) != 1:
        raise ConfigurationException(f"'path:{template}' needs exactly one name in braces: 'path:/chats/{{id}}'.")
    form = "".join("([^/]+)" if part.startswith("{") else "[^/]+" if part == "*" else re.escape(part) for part in parts)
    pattern = re.compile(form + r"(?:/|$)")

    def read(request: IncomingRequest) -> object:
        found = pattern.match(request.path)
        return None if found is None else unquote(found[1])

    return read


def _calling(function: Callable[[IncomingRequest], object]) -> Callable[[IncomingRequest], object]:
    def read(request: IncomingRequest) -> object:
        value = function(request)
        return value if isinstance(value, (str, int, bytes, uuid.UUID)) else usable_conversation_id(value)

    return read


def _identity(user: Any) -> object:
    """Return what names a user: its primary key, its identity or its name; None for nobody."""
    if user is None or isinstance(user, (str, int)):
        return user
    if getattr(user, "is_authenticated", True) is False:
        return None
    for name in ("pk", "identity", "id", "username", "display_name"):
        try:
            value = getattr(user, name, None)
        except NotImplementedError:  # Starlette's SimpleUser has no identity
            continue
        if value:
            return value if isinstance(value, (str, int, uuid.UUID)) else str(value)
    return None
