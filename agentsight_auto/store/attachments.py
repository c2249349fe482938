"""The attachment folder: each content once, in a file named by its SHA-256.

In: bytes or a binary file object. Out: digest and size. Imports nothing heavy: capture writes here, too.
Loses: nothing; a write that fails leaves no file behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from agentsight_auto.exceptions import InvalidAttachmentException

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 25 * 1024 * 1024
"""The largest attachment that is kept."""

EMBEDDED_AGENT = "default"
"""The agent of programs that record without a server."""

_CHUNK_BYTES = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Incoming(NamedTuple):
    """Content that was received but not kept yet."""

    sha256: str
    size_bytes: int
    temporary: Path


class AttachmentFolder:
    """A folder of attachments: ``<first two hex digits>/<sha256>``, folders 0700, files 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of_agent(self, agent_id: int, agent_name: str) -> AttachmentFolder:
        """Return the folder with the contents that an agent has sent.

        One for each, as whoever knows the digest of another's content must not get it. The embedded store's agent has
        this folder itself, which programs without a server write to.
        """
        return self if agent_name == EMBEDDED_AGENT else AttachmentFolder(self._folder / f"agent-{agent_id}")

    def write(self, data: bytes | BinaryIO) -> tuple[str, int]:
        """Keep the content and return its SHA-256 (64 hex digits) and size in bytes.

        Raises:
            InvalidAttachmentException: more than 25 MB, or the object does not give bytes.
            OSError: the folder cannot be written to.
        """
        incoming = self.receive(data)
        self.keep(incoming)
        return incoming.sha256, incoming.size_bytes

    def receive(self, data: bytes | BinaryIO) -> Incoming:
        """Write the content to a temporary file, which `keep` or `discard` must follow.

        A file object is read from where it stands, in chunks.

        Raises:
            InvalidAttachmentException, OSError: as in `write`; nothing is left behind.
        """
        _make_folder(self._folder)
        descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=self._folder)  # mode 0600
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                digest, size_bytes = _copy(data, file)
        except BaseException:
            _remove(temporary)
            raise
        return Incoming(digest, size_bytes, temporary)

    def keep(self, incoming: Incoming) -> None:
        """Put what was received into its place; the same content twice is one file.

        Raises:
            OSError: the folder cannot be written to; nothing is left behind.
        """
        target = self.path(incoming.sha256)
        try:
            _make_folder(target.parent)
            incoming.temporary.replace(target)
        except BaseException:
            self.discard(incoming)
            raise

    def discard(self, incoming: Incoming) -> None:
        """Remove what was received."""
        _remove(incoming.temporary)

    def remove(self, digests: Iterable[str]) -> None:
        """Remove the contents of these digests, where they are."""
        for digest in digests:
            _remove(self.path(digest))

    def size_bytes(self) -> int:
        """Return the size of all contents in this folder; those of other agents beneath it do not count."""
        return sum(_size_bytes(path) for path in self._folder.glob("[0-9a-f][0-9a-f]/*"))

    def path(self, sha256: str) -> Path:
        """Return where the content of this digest lies, whether it exists or not.

        Raises:
            InvalidAttachmentException: not 64 lower-case hex digits.
        """
        if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
            raise InvalidAttachmentException(f"{sha256!r:.80} is not a SHA-256 of 64 lower-case hex digits.")
        return self._folder / sha256[:2] / sha256


def _size_bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _copy(data: bytes | BinaryIO, file: BinaryIO) -> tuple[str, int]:
    hasher = hashlib.sha256()
    size_bytes = 0
    for chunk in _chunks(data):
        size_bytes += len(chunk)
        if size_bytes > MAX_BYTES:
            raise InvalidAttachmentException(f"The attachment is larger than {MAX_BYTES // 1024 // 1024} MB.")
        hasher.update(chunk)
        file.write(chunk)
    return hasher.hexdigest(), size_bytes


def _chunks(data: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data)
        return
    read = getattr(data, "read", None)
    if not callable(read):
        raise InvalidAttachmentException(f"An attachment is bytes or a binary file object, not {type(data).__name__}.")
    while chunk := read(_CHUNK_BYTES):
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            raise InvalidAttachmentException("The attachment's file object gives text. Open it with mode 'rb'.")
        yield bytes(chunk)
