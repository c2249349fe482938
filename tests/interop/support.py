"""The published client in an environment of its own, and readers of what it has left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto._clock import Clock
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.keys import create_key
from tests.server.support import ServeProcess

HERE = Path(__file__).parent
PUBLISHED = "agentsight==0.0.44"
REQUIRED = "REQUIRE_PUBLISHED_CLIENT"
"""With this variable set, as in CI, a client that cannot be installed is a failure."""

CONVERSATION_FIELDS = (
    "id", "conversation_id", "name", "customer_id", "customer_ip_address", "device", "source", "language",
    "environment", "is_marked", "is_deleted", "is_used", "started_at", "ended_at", "deleted_at", "metadata",
    "geo_location",
)  # fmt: skip
MESSAGE_FIELDS = ("id", "timestamp", "sender", "content", "action_name", "metadata", "button")
ACTION_FIELDS = ("id", "started_at", "ended_at", "duration_ms", "tools_used", "response", "error_message", "metadata")
ATTACHMENT_FIELDS = ("id", "type", "filename", "mime_type", "size_bytes")
FEEDBACK_FIELDS = ("id", "sentiment", "source", "comment", "metadata", "created_at")


def install_published_client(folder: Path, package: str = PUBLISHED) -> Path:
    """Return Python of an environment with the published client; made once, and used by all test processes."""
    home = folder / package.replace("==", "-")
    python = home / "bin" / "python"
    if python.exists():
        return python
    if python.is_symlink() and not python.exists():
        shutil.rmtree(home, ignore_errors=True)  # of a Python that is gone
    making = Path(tempfile.mkdtemp(dir=folder))
    commands = (
        [sys.executable, "-m", "venv", str(making)],
        [str(making / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
    )
    for command in commands:
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=100)
        if done.returncode:
            shutil.rmtree(making, ignore_errors=True)
            reason = f"{package} cannot be installed: {(done.stderr or done.stdout).strip()[-300:]}"
            if os.environ.get(REQUIRED):
                pytest.fail(reason)
            pytest.skip(reason)
    try:
        making.rename(home)
    except OSError:
        shutil.rmtree(making)  # another test process was faster
    return python


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment without the machine's settings, and with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTSIGHT_")}
    return {**kept, "NO_PROXY": "127.0.0.1", **variables}


class PublishedClient:
    """Runs scenarios of ``drive_published.py``, or of another script, each in a process of its own."""

    def __init__(self, python: Path, address: str, key: str, script: str = "drive_published.py") -> None:
        self._python = python
        self._script = script
        self.address = address
        self.key = key

    def with_key(self, key: str) -> PublishedClient:
        """Return the same client with another key."""
        return PublishedClient(self._python, self.address, key, self._script)

    def at(self, address: str) -> PublishedClient:
        """Return the same client with another endpoint."""
        return PublishedClient(self._python, address, self.key, self._script)

    def run(self, scenario: str, **arguments: Any) -> Any:
        """Return what the scenario says."""
        done = subprocess.run(
            [str(self._python), str(HERE / self._script), scenario, json.dumps(arguments)],
            env=clean_environment(AGENTSIGHT_API_KEY=self.key, AGENTSIGHT_API_ENDPOINT=self.address),
            cwd=self._python.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Tenant:
    """One agent of the server: its keys, and what it has, over HTTP from a fresh process and from the file."""

    def __init__(self, server: ServeProcess, name: str) -> None:
        self.address = server.address
        self.db = Path(server.told["db"])
        self.name = name

    def key(self, role: str = "write") -> str:
        """Make a key."""
        database = Database.open(self.db)
        try:
            return create_key(database, agent=self.name, role=role, at_us=Clock().now_us())
        finally:
            database.close()

    def key_of_command_line(self, role: str) -> str:
        """Make a key as one does on the command line."""
        told = self._keys("create", "--agent", self.name, "--role", role)
        assert (told["agent"], told["role"]) == (self.name, role)
        return str(told["api_key"])

    def revoke(self, key: str) -> None:
        """Revoke a key by the end of it, which the list shows."""
        assert self._keys("revoke", key[-6:])["revoked"]["revoked_at"]

    def _keys(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "agentsight_auto", "keys", *arguments, "--db", str(self.db), "--json"]
        done = subprocess.run(
            command, env=clean_environment(), cwd=self.db.parent, capture_output=True, text=True, timeout=30, check=True
        )
        return json.loads(done.stdout)

    def stored(self, conversation_id: str) -> dict[str, Any]:
        """Return a conversation from the database file."""
        return self._embedded(lambda backend: backend.fetch_conversation(conversation_id))

    def stored_attachments(self, conversation_id: str) -> dict[str, Any]:
        """Return a conversation's attachments from the database file."""
        return self._embedded(lambda backend: backend.fetch_conversation_attachments(conversation_id))

    def stored_ids(self, **filters: Any) -> list[str]:
        """Return the text ids of the conversations in the database file, newest first."""
        page = self._embedded(lambda backend: backend.fetch_conversations(page_size=100, filters=filters))
        return [row["conversation_id"] for row in page["results"]]

    def totals(self) -> dict[str, int]:
        """Return the sums of the token usage in the database file."""
        return self._embedded(lambda backend: backend.stats({"include_development": True}))["tokens"]

    def _embedded(self, ask: Any) -> Any:
        database = Database.open(self.db)
        try:
            return ask(EmbeddedBackend(database, AttachmentFolder(self.db.parent / "attachments"), agent=self.name))
        finally:
            database.close()

    def fetched(self, key: str, home: Path, *conversation_ids: str) -> list[dict[str, Any]]:
        """Return conversations that this library reads over HTTP in a fresh process, attachments beside them."""
        done = subprocess.run(
            [sys.executable, "-W", "error", str(HERE / "read_back.py"), *conversation_ids],
            env=clean_environment(
                AGENTSIGHT_API_KEY=key, AGENTSIGHT_API_ENDPOINT=self.address, AGENTSIGHT_HOME=str(home)
            ),
            cwd=HERE.parent.parent, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def documented(conversation: dict[str, Any]) -> dict[str, Any]:
    """Return the documented part of a conversation, without the URLs of files, which differ by reader."""
    return {
        **_only(conversation, CONVERSATION_FIELDS),
        "messages": [
            {
                **_only(message, MESSAGE_FIELDS),
                "attachments": [_only(attachment, ATTACHMENT_FIELDS) for attachment in message["attachments"]],
                "action_logs": [_only(log, ACTION_FIELDS) for log in message["action_logs"]],
            }
            for message in conversation["messages"]
        ],
        "feedbacks": [_only(feedback, FEEDBACK_FIELDS) for feedback in conversation["feedbacks"]],
    }


def _only(shape: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: shape[name] for name in fields}
