from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.http import HttpDestination
from agentsight_auto.store.attachments import AttachmentFolder
from tests.faultserver import KEY, MODERN, Fault, FaultServer, fault_server

from .http_support import destination_to, messages


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key; skips without the openssl command."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    crt, key = tmp_path / "server.crt", tmp_path / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(crt)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return crt, key


@pytest.fixture
def secure_server(certificate: tuple[Path, Path]) -> Iterator[FaultServer]:
    """A server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with fault_server(MODERN, context) as running:
        yield running


def test_https_delivers_to_a_server_that_is_trusted(
    secure_server: FaultServer, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform's certificates are checked; SSL_CERT_FILE names others."""
    untrusting = destination_to(secure_server, tmp_path)
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        untrusting.deliver(messages(1))
    untrusting.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    remote = destination_to(secure_server, tmp_path)
    assert len(remote.deliver(messages(3))) == 3
    assert len(remote.deliver(messages(3))) == 3
    remote.close()
    assert len({asked.connection for asked in secure_server.asked}) == 1


def test_the_deadline_holds_inside_tls(
    secure_server: FaultServer, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte at a time through an encrypted connection is as slow as without."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    remote = destination_to(secure_server, tmp_path, deadline_s=0.6)
    remote.deliver(messages(1))
    secure_server.behave(Fault("trickle"))
    started = time.monotonic()
    with pytest.raises(DeliveryError, match="in time"):
        remote.deliver(messages(1))
    assert time.monotonic() - started == pytest.approx(0.6, abs=0.2)
    remote.close()


def test_speaking_tls_to_a_plain_server_is_an_error_like_others(tmp_path: Path) -> None:
    """A wrong scheme is told, and nothing is lost."""
    with fault_server() as server:
        remote = HttpDestination(server.url.replace("http:", "https:"), KEY, AttachmentFolder(tmp_path), deadline_s=2)
        with pytest.raises(DeliveryError):
            remote.deliver(messages(1))
        remote.close()


def test_the_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As other programs do it: HTTP_PROXY, but for the hosts in NO_PROXY."""
    with fault_server() as proxy, fault_server() as direct:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        folder = AttachmentFolder(tmp_path)
        for endpoint in ("http://agentsight.example", direct.url):
            remote = HttpDestination(endpoint, KEY, folder)
            assert len(remote.deliver(messages(2))) == 2
            remote.close()
        assert len(proxy.events) == len(direct.events) == 2
        assert proxy.asked[0].headers["host"] == "agentsight.example"


def test_a_host_that_does_not_exist_is_an_error_like_others(tmp_path: Path) -> None:
    """The events wait until its name can be found."""
    remote = HttpDestination("http://no-such-host.invalid", KEY, AttachmentFolder(tmp_path), deadline_s=5)
    with pytest.raises(DeliveryError, match="no-such-host"):
        remote.deliver(messages(1))
    remote.close()


def test_requests_leave_no_line_in_the_host_s_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A program that logs at INFO does not hear of every delivery."""
    with caplog.at_level(logging.INFO), fault_server() as server:
        remote = destination_to(server, tmp_path)
        remote.deliver(messages(5))
        remote.close()
    assert caplog.records == []


def test_cookies_are_not_kept(tmp_path: Path) -> None:
    """What a server or a proxy sets is not sent back."""
    with fault_server() as server:
        remote = destination_to(server, tmp_path)
        server.behave(Fault("status", 503, {"Set-Cookie": "id=1; Path=/"}), times=1)
        with pytest.raises(DeliveryError):
            remote.deliver(messages(1))
        remote.deliver(messages(1))
        remote.close()
        assert all("cookie" not in asked.headers for asked in server.asked)


def test_a_compressed_answer_is_read(tmp_path: Path) -> None:
    """An API behind a proxy that compresses is understood."""
    import gzip

    with fault_server() as server:
        body = gzip.compress(b'{"capabilities":["events-batch"]}')
        fault = Fault("status", 200, {"Content-Encoding": "gzip"}, body)
        server.behave(lambda asked: fault if asked.path == "/api/me/" else None)
        remote = destination_to(server, tmp_path)
        remote.deliver(messages(1))
        remote.close()
        assert server.paths()[-1] == "POST /api/events/"


@pytest.mark.parametrize("ending", ["", "sys.exit(3)"])
def test_a_program_that_closes_nothing_ends_quietly(tmp_path: Path, ending: str) -> None:
    """Connections that are still open at the end leave no warning, whoever made them."""
    with fault_server() as server:
        code = f"""
import sys, agentsight_auto
from agentsight_auto.exceptions import ConversationTrackingException
agentsight_auto.configure(api_key={KEY!r}, endpoint={server.url!r}, home={str(tmp_path)!r})
with agentsight_auto.conversation("c-1") as chat:
    chat.track_human_message("hello")
try:
    agentsight_auto.agentsight_api.fetch_conversation("c-1")
except ConversationTrackingException:
    pass
with agentsight_auto.conversation("c-1") as chat:
    chat.track_human_message("again")
{ending}
"""
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (3 if ending else 0, "")
        assert len(server.events) == 6
