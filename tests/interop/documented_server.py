"""A server that takes exactly what the documentation of AgentSight 0.0.44 says, and refuses the rest with a reason.

No ``/api/me/``, no batch route, no compression, no field more or fewer than documented. What it took is in `items`, in
order; what it refused is in `refusals`. It shares no code with the library under test.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "ags_" + "fedcba9876543210" * 2 + "_012345"
NOT_FOUND_PAGE = b"<!doctype html><html><title>Not Found</title><h1>Not Found</h1></html>"


class Refusal(Exception):
    """A request that is not what the documentation says: status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _moment(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).utcoffset() is not None
    except (ValueError, AttributeError):
        return False


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _object_or_null(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _one_of(*choices: Any) -> Callable[[Any], bool]:
    return lambda value: value in choices


Fields = dict[str, Callable[[Any], bool]]

_sender = _one_of("end_user", "agent")
_conversation = {
    "timestamp": _moment, "conversation_id": _text, "customer_id": _text_or_null, "customer_ip_address": _text_or_null,
    "device": _text_or_null, "source": _text_or_null, "language": _text_or_null, "name": _text_or_null,
    "environment": _one_of("production", "development", "prod", "dev"), "metadata": _object_or_null,
    "is_used": _one_of(True, False),
}  # fmt: skip
_common: Fields = {
    "timestamp": _moment, "conversation_id": _text, "metadata": _object,
    "conversation": lambda value: value is None or _whole(value),
}  # fmt: skip
_timed: Fields = {
    "started_at": _moment, "ended_at": _moment, "duration_ms": _whole, "tools_used": _object,
    "response": lambda value: isinstance(value, str), "error_msg": lambda value: isinstance(value, str),
}  # fmt: skip
POSTS: dict[str, tuple[Fields, Fields]] = {
    "/api/conversations/": (_conversation, {}),
    "/api/track/": ({**_common, "content": _text, "sender": _sender}, {}),
    "/api/action_logs/": ({**_common, "action_name": _text}, _timed),
    "/api/buttons/": ({**_common, "button_event": _text, "label": _text, "value": _text}, {}),
    "/api/conversation-feedbacks/": (
        {"sentiment": _one_of("positive", "neutral", "negative")},
        {"conversation_id": _text, "conversation": _whole, "comment": _text, "metadata": _object},
    ),
}
"""Required and optional fields of each route that takes JSON."""
FORM: tuple[Fields, Fields] = (
    {
        "timestamp": _moment, "sender": _sender, "mode": _one_of("form_data"),
        "metadata": lambda value: _object_or_null(json.loads(value)), "conversation": str.isdigit,
    },
    {"message": str.isdigit},
)  # fmt: skip
"""Required and optional text parts of an upload."""
EDITS: dict[tuple[str, str], tuple[Fields, Fields]] = {
    ("PATCH", "rename"): ({"name": _text}, {}),
    ("POST", "mark"): ({"is_marked": _one_of(True, False)}, {}),
    ("PATCH", "update"): (
        {},
        {"name": _text, "is_marked": _one_of(True, False), "customer_id": _text, "device": _text, "language": _text,
         "metadata": _object},
    ),
    ("DELETE", "delete"): ({}, {}),
}  # fmt: skip


def check(told: Any, required: Fields, optional: Fields) -> None:
    """Refuse what has a field too many, too few, or of the wrong type."""
    if not isinstance(told, dict):
        raise Refusal(400, f"not an object: {told!r}")
    known = {**required, **optional}
    if unknown := set(told) - set(known):
        raise Refusal(400, f"undocumented fields: {sorted(unknown)}")
    if missing := set(required) - set(told):
        raise Refusal(400, f"missing fields: {sorted(missing)}")
    for name, value in told.items():
        if not known[name](value):
            raise Refusal(400, f"{name} cannot be {value!r}")


class DocumentedServer:
    """What the server has taken; conversations and messages have integer ids that no client could guess.

    The requests whose numbers are in `away_at` are answered with 503.
    """

    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.files: dict[str, tuple[str, bytes]] = {}
        self.refusals: list[tuple[str, int, str]] = []
        self.conversations: dict[str, int] = {}
        self.messages: dict[int, str] = {}
        self.away_at: set[int] = set()
        self._asked = 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, route: str) -> list[dict[str, Any]]:
        """What came to a route, in order."""
        return [item for where, item in self.items if where == route]

    def answer(self, request: _Handler) -> tuple[int, Any]:
        """Take or refuse one request."""
        with self._lock:
            try:
                return self._take(request)
            except Refusal as refusal:
                self.refusals.append((f"{request.command} {request.path}", refusal.status, str(refusal)))
                return refusal.status, {"detail": str(refusal)}

    def _take(self, request: _Handler) -> tuple[int, Any]:
        method, target = request.command, urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self._asked += 1
        if self._asked in self.away_at:
            self.away_at.remove(self._asked)
            return 503, {"detail": "back in a moment"}
        if request.headers.get_all("Authorization") != [f"Api-Key {KEY}"]:
            raise Refusal(401, "Authentication credentials were not provided.")
        if "Content-Encoding" in request.headers:
            raise Refusal(400, "no compression is documented")
        if method == "GET" and target.path == "/api/conversations/lookup/":
            return self._look_up(parse_qs(target.query, keep_blank_values=True))
        if target.query:
            raise Refusal(400, f"no query is documented: {target.query}")
        content_type = request.headers.get("Content-Type", "")
        if method == "POST" and target.path == "/api/attachments/":
            return 201, self._take_form(content_type, body)
        if method != "DELETE" and content_type != "application/json":
            known = (method == "POST" and target.path in POSTS) or target.path.startswith("/api/conversations/")
            if known:
                raise Refusal(400, f"the media type is {content_type!r}")
        if method == "POST" and target.path in POSTS:
            return 201, self._take_json(target.path, json.loads(body))
        return self._edit(method, target.path, body)

    def _look_up(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        if list(query) != ["conversation_id"]:
            raise Refusal(400, f"lookup takes conversation_id, not {sorted(query)}")
        (text_id,) = query["conversation_id"]
        return 200, {"id": self._number(text_id), "conversation_id": text_id}

    def _number(self, text_id: str) -> int:
        if text_id not in self.conversations:
            raise Refusal(404, "Not found.")
        return self.conversations[text_id]

    def _take_json(self, route: str, told: dict[str, Any]) -> dict[str, Any]:
        check(told, *POSTS[route])
        if route == "/api/conversations/":
            number = self.conversations.setdefault(told["conversation_id"], 70 + 7 * len(self.conversations))
            self.items.append((route, told))
            return {"id": number, "conversation_id": told["conversation_id"]}
        if route == "/api/conversation-feedbacks/" and ("conversation_id" in told) == ("conversation" in told):
            raise Refusal(400, "one of conversation and conversation_id says where it belongs")
        if told.get("conversation") not in {None, *self.conversations.values()}:
            raise Refusal(404, "Conversation not found.")
        if "conversation_id" in told:
            number = self._number(told["conversation_id"])
            if told.get("conversation") not in {None, number}:
                raise Refusal(400, "conversation and conversation_id are of two conversations")
        self.items.append((route, told))
        number = 5000 + 3 * len(self.items)
        if route == "/api/track/":
            self.messages[number] = told["content"]
        return {"id": number, **told}

    def _take_form(self, content_type: str, body: bytes) -> dict[str, Any]:
        if not content_type.startswith("multipart/form-data; boundary="):
            raise Refusal(400, f"the media type is {content_type!r}")
        form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        fields: dict[str, str] = {}
        files: list[str] = []
        for part in form.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            if part.get_filename() is None:
                fields[name] = content.decode()
            elif name != f"attachment_{len(files)}":
                raise Refusal(400, f"the file number {len(files)} is called {name}")
            else:
                files.append(str(part.get_filename()))
                self.files[files[-1]] = (part.get_content_type(), content)
        check(fields, *FORM)
        if not files:
            raise Refusal(400, "No attachments provided.")
        if int(fields["conversation"]) not in self.conversations.values():
            raise Refusal(404, "Conversation not found.")
        if "message" in fields and int(fields["message"]) not in self.messages:
            raise Refusal(404, f"Message {fields['message']} not found")
        told: dict[str, Any] = {**fields, "files": files}
        self.items.append(("/api/attachments/", told))
        return {"id": 5000 + 3 * len(self.items), "attachments": [{"filename": name} for name in files]}

    def _edit(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        number, _, verb = path.removeprefix("/api/conversations/").strip("/").partition("/")
        if (method, verb) not in EDITS or not path.endswith("/") or not number.isdigit():
            raise Refusal(404, "no such page")
        text_id = next((text for text, known in self.conversations.items() if known == int(number)), None)
        if text_id is None:
            raise Refusal(404, "Not found.")
        told = json.loads(body) if body else {}
        check(told, *EDITS[method, verb])
        self.items.append((verb, told))
        return 200, {"id": int(number), "conversation_id": text_id, **told, **(_DELETED if verb == "delete" else {})}


_DELETED = {"is_deleted": True, "deleted_at": "2026-01-02T03:04:05.000006Z"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: DocumentedServer

    def _answer(self) -> None:
        status, told = self.owner.answer(self)
        is_page = told == {"detail": "no such page"}
        content = NOT_FOUND_PAGE if is_page else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if is_page else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def documented_server() -> Iterator[DocumentedServer]:
    """Run the server for the length of a block."""
    server = DocumentedServer()
    try:
        yield server
    finally:
        server.close()
