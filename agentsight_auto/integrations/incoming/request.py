"""A request as the sources see it, whatever framework it came through; each part is read when it is asked for.

In: headers, path, query, body and peer of a request. Out: texts. Loses: nothing; what cannot be parsed is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

_MOST_FIELDS = 1000


def _no_body() -> bytes | None:
    return None


class IncomingRequest:
    """One request: what `id_from`, `customer_from` and `details` may ask it.

    `method` is upper case, `path` is decoded and relative to where the application is mounted, `peer` the address that
    the connection comes from (None: a unix socket, or unknown), `raw` the framework's own request: an ASGI scope, a
    WSGI environ, a Django request, the event of a serverless function.
    """

    __slots__ = (
        "_form",
        "_headers",
        "_json",
        "_path_parameters",
        "_query",
        "_query_string",
        "_read_body",
        "_read_user",
        "method",
        "path",
        "peer",
        "raw",
    )

    def __init__(
        self,
        raw: Any,
        *,
        headers: Iterable[tuple[str, str]],
        method: str = "",
        path: str = "",
        query_string: str = "",
        peer: str | None = None,
        path_parameters: Mapping[str, Any] | None = None,
        read_body: Callable[[], bytes | None] = _no_body,
        read_user: Callable[[], object] | None = None,
    ) -> None:
        self.raw = raw
        self.method = method.upper()
        self.path = path
        self.peer = peer
        self._query_string = query_string
        self._path_parameters = path_parameters
        self._read_body = read_body
        self._read_user = read_user
        self._headers: dict[str, list[str]] = {}
        for name, value in headers:
            self._headers.setdefault(name.lower(), []).append(value)
        self._query: dict[str, str] | None = None
        self._form: dict[str, str] | None = None
        self._json: tuple[object] | None = None

    def header(self, name: str) -> str | None:
        """Return the first value of a header; None if it is absent."""
        values = self._headers.get(name.lower())
        return values[0] if values else None

    def headers(self, name: str) -> list[str]:
        """Return all values of a header, in order."""
        return self._headers.get(name.lower(), [])

    def cookie(self, name: str) -> str | None:
        """Return a cookie as it was sent, without the quotes around it."""
        for header in self.headers("cookie"):
            for part in header.split(";"):
                key, _, value = part.partition("=")
                if key.strip() == name:
                    return value.strip().strip('"')
        return None

    def query(self, name: str) -> str | None:
        """Return the first value of a query parameter."""
        if self._query is None:
            self._query = _fields(self._query_string)
        return self._query.get(name)

    def path_parameter(self, name: str) -> object:
        """Return a parameter of the path, where the framework has matched it already."""
        return (self._path_parameters or {}).get(name)

    def user(self) -> object:
        """Return who the framework says is logged in; None for nobody."""
        return None if self._read_user is None else self._read_user()

    def json(self) -> Any:
        """Return the body as JSON; None where it is none, too large, or was not read for this."""
        if self._json is None:
            body = self._read_body()
            try:
                self._json = (msgspec.json.decode(body) if body else None,)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._json = (None,)
        return self._json[0]

    def form(self, name: str) -> str | None:
        """Return the first value of a field of a URL-encoded form."""
        if self._form is None:
            self._form = _fields((self._read_body() or b"").decode("latin-1"))
        return self._form.get(name)


def body_kind(content_type: str | None) -> str | None:
    """Return ``json``, ``form`` or None, from a Content-Type; a body without one may be JSON."""
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")):
        return "json"
    return "form" if kind == "application/x-www-form-urlencoded" else None


def text_of_header(raw: bytes) -> str:
    """Return the text of a header's bytes: UTF-8 where it is, else Latin-1, which is what HTTP says."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _fields(encoded: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(pairs))
