"""What cannot be read is kept for people: copies of damaged stretches, and segments of a newer version.

In: stretches of bytes, or whole segments. Out: files in ``corrupt/`` and ``newer/``.
Loses: damaged copies beyond 64 MiB, the oldest first; segments of a newer version never.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentsight_auto.deliver.locks import OPEN_FLAGS

CORRUPT = "corrupt"
NEWER = "newer"
_CORRUPT_LIMIT_BYTES = 64 * 1024 * 1024


def keep_damaged(outbox: Path, segment: Path, stretches: Sequence[bytes]) -> None:
    """Copy damaged stretches of a segment; doing it twice changes nothing."""
    with contextlib.suppress(OSError):
        folder = _made(outbox / CORRUPT)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(segment.stat().st_mtime))
        target = folder / f"{_flat_name(segment)}.corrupt-{stamp}"
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | OPEN_FLAGS, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.writelines(stretches)
        prune_oldest(folder.iterdir(), _CORRUPT_LIMIT_BYTES)


def move_aside(outbox: Path, segment: Path, kind: str) -> bool:
    """Move a whole segment (or what stands in its place) to ``corrupt/`` or ``newer/``; False if that is refused."""
    suffix = f".corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}" if kind == CORRUPT else ""
    try:
        segment.replace(_made(outbox / kind) / f"{_flat_name(segment)}{suffix}")
    except OSError:
        return False
    return True


def count_set_aside(outbox: Path, kind: str) -> int:
    """Return how many files wait for people in ``corrupt/`` or ``newer/``."""
    with contextlib.suppress(OSError):
        return len(os.listdir(outbox / kind))  # noqa: PTH208 - only their number
    return 0


def prune_oldest(paths: Iterable[Path], limit_bytes: int) -> int:
    """Remove the oldest of these files until the rest has at most `limit_bytes`; return how many bytes went."""
    sizes = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.lstat()
            sizes[path] = (status.st_mtime_ns, path.name, status.st_size)
    excess_bytes = sum(size for _, _, size in sizes.values()) - limit_bytes
    removed_bytes = 0
    for path, (_, _, size) in sorted(sizes.items(), key=lambda item: item[1]):
        if removed_bytes >= excess_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            removed_bytes += size
    return removed_bytes


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _flat_name(segment: Path) -> str:
    return f"{segment.parent.name}-{segment.name}"
