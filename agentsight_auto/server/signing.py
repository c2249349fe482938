"""Links to attachments that expire: the token says which one, and a secret of this store signs it.

In: an agent's id and an attachment's id. Out: a token, and back. Loses: nothing.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer

_SALT = "agentsight-auto.files"
_LONGEST_TOKEN = 300


class LinkSigner:
    """Sign and read tokens; `lifetime_s` is how long they are good for."""

    def __init__(self, secret: str, lifetime_s: int) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt=_SALT)
        self._lifetime_s = lifetime_s

    def sign(self, agent_id: int, attachment_id: int) -> str:
        """Return a token for one attachment of one agent."""
        return self._serializer.dumps([agent_id, attachment_id])

    def read(self, token: str) -> tuple[int, int] | None:
        """Return agent and attachment; None for a token that is forged or too old."""
        if len(token) > _LONGEST_TOKEN:
            return None
        try:
            agent_id, attachment_id = self._serializer.loads(token, max_age=self._lifetime_s)
        except (BadData, ValueError, TypeError):
            return None
        return agent_id, attachment_id


def load_secret(path: Path) -> str:
    """Return the secret in this file (0600); it is made where it is missing, once, however many processes ask.

    Raises:
        OSError: the file can neither be read nor written.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            with suppress(FileExistsError):  # another process was faster: its secret is the one
                os.link(temporary, path)
        finally:
            temporary.unlink()
    return path.read_text().strip()
