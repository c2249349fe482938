"""What a server has lately said about what was sent: a bounded memory, for results and for linking.

In: keys and values. Out: the value, while it is among the latest. Loses: the longest unused beyond the bound.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LARGEST_REPLY_CHARACTERS = 4096


class Recent(Generic[K, V]):
    """A mapping that keeps its `most` latest used entries; used by several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, if it is still known."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember a value."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def forget(self, key: K) -> None:
        """Forget a value, if it is known."""
        with self._lock:
            self._entries.pop(key, None)


class Replies:
    """What the server answered for conversations (by text id) and for events (by event id)."""

    def __init__(self) -> None:
        self.conversations: Recent[str, dict[str, Any]] = Recent(10_000)
        self.events: Recent[str, dict[str, Any]] = Recent(1_000)

    def conversation_pk(self, conversation_id: str) -> int | None:
        """Return the integer id of a conversation, if the server has told it."""
        return integer(self.conversations.get(conversation_id), "id")

    def put(self, memory: Recent[str, dict[str, Any]], key: str, reply: Any) -> None:
        """Remember a reply; of a large one only the ids."""
        if isinstance(reply, dict):
            is_small = len(repr(reply)) <= _LARGEST_REPLY_CHARACTERS
            memory.put(key, reply if is_small else {k: reply[k] for k in ("id", "conversation") if k in reply})


def integer(reply: Any, name: str) -> int | None:
    """Return an integer field of a reply; None for anything else."""
    value = reply.get(name) if isinstance(reply, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
