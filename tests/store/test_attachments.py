"""The attachment folder: each content once, privately, and never half."""

from __future__ import annotations

import hashlib
import io
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsight_auto.exceptions import InvalidAttachmentException
from agentsight_auto.store.attachments import MAX_BYTES, AttachmentFolder


@pytest.fixture
def folder(tmp_path: Path) -> AttachmentFolder:
    """An attachment folder that does not exist yet."""
    return AttachmentFolder(tmp_path / "home" / "attachments")


def files(tmp_path: Path) -> list[Path]:
    """Return every file below the home, temporary ones too."""
    return [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=5000))
def test_any_content_comes_back_under_its_digest(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Bytes and a file object with the same content are one file with that content, named by its SHA-256."""
    folder = AttachmentFolder(tmp_path_factory.mktemp("attachments"))
    expected = (hashlib.sha256(content).hexdigest(), len(content))
    assert folder.write(content) == folder.write(io.BytesIO(content)) == expected
    assert folder.path(expected[0]).read_bytes() == content


def test_the_same_content_is_one_file(folder: AttachmentFolder, tmp_path: Path) -> None:
    """Written three times, there is one file, and no temporary one beside it."""
    digests = {folder.write(b"content")[0] for _ in range(3)}
    assert files(tmp_path) == [folder.path(digest) for digest in digests]
    (digest,) = digests
    assert folder.path(digest) == tmp_path / "home" / "attachments" / digest[:2] / digest


def test_folders_and_files_are_private(folder: AttachmentFolder, tmp_path: Path) -> None:
    """Folders are 0700 and files 0600."""
    folder.write(b"secret")
    modes = {(path.is_file(), stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "home").rglob("*")}
    assert modes == {(True, 0o600), (False, 0o700)}


class Endless(io.RawIOBase):
    """A file that never ends, and counts what was read of it."""

    taken = 0

    def read(self, size: int = -1, /) -> bytes:
        assert 0 < size <= 1024 * 1024, "must be read in chunks"
        self.taken += size
        return b"x" * size


def test_a_file_over_the_limit_leaves_nothing(folder: AttachmentFolder, tmp_path: Path) -> None:
    """An endless file is read to just over 25 MB, refused, and leaves no file behind."""
    endless = Endless()
    with pytest.raises(InvalidAttachmentException, match="25 MB"):
        folder.write(endless)  # type: ignore[arg-type]
    assert endless.taken <= MAX_BYTES + 1024 * 1024
    assert files(tmp_path) == []


def test_the_limit_itself_is_allowed(folder: AttachmentFolder, tmp_path: Path) -> None:
    """Exactly 25 MB are kept, one byte more is not, and the refusal leaves no file."""
    content = bytes(MAX_BYTES)
    assert folder.write(content)[1] == MAX_BYTES
    with pytest.raises(InvalidAttachmentException):
        folder.write(content + b"x")
    assert len(files(tmp_path)) == 1


def test_a_file_that_fails_half_way_leaves_nothing(folder: AttachmentFolder, tmp_path: Path) -> None:
    """The user's own error passes through unchanged and no half file remains."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        folder.write(Failing())
    assert files(tmp_path) == []


@pytest.mark.parametrize("data", [io.StringIO("text"), "text", None, 5])
def test_what_gives_no_bytes_is_refused(folder: AttachmentFolder, tmp_path: Path, data: object) -> None:
    """Text and other objects are refused with the documented error."""
    with pytest.raises(InvalidAttachmentException):
        folder.write(data)  # type: ignore[arg-type]
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 32, "a" * 63, "a" * 65, "a" * 64 + "\n", "é" * 64])
def test_only_digests_have_a_path(folder: AttachmentFolder, name: str) -> None:
    """Anything but 64 lower-case hex digits is refused, so that no name leads out of the folder."""
    with pytest.raises(InvalidAttachmentException):
        folder.path(name)


def test_importing_it_is_light() -> None:
    """Capture imports this module, so it brings in neither SQLAlchemy nor the driver."""
    code = (
        "import sys; import agentsight_auto.store.attachments as a; "
        "sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'sqlite3', 'maxminddb')))"
    )
    package = Path(sys.modules[AttachmentFolder.__module__].__file__ or "").parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=package, timeout=30, check=False).returncode == 0
