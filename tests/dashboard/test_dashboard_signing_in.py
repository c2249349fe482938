"""Who may look, who may change, and who is kept out."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest

from agentsight_auto.server.dashboard.gate import is_own_name, refusal
from agentsight_auto.server.dashboard.site import PAGES
from agentsight_auto.server.dashboard.visits import safe_return
from agentsight_auto.store.keys import list_keys, revoke_key
from tests.server.support import Client, Served, until

from .support import OWN, Browser


def test_a_stranger_is_asked_to_sign_in_on_every_page(served: Served) -> None:
    """Without a session every page that shows data leads to the sign-in and shows none."""
    stranger = Browser(served)
    for page in PAGES:
        if page.role is not None:
            path = page.path.replace("{id}", "1")
            answer = stranger.get(path) if page.method == "GET" else stranger.post(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/sign-in/"), path


def test_a_session_begins_with_a_key_and_ends_with_signing_out(served: Served, client: Client) -> None:
    """The cookie is new at each sign-in, out of reach of scripts, and dead after signing out."""
    browser = Browser(served)
    browser.cookies["agentsight_session"] = "A" * 43
    answer = browser.sign_in(client.key)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    session = browser.cookies["agentsight_session"]
    assert session != "A" * 43
    assert browser.get("/").status_code == 200
    browser.post("/sign-out/")
    browser.cookies["agentsight_session"] = session
    assert browser.get("/").status_code == 303


def test_a_session_ends_when_its_key_is_revoked(served: Served, client: Client, visitor: Browser) -> None:
    """Revoking the key ends the session soon."""
    assert visitor.get("/").status_code == 200
    revoke_key(served.service.database, list_keys(served.service.database)[0].id, at_us=1)
    begun = time.monotonic()
    until(lambda: visitor.get("/").status_code == 303)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("limits", [{"session_idle_s": 1}, {"session_lifetime_s": 1}])
def test_a_session_ends_by_itself(tmp_path: Path, limits: dict[str, int]) -> None:
    """A session that is not used, or that is too old, is over."""
    with Served(tmp_path, **limits) as served:
        browser = Browser(served)
        browser.sign_in(served.key())
        assert browser.get("/").status_code == 200
        until(lambda: browser.get("/").status_code == 303 if "session_lifetime_s" in limits else not time.sleep(1.1))
        assert browser.get("/").status_code == 303


def test_a_key_that_is_not_valid_is_refused_in_words_and_not_often(served: Served) -> None:
    """A wrong key gives a sentence, and guessing many is slowed down."""
    browser = Browser(served)
    answer = browser.sign_in("ags_" + "0" * 32 + "_000000")
    assert answer.status_code == 403
    assert "not valid" in answer.text
    assert 429 in {browser.sign_in("x").status_code for _ in range(7)}


def test_over_tls_the_cookie_belongs_to_this_host_alone(tmp_path: Path) -> None:
    """Behind TLS the cookie is ``__Host-`` and Secure, and only that one counts."""
    with Served(tmp_path, public_address="https://agents.example") as served:
        browser = Browser(served)
        cookie = browser.sign_in(served.key()).headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        assert browser.get("/").status_code == 200
        assert "max-age" in browser.get("/").headers["strict-transport-security"]
        browser.cookies["agentsight_session"] = browser.cookies.pop("__Host-agentsight_session")
        assert browser.get("/").status_code == 303


def test_a_key_that_may_read_changes_nothing(served: Served, client: Client) -> None:
    """With a read key every change is refused, and no page offers one."""
    number = client.open("chat-1", name="Before")
    reader = Browser(served)
    reader.sign_in(served.key(role="read"))
    for page in PAGES:
        if page.role == "write":
            answer = reader.post(page.path.replace("{id}", str(number)), {"name": "After", "confirmed": "yes"})
            assert answer.status_code == 403, page.path
    assert reader.post("/selection/", {"do": "delete", "ids": number, "confirmed": "yes"}).status_code == 403
    assert client.get(f"/api/conversations/{number}/").json()["name"] == "Before"
    assert "rename/" not in reader.get(f"/conversations/{number}/").text


def test_one_tenant_never_sees_anothers(served: Served, client: Client) -> None:
    """What belongs to another agent is not there, whatever its number."""
    number = client.open("their-chat")
    other = Browser(served)
    other.sign_in(served.key(agent="other"))
    for path in (f"/conversations/{number}/", f"/conversations/{number}/timeline/"):
        assert other.get(path).status_code == 404
    assert other.post(f"/conversations/{number}/rename/", {"name": "x"}).status_code == 404
    assert "their-chat" not in other.get("/").text
    assert other.post("/selection/", {"do": "jsonl", "ids": number}).content == b""


CROSS_SITE = [
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "http://testserver.evil.example"}, False),
    ({"Origin": "http://testserver:81"}, False),
    ({"Origin": "null"}, False),
    ({}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Origin": "http://testserver"}, True),
]


@pytest.mark.parametrize(("headers", "is_allowed"), CROSS_SITE)
def test_only_our_own_pages_can_post(
    visitor: Browser, client: Client, headers: dict[str, str], is_allowed: bool
) -> None:
    """A post that another site made the browser send changes nothing, though the cookie goes along."""
    number = client.open("chat-1", name="Before")
    answer = visitor.post(f"/conversations/{number}/rename/", {"name": "After"}, headers)
    assert answer.status_code == (303 if is_allowed else 403)
    assert client.get(f"/api/conversations/{number}/").json()["name"] == ("After" if is_allowed else "Before")


def test_no_get_changes_anything(visitor: Browser, client: Client) -> None:
    """Every path that changes something answers 405 to GET."""
    number = client.open("chat-1")
    posts = {page.path for page in PAGES if page.method == "POST"} - {
        page.path for page in PAGES if page.method == "GET"
    }
    for path in posts:
        assert visitor.get(path.replace("{id}", str(number))).status_code == 405, path


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True), ("localhost:8417", True), ("127.0.0.1:1", True), ("[::1]:8417", True), ("[::1]", True),
        ("LOCALHOST:1", True), ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost:x", False),
        ("localhost.evil.example:8417", False), ("", False), ("0.0.0.0:8417", False), ("a@localhost", False),
    ],
)  # fmt: skip
def test_names_of_this_machine_are_known(host: str, is_own: bool) -> None:
    """Only the names of the loopback are the machine's own."""
    assert is_own_name(host) is is_own
    refused = refusal("GET", {"host": host}, is_local=True, public_address=None)
    assert (refused is None) is is_own


def test_without_a_sign_in_only_this_machine_is_answered(tmp_path: Path) -> None:
    """A name that somebody else points to 127.0.0.1 gets nothing, and the API still wants a key."""
    with Served(tmp_path, local_agent="default") as served:
        assert Browser(served, "localhost:8417").get("/").status_code == 200
        for path in ("/", "/numbers/", "/static/app.js"):
            assert Browser(served, "evil.example:8417").get(path).status_code == 403
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert Browser(served, "localhost").post("/selection/", {"do": "delete"}, cross).status_code == 403
        assert Browser(served, "localhost").get("/api/conversations/").status_code == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil", "/a\nb", "javascript:x", "", "/\t/x"]
)
def test_nobody_is_led_away_after_signing_in(target: str) -> None:
    """The page to go back to is a path of this server."""
    assert safe_return(target) == "/"


def test_every_page_forbids_what_it_does_not_need(visitor: Browser) -> None:
    """Policies are strict and the same everywhere; the nonce is new each time."""
    nonces = set()
    for path in ("/", "/numbers/", "/actions/", "/health/", "/conversations/99/", "/?from=x"):
        headers = visitor.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        nonces.add(policy)
    assert len(nonces) == 6


def test_reports_of_browsers_are_said_in_the_log_without_content(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's broken rule is named with the page's path; queries, forged lines and nonsense do no harm."""
    monkeypatch.setattr("agentsight_auto._guard._last_logged", {})
    browser = Browser(served)
    policy = browser.get("/sign-in/").headers
    assert "report-to policy; report-uri /policy-reports/" in policy["content-security-policy"]
    assert policy["reporting-endpoints"] == 'policy="/policy-reports/"'
    own = {**OWN, "Content-Type": "application/csp-report"}
    said = {
        "effective-directive": "img-src\nforged",
        "document-uri": "https://a.example/conversations/5/?search=secret",
    }
    for body in (b"", b"[]", b"[1]", b"{", b'{"csp-report": 1}', b'{"csp-report": {"document-uri": "http://["}}'):
        monkeypatch.setattr("agentsight_auto._guard._last_logged", {})
        assert browser.request("POST", "/policy-reports/", own, body).status_code == 204
    caplog.clear()
    for _ in range(2):
        monkeypatch.setattr("agentsight_auto._guard._last_logged", {"other": 1.0})
        browser.request("POST", "/policy-reports/", own, json.dumps({"csp-report": said}).encode())
    assert "img-src forged on /conversations/5/" in caplog.text
    assert "secret" not in caplog.text


def test_everything_is_exported_a_few_times_an_hour(served: Served, client: Client) -> None:
    """Exports of whole lists are bounded for each key; the owner of the machine is not."""
    client.open("chat-1")
    reader = Browser(served)
    reader.sign_in(client.key)
    codes = [reader.get("/export/?format=csv").status_code for _ in range(11)]
    assert codes == [200] * 10 + [429]
    assert reader.post("/selection/", {"do": "csv", "ids": 1}).status_code == 200


def test_who_read_exported_or_deleted_is_written_down(
    served: Served, client: Client, visitor: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each with the key's hint and the conversations, and no word of their content."""
    number = client.open("chat-1", name="secret")
    with caplog.at_level(logging.INFO, "agentsight_auto.server.access"):
        visitor.get(f"/conversations/{number}/?find=secret")
        visitor.get("/export/?format=csv&search=secret")
        visitor.post("/selection/", {"do": "delete", "ids": number, "confirmed": "yes"})
    lines = [json.loads(record.message) for record in caplog.records if record.name.endswith(".audit")]
    told = [(line["audit"], line["agent"], line["conversations"], line["filters"]) for line in lines]
    assert told == [("read", "shop", [1], []), ("export", "shop", [], ["search"]), ("delete", "shop", [1], [])]
    assert all(line["key"] and line["key"] in str(client.key) for line in lines)
    assert "secret" not in "".join(record.message for record in caplog.records)
