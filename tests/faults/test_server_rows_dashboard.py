"""S10 and S11: what is recorded never runs in the dashboard, and nobody else's page acts in a visitor's name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentsight_auto.server.dashboard.site import PAGES
from agentsight_auto.store.keys import list_keys, revoke_key
from tests.browser.conftest import address, chromium, context, home, page  # noqa: F401 - fixtures
from tests.browser.payloads import PAYLOADS
from tests.browser.test_browser_hostile import visit_everything
from tests.dashboard.support import Browser
from tests.dashboard.test_dashboard_signing_in import CROSS_SITE
from tests.server.support import Served, until

from .table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = "agentsight_session"


@pytest.mark.timeout(580)
def test_s10_nothing_recorded_ever_runs(row: Row, request: pytest.FixtureRequest) -> None:
    """On every page, with the corpus wherever recorded text has a place, nothing runs, loads or breaks the policy."""
    row.full_only("its run in CI is tests/browser/test_browser_hostile.py")
    tab, url, folder = (request.getfixturevalue(name) for name in ("page", "address", "home"))
    seen = visit_everything(tab, url, folder)
    policies = {tab.request.get(url + path).headers["content-security-policy"] for path in ("/", "/numbers/")}
    row.without_accounts("the server of the dashboard only reads")
    row.provoke(
        f"{len(PAYLOADS)} payloads in messages, metadata, arguments, results, names, ids, file names, buttons and "
        f"feedback; {seen.pages} pages opened in Chromium"
    )
    row.figure("executions", asked="0", reached=len(seen.executions), holds=not seen.executions)
    row.figure("dialogs", asked="0", reached=len(seen.dialogs), holds=not seen.dialogs)
    row.figure("violations of the policy", asked="0", reached=len(seen.violations), holds=not seen.violations)
    row.figure("requests to others", asked="0", reached=len(seen.elsewhere), holds=not seen.elsewhere)
    row.figure("payloads shown as text", asked="> 500", reached=seen.shown, holds=seen.shown > 500)
    unsafe = [policy for policy in policies if "unsafe" in policy]
    row.figure("unsafe-inline in the policy", asked="no", reached=unsafe or "no", holds=not unsafe)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path, requests_per_minute=0) as running:
        yield running


def test_s11_another_site_cannot_act_in_a_visitors_name(row: Row, served: Served) -> None:
    """Whatever another site has a signed-in browser send, it is refused, and nothing is changed."""
    client = served.client()
    number = client.open("chat-1", name="Before")
    visitor = Browser(served)
    visitor.sign_in(client.key)
    kept = dict(visitor.cookies)
    asked = blocked = 0
    for place in (place for place in PAGES if place.method == "POST"):
        for headers, is_allowed in CROSS_SITE:
            if not is_allowed:
                answer = visitor.post(
                    place.path.replace("{id}", str(number)), {"name": "x", "confirmed": "yes"}, headers
                )
                asked, blocked = asked + 1, blocked + (answer.status_code == 403)
                visitor.cookies = dict(kept)
    unsafe = [
        operation.path
        for operation in served.service.operations
        if operation.role is not None and operation.method in {"POST", "PATCH", "PUT", "DELETE"}
        if visitor.request(operation.method, _filled(operation.path, number), {}).status_code not in {401, 403}
    ]
    posts = {place.path for place in PAGES if place.method == "POST"}
    posts -= {place.path for place in PAGES if place.method == "GET"}
    gets = [path for path in posts if visitor.get(path.replace("{id}", str(number))).status_code != 405]
    row.provoke(
        f"{asked} posts of other sites to {len({place.path for place in PAGES if place.method == 'POST'})} paths"
    )
    row.figure("posts refused", asked="100 %", reached=f"{blocked}/{asked}", holds=blocked == asked)
    row.figure("routes of the API that take the cookie", asked="0", reached=unsafe or 0, holds=not unsafe)
    row.figure("GET where only a post may change", asked="405", reached=gets or "405", holds=not gets)
    name = client.get(f"/api/conversations/{number}/").json()["name"]
    row.figure("changed", asked="nothing", reached="nothing" if name == "Before" else name, holds=name == "Before")


def test_s11_a_session_cannot_be_set_kept_or_framed(row: Row, served: Served) -> None:
    """A session is new at each sign-in, out of reach of scripts, dead when it ends, and no page shows in a frame."""
    client = served.client()
    browser = Browser(served)
    browser.cookies[SESSION] = "A" * 43
    told = browser.sign_in(client.key).headers["set-cookie"]
    session = browser.cookies[SESSION]
    flags = "HttpOnly" in told and "SameSite=Lax" in told
    framed = [
        place.path
        for place in PAGES
        if place.method == "GET"
        if not _forbids_frames(browser if place.role else Browser(served), place.path.replace("{id}", "1"))
    ]
    browser.post("/sign-out/")
    out = _dead_after_s(browser, session)
    other = Browser(served)
    other.sign_in(client.key)
    session_of_key = other.cookies[SESSION]
    assert other.get("/").status_code == 200
    revoke_key(served.service.database, list_keys(served.service.database)[0].id, at_us=1)
    revoked = _dead_after_s(other, session_of_key)
    row.provoke("a session set beforehand, used again after signing out and after its key was revoked; pages in frames")
    row.figure(
        "a session set by somebody else", asked="replaced", reached=session != "A" * 43, holds=session != "A" * 43
    )
    row.figure("cookie", asked="HttpOnly, SameSite", reached="so" if flags else told, holds=flags)
    row.figure("old session dead", asked="<= 1 s", reached=f"{out:.2f} s", holds=out <= (1 if row.is_full else 5))
    row.figure(
        "its key revoked", asked="<= 1 s", reached=f"{revoked:.2f} s", holds=revoked <= (1 if row.is_full else 5)
    )
    row.figure("pages that show in a frame", asked="0", reached=framed or 0, holds=not framed)


def _filled(path: str, number: int) -> str:
    parts = [str(number) if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def _forbids_frames(browser: Browser, path: str) -> bool:
    headers = browser.get(path).headers
    return headers.get("x-frame-options") == "DENY" and "frame-ancestors 'none'" in headers["content-security-policy"]


def _dead_after_s(browser: Browser, session: str) -> float:
    """Return after how many seconds the session opens no page any more."""
    began = time.monotonic()

    def is_dead() -> bool:
        browser.cookies = {SESSION: session}
        return browser.get("/").status_code == 303

    until(is_dead)
    return time.monotonic() - began
