"""What headers say: device, language, address behind proxies, baggage; hostile ones do no harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto import conversation
from agentsight_auto._runtime import Runtime
from agentsight_auto.integrations import baggage
from agentsight_auto.integrations.asgi import incoming_request as of_scope
from agentsight_auto.integrations.incoming.facts import TrustedProxies, device_of, language_of
from agentsight_auto.integrations.incoming.plan import RequestPlan
from agentsight_auto.integrations.incoming.request import IncomingRequest
from agentsight_auto.integrations.incoming.sources import usable_text
from agentsight_auto.integrations.wsgi import incoming_request as of_environ
from agentsight_auto.testing import Recording

AGENTS = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36": "desktop",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1": "desktop",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36": "desktop",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36": "mobile",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148": "mobile",
    "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 Chrome/130.0 Safari/537.36": "tablet",
    "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Version/16.6 Mobile/15E148": "tablet",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": None,
    "curl/8.5.0": None,
    "": None,
}
LANGUAGES = {
    "de": "de",
    "en;q=0.5, pt-BR;q=0.9": "pt-BR",
    "*": None,
    "fr;q=0": None,
    "fr;q=oops, it;q=0.1": "it",
    "en-US,en;q=0.9": "en-US",
    "<script>, nl;q=0.3": "nl",
    "": None,
}


def request_with(peer: str | None = None, **headers: str) -> IncomingRequest:
    return IncomingRequest(None, headers=[(name.replace("_", "-"), text) for name, text in headers.items()], peer=peer)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_device_follows_from_the_user_agent(agent: str) -> None:
    """Phones, tablets and desktops of today; programs and crawlers are no device."""
    assert device_of(request_with(User_Agent=agent)) == AGENTS[agent]


@pytest.mark.parametrize("accepted", LANGUAGES)
def test_the_language_is_the_preferred_one(accepted: str) -> None:
    """The highest quality, then the first."""
    assert language_of(request_with(Accept_Language=accepted)) == LANGUAGES[accepted]


ADDRESSES: list[tuple[tuple[str, ...], str, str | None, str, str | None]] = [
    ((), "X-Forwarded-For", "9.9.9.9", "1.1.1.1", "9.9.9.9"),
    (("10.0.0.0/8",), "X-Forwarded-For", "9.9.9.9", "1.1.1.1", "9.9.9.9"),
    (("10.0.0.0/8",), "X-Forwarded-For", "10.0.0.1", "1.1.1.1", "1.1.1.1"),
    (("10.0.0.0/8",), "X-Forwarded-For", "10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
    (("10.0.0.0/8",), "X-Forwarded-For", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
    (("10.0.0.0/8",), "X-Forwarded-For", "10.0.0.1", "evil, 10.0.0.2", "10.0.0.2"),
    (("10.0.0.0/8",), "X-Forwarded-For", "10.0.0.1", "", "10.0.0.1"),
    (("::1",), "X-Forwarded-For", "::1", "[2001:db8::1]:4711", "2001:db8::1"),
    (("127.0.0.1",), "X-Forwarded-For", "::ffff:127.0.0.1", "1.1.1.1:80", "1.1.1.1"),
    (("unix",), "X-Forwarded-For", None, "1.1.1.1", "1.1.1.1"),
    ((), "X-Forwarded-For", None, "1.1.1.1", None),
    (("127.0.0.1",), "Forwarded", "127.0.0.1", 'for=6.6.6.6, For="[2001:db8::2]:1";proto=https', "2001:db8::2"),
    (("127.0.0.1",), "Forwarded", "127.0.0.1", "for=_hidden", "127.0.0.1"),
    (("127.0.0.1",), "X-Real-IP", "127.0.0.1", "1.1.1.1", "1.1.1.1"),
]


@pytest.mark.parametrize(("proxies", "header", "peer", "text", "expected"), ADDRESSES)
def test_only_trusted_proxies_are_believed(
    proxies: tuple[str, ...], header: str, peer: str | None, text: str, expected: str | None
) -> None:
    """The nearest address that is no trusted proxy; what a client writes itself stays behind it."""
    request = IncomingRequest(None, headers=[(header, text)], peer=peer)
    assert TrustedProxies(proxies, header).client_address(request) == expected


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_in_headers_are_read_without_harm(value: bytes, path: bytes, query: bytes) -> None:
    """ASGI and WSGI: whatever stands in every header, in path and query, the plan answers, and texts are texts."""
    plan = RequestPlan(
        ("header:x-conversation-id", "cookie:c", "query:q", "path:/{id}", "json:a.0", "form:f", "baggage"),
        trusted_proxies=["0.0.0.0/0", "::/0", "unix"],
    )
    names = (
        "x-conversation-id",
        "cookie",
        "accept-language",
        "user-agent",
        "x-forwarded-for",
        "baggage",
        "x-customer-id",
    )
    scope: dict[str, Any] = {
        "type": "http",
        "path": path.decode("utf-8", "replace"),
        "query_string": query,
        "headers": [(name.encode(), value) for name in names],
        "client": ("127.0.0.1", 1),
    }
    latin = value.decode("latin-1")
    environ = {f"HTTP_{name.upper().replace('-', '_')}": latin for name in names}
    environ |= {"PATH_INFO": path.decode("latin-1"), "QUERY_STRING": query.decode("latin-1")}
    for request in (of_scope(scope, value), of_environ(environ, value)):
        frame = plan.open(request)
        assert frame is None or 0 < len(frame.conversation.conversation_id) <= 255
        assert frame is None or frame.conversation.conversation_id.isprintable()


@given(st.text(max_size=600) | st.integers() | st.binary(max_size=300))
def test_an_id_is_short_printable_text_or_none(value: Any) -> None:
    """Too long a text is shortened, always in the same way."""
    text = usable_text(value)
    assert text is None or (0 < len(text) <= 255 and text.isprintable() and text == usable_text(value))


@given(st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable() and text.strip()))
def test_baggage_comes_back_as_it_went(conversation_id: str) -> None:
    """Whatever the id holds, among other members, it is read as it was written."""
    runtime = Runtime(durability="memory", disabled=False, baggage_hosts="here")
    from agentsight_auto import _runtime

    with _runtime.used_as_default(runtime):
        frame = conversation(conversation_id).open_frame(conversation_id)
        frame.enter()
        try:
            value = baggage.header_for("here", "other=1;p=2")
            assert value is not None
            assert value.startswith("other=1;p=2,")
            assert value.isascii()
            assert baggage.conversation_id_in([value]) == frame.conversation.conversation_id
        finally:
            frame.leave()


HOSTS = [
    ("api.internal", ("api.internal",), True),
    ("API.internal.", ("api.internal",), True),
    ("evil-api.internal", ("api.internal",), False),
    ("a.shop.example", ("*.shop.example",), True),
    ("shop.example", ("*.shop.example",), False),
    ("shop.example.evil.example", ("*.shop.example",), False),
    ("", ("*.x",), False),
    (None, ("x",), False),
    ("x", (), False),
]


@pytest.mark.parametrize(("host", "hosts", "expected"), HOSTS)
def test_the_allow_list_names_hosts_whole(host: str | None, hosts: tuple[str, ...], expected: bool) -> None:
    """A name matches itself, ``*.`` what lies below a domain."""
    assert baggage.is_allowed(host, hosts) is expected


def test_nothing_is_carried_without_a_list_a_conversation_or_consent(recorded: Recording) -> None:
    """Off by default."""
    with conversation("c"):
        assert baggage.header_for("here", None) is None
    recorded._runtime.configure(baggage_hosts=["here"])
    assert baggage.header_for("here", None) is None
    with conversation("c"):
        assert baggage.header_for("here", None) == "agentsight.conversation_id=c"
        assert baggage.header_for("here", "agentsight.conversation_id=mine") is None
        assert baggage.header_for("here", "x" * 8190) is None
        assert baggage.header_for("there", None) is None
    with conversation("c", record=False):
        assert baggage.header_for("here", None) is None
