"""Attachments: three shapes in, signed links out."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from agentsight_auto.server.signing import LinkSigner, load_secret

from .support import Client, Served

PATH = "/api/attachments/"


def b64(data: bytes = b"hello", filename: str = "a.txt", mime_type: str | None = "text/plain") -> dict[str, Any]:
    return {"filename": filename, "mime_type": mime_type, "data": base64.b64encode(data).decode()}


def link_of(answer: httpx.Response, place: int = 0) -> str:
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["attachments"][place]["file_url"]
    return url


def standalone(client: Client, *files: dict[str, Any], **fields: Any) -> httpx.Response:
    body = {"attachments": list(files), "metadata": {}, "mode": "base64", "conversation_id": "cid", **fields}
    return client.post(PATH, body)


def test_base64_attachments_become_a_message(client: Client) -> None:
    """Of the sender, at the time they were tracked, with all files in order."""
    moment = "2026-11-20T08:00:00.000000Z"
    answer = standalone(client, b64(), b64(b"\x89PNG\r\n\x1a\n", "", None), sender="agent", timestamp=moment)
    assert client.get(link_of(answer)).content == b"hello"
    (message,) = client.get("/api/conversations/1/").json()["messages"]
    assert (message["sender"], message["timestamp"], message["id"]) == ("agent", moment, answer.json()["id"])
    names = [(file["filename"], file["type"], file["mime_type"]) for file in message["attachments"]]
    assert names == [("a.txt", "text", "text/plain"), ("attachment_1.png", "image", "image/png")]


@pytest.mark.parametrize(
    "meant", [{"conversation": "1", "conversation_id": "None"}, {"conversation": "1", "conversation_id": "cid"}, {}]
)
def test_attachments_are_hung_on_a_message(client: Client, meant: dict[str, str]) -> None:
    """Without a mode, whatever the conversation is called; the same file twice is one."""
    number = client.say("cid")
    for _ in range(2):
        answer = client.post(PATH, {"attachments": [b64()], "message": number, "sender": "end_user", **meant})
        assert (answer.status_code, answer.json()["id"]) == (201, number)
        assert len(answer.json()["attachments"]) == 1
    (message,) = client.get("/api/conversations/1/").json()["messages"]
    assert [file["filename"] for file in message["attachments"]] == ["a.txt"]


@pytest.mark.parametrize("number", [77, "77", "x", -1, 2**63, 0])
def test_a_message_that_is_not_there_is_said(client: Client, number: object) -> None:
    """The documented 404."""
    answer = client.post(PATH, {"attachments": [b64()], "message": number})
    assert (answer.status_code, answer.json()) == (404, {"detail": f"Message {number} not found"})


def test_multipart_attachments_become_a_message(client: Client) -> None:
    """Parts attachment_0 to n, metadata as JSON text that may be null, the conversation's integer id."""
    client.open("cid")
    files = {
        "attachment_0": ("a.txt", b"one", "text/plain"),
        "attachment_1": ("b", b"%PDF-1.7", "application/octet-stream"),
    }
    for metadata, stored in (("null", {}), ('{"k": 1}', {"k": 1})):
        fields = {"conversation": "1", "sender": "end_user", "mode": "form_data", "metadata": metadata}
        answer = client.request("POST", PATH, data=fields, files=files)
        assert client.get(link_of(answer, 1)).content == b"%PDF-1.7"
        assert answer.json()["metadata"] == stored
        assert answer.json()["attachments"][1]["mime_type"] == "application/pdf"


def test_multipart_attachments_are_hung_on_a_message(client: Client) -> None:
    """With a part `message` after the files."""
    number = client.say("cid")
    files = [("attachment_0", ("a.txt", b"one", "text/plain")), ("message", (None, str(number)))]
    answer = client.request("POST", PATH, files=files)
    assert (answer.status_code, answer.json()["id"]) == (201, number)


def test_both_envelopes_name_all_attachments(client: Client) -> None:
    """The older clients read messages, the newer a flat list; each file has a link."""
    client.say("cid")
    standalone(client, b64(), b64(b"x", "b.txt"))
    answer = client.get("/api/conversations/1/attachments/").json()
    assert (answer["conversation_id"], answer["conversation"]) == ("cid", 1)
    assert answer["total_attachments"] == answer["attachment_count"] == 2
    (message,) = answer["messages"]
    assert {"message_id", "sender", "timestamp", "attachments"} == set(message)
    flat = [{**file, "message": message["message_id"]} for file in message["attachments"]]
    assert answer["attachments"] == flat
    assert set(flat[0]) == {"id", "message", "type", "filename", "mime_type", "size_bytes", "file_url"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"attachments": []}, 400),
        ({}, 400),
        ({"attachments": "x"}, 400),
        ({"attachments": [{"filename": "a"}]}, 400),
        ({"attachments": [{"filename": "a", "data": ""}]}, 400),
        ({"attachments": [{"filename": "a", "data": "a"}]}, 400),
        ({"attachments": [{"filename": "a", "data": 5}]}, 400),
        ({"attachments": [b64()] * 11}, 400),
        ({"attachments": [b64()], "mode": "form_data"}, 400),
        ({"attachments": [b64()], "sender": "robot"}, 400),
        ({"attachments": [b64(b"x" * 2001)]}, 413),
        ({"attachments": [b64(b"x" * 1500)] * 3}, 413),
    ],
)
def test_bad_attachments_are_refused(tmp_path: Path, body: dict[str, Any], status: int) -> None:
    """None, too many, no base64, empty, too large, a wrong mode: a clear answer, no message and no file."""
    with Served(tmp_path, attachment_bytes=2000, attachments_bytes=4000) as served:
        client = served.client()
        client.open("cid")
        answer = client.post(PATH, {**body, "conversation_id": "cid"})
        assert answer.status_code == status
        assert client.get("/api/conversations/1/").json()["messages"] == []
        assert [path for path in served.settings.attachments_path.rglob("*") if path.is_file()] == []


def test_a_broken_form_is_refused(client: Client) -> None:
    """No boundary, no end, too many files or fields, metadata that is no JSON."""
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for body, headers in [
        (b"", {"Content-Type": "multipart/form-data"}),
        (b"garbage", kind),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n', kind),
        (b"--x\r\n\r\nno name\r\n--x--\r\n", kind),
    ]:
        answer = client.request("POST", PATH, content=body, headers=headers)
        assert answer.status_code == 400, body
    many = [(f"attachment_{number}", ("a", b"x", "text/plain")) for number in range(12)]
    assert client.request("POST", PATH, files=many).status_code == 400
    fields = {f"f{number}": "x" for number in range(10_000)}
    assert client.request("POST", PATH, data=fields, files=many[:1]).status_code == 400
    bad = {"metadata": "{", "conversation_id": "c"}
    assert client.request("POST", PATH, data=bad, files=many[:1]).status_code == 400


HOSTILE_NAMES = [
    "../../etc/passwd", "/abs/olute", "..\\..\\windows", "a\x00b.txt", "x" * 300 + ".txt", "a\r\nX-Evil: 1",
    "\u202egnp.exe", "CON", "😀.txt", "", ".htaccess", "a\"b;c'.txt", "\ud800.txt", "..", "a/../..",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_file_name_is_only_ever_text(served: Served, name: str) -> None:
    """No name makes a path, a header or a file outside the folder; what is served is an attachment in every case."""
    client = served.client()
    escaped = {"attachments": [{"data": "aGVsbG8="}], "conversation_id": "cid"}
    import json

    escaped["attachments"][0]["filename"] = name  # type: ignore[index]
    answer = client.request("POST", PATH, content=json.dumps(escaped).encode())
    served_file = client.get(link_of(answer))
    assert served_file.content == b"hello"
    disposition = served_file.headers["content-disposition"]
    assert disposition.startswith("attachment; filename")
    shown = unquote(disposition.partition("''")[2]) or disposition.partition('"')[2].rstrip('"')
    assert shown
    assert not set(shown) & set("/\\\r\n\x00\u202e"), shown
    assert "x-evil" not in served_file.headers
    folder = served.settings.attachments_path
    kept = {path for path in served.settings.db_path.parent.rglob("*") if path.is_file()}
    digest = hashlib.sha256(b"hello").hexdigest()
    assert {path.name for path in kept if folder in path.parents} == {digest}


def test_a_served_file_cannot_act(client: Client) -> None:
    """Whatever its type, it is saved, not sniffed, without rights; a header hidden in the type does not get through."""
    html = b64(b"<script>alert(1)</script>", "x.html", "text/html\r\nX-Evil: 1")
    answer = client.get(link_of(standalone(client, html)))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "x-evil" not in answer.headers
    for name, value in {
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "private, no-store",
    }.items():
        assert answer.headers[name] == value


def test_a_part_of_a_file_can_be_asked_for(client: Client) -> None:
    """Range answers 206 with the part; HEAD the same headers without bytes; ten thousand ranges do no harm."""
    link = link_of(standalone(client, b64(b"0123456789")))
    part = client.request("GET", link, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert client.request("GET", link, headers={"Range": "bytes=50-"}).status_code == 416
    many = "bytes=" + ",".join("0-0" for _ in range(10_000))
    assert client.request("GET", link, headers={"Range": many}).status_code in {200, 206, 400, 416}
    head = client.request("HEAD", link)
    assert (head.status_code, head.headers["content-length"]) == (200, "10")


def test_a_link_needs_no_key_and_cannot_be_forged(served: Served) -> None:
    """The signature is the permission: any change, another secret or another salt is 404."""
    client, stranger = served.client(), served.stranger()
    link = link_of(standalone(client, b64()))
    assert stranger.get(link).content == b"hello"
    token = link.rstrip("/").rpartition("/")[2]
    other = LinkSigner("another secret", 3600).sign(1, 1)
    tampered = ("B" if token[0] != "B" else "C") + token[1:]
    for wrong in (tampered, token[:-1], token + "x", "x", "x" * 5000, other, "..%2f..%2fetc"):
        assert stranger.get(f"/api/files/{wrong}/").status_code == 404, wrong


def test_a_link_expires(tmp_path: Path) -> None:
    """After its lifetime it is 404, like a forged one."""
    with Served(tmp_path, link_lifetime_s=1) as served:
        signer = LinkSigner(load_secret(served.settings.secret_path), 1)
        link_of(standalone(served.client(), b64()))
        token = signer.sign(1, 1)
        stranger = served.stranger()
        assert stranger.get(f"/api/files/{token}/").status_code == 200
        from .support import until

        until(lambda: stranger.get(f"/api/files/{token}/").status_code == 404)


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Two that ask get the same; the file is 0600."""
    path = tmp_path / "a.db.secret"
    assert load_secret(path) == load_secret(path)
    assert len(load_secret(path)) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_uploaded_under_their_digest(client: Client) -> None:
    """200 the first and every other time; another content is refused, and so is what is no digest."""
    digest = hashlib.sha256(b"bytes").hexdigest()
    for _ in range(2):
        answer = client.request("PUT", f"/api/files/{digest}/", content=b"bytes")
        assert (answer.status_code, answer.json()) == (200, {"sha256": digest, "size_bytes": 5})
    assert client.request("PUT", f"/api/files/{digest}/", content=b"other").status_code == 400
    for name in ("x", digest.upper(), "..", "0" * 63):
        assert client.request("PUT", f"/api/files/{name}/", content=b"bytes").status_code in {400, 404}


def test_an_agent_keeps_no_more_than_its_quota(tmp_path: Path) -> None:
    """Beyond it contents are 413 on both routes and leave nothing; another agent and what is there are not touched."""
    with Served(tmp_path, agent_attachment_bytes=1000) as served:
        client, other = served.client(), served.client(agent="other")
        known, more = b"a" * 600, b"b" * 600
        paths = [f"/api/files/{hashlib.sha256(content).hexdigest()}/" for content in (known, more)]
        assert client.request("PUT", paths[0], content=known).status_code == 200
        assert client.request("PUT", paths[1], content=more).status_code == 413
        assert client.request("PUT", paths[0], content=known).status_code == 200
        sent = {"conversation_id": "c", "attachments": [{"filename": "a", "data": base64.b64encode(more).decode()}]}
        assert client.post("/api/attachments/", sent).status_code == 413
        assert other.request("PUT", paths[1], content=more).status_code == 200
        files = [path for path in (tmp_path / "attachments").rglob("*") if path.is_file()]
        assert sorted(path.stat().st_size for path in files) == [600, 600]


def test_a_link_appears_with_the_bytes(client: Client) -> None:
    """An event that refers to a file that has not arrived is stored; its file_url is null until then."""
    digest = hashlib.sha256(b"late").hexdigest()
    ref = {"sha256": digest, "size_bytes": 4, "filename": "late.txt", "mime_type": "text/plain"}
    event = {"kind": "attachments", "id": "0" * 31 + "1", "conversation_id": "c", "at_us": 1, "sender": "agent"}
    answer = client.post("/api/events/", {"events": [{**event, "attachments": [ref]}]})
    assert answer.json()["results"][0]["status"] == "stored"

    def link() -> str | None:
        return client.get("/api/conversations/1/").json()["messages"][0]["attachments"][0]["file_url"]  # type: ignore[no-any-return]

    assert link() is None
    client.request("PUT", f"/api/files/{digest}/", content=b"late")
    found = link()
    assert found is not None
    assert client.get(found).content == b"late"
