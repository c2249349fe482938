"""A browser without a window: keeps cookies, follows nothing, sends what browsers send with a form."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.server.support import Served

OWN = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """One person's browser."""

    def __init__(self, served: Served, host: str = "testserver") -> None:
        self._served = served
        self.host = host
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.request("GET", path, headers)

    def post(
        self, path: str, fields: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        given = {"Content-Type": "application/x-www-form-urlencoded", **(OWN if headers is None else headers)}
        return self.request("POST", path, given, urlencode(fields or {}, doseq=True).encode())

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> httpx.Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Host": self.host, **headers, **({"Cookie": cookies} if cookies else {})}
        answer = self._served.send(method, path, headers=sent, content=body)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    def sign_in(self, key: str | None) -> httpx.Response:
        return self.post("/sign-in/", {"key": key})
