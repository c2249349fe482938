"""A conversation that lasts as long as a response's body, current only while the application's own code runs.

In: a begun frame, and the iterable of a body. Out: the same parts. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from ...capture.entry import ConversationFrame
from ...capture.frames import Resumption


class RequestConversation:
    """The conversation of one request: ``with`` it around each stretch of the application's code, `end` it once."""

    __slots__ = ("_frame", "_is_ended", "_resumption", "error")

    def __init__(self, frame: ConversationFrame) -> None:
        self._frame = frame
        self._resumption = Resumption(frame)
        self._is_ended = False
        self.error: BaseException | None = None
        """The outcome, where nothing worse comes: what the application made a response of."""
        with self._resumption:
            frame.begin()

    def __enter__(self) -> None:
        """Make the conversation current."""
        self._resumption.__enter__()

    def __exit__(self, *_: object) -> None:
        """Win back what was current before."""
        self._resumption.__exit__()

    def end(self, error: BaseException | None = None) -> None:
        """End the conversation, whoever calls this first."""
        if not self._is_ended:
            self._is_ended = True
            self._frame.finish(None, error or self.error)

    async def end_async(self, error: BaseException | None = None) -> None:
        """End the conversation without holding up the event loop."""
        if not self._is_ended:
            self._is_ended = True
            await self._frame.finish_async(error or self.error)


class Body:
    """The body of a response: ends the conversation when it is exhausted, fails, or is closed."""

    def __init__(self, parts: Any, opened: RequestConversation) -> None:
        self._parts = parts
        self._opened = opened
        with opened:
            self._iterator: Iterator[Any] = iter(parts)

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> Any:
        try:
            with self._opened:
                return next(self._iterator)
        except StopIteration:
            self._opened.end()
            raise
        except BaseException as error:
            self._opened.end(error)
            raise

    def close(self) -> None:
        """Close what the application returned, within its conversation, and end that."""
        try:
            close = getattr(self._parts, "close", None)
            if close is not None:
                with self._opened:
                    close()
        finally:
            self._opened.end()

    def __del__(self) -> None:
        self._opened.end()  # a server that neither exhausts nor closes a body


class SizedBody(Body):
    """A body whose number of parts is known: servers take the Content-Length of one part from it."""

    def __len__(self) -> int:
        return len(self._parts)


class AsyncBody:
    """The body of an asynchronous response."""

    def __init__(self, parts: Any, opened: RequestConversation) -> None:
        self._opened = opened
        with opened:
            self._iterator: AsyncIterator[Any] = aiter(parts)

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> Any:
        try:
            with self._opened:
                return await anext(self._iterator)
        except StopAsyncIteration:
            await self._opened.end_async()
            raise
        except BaseException as error:
            self._opened.end(error)
            raise

    def close(self) -> None:
        """End the conversation: the client has left, or the response is done."""
        self._opened.end()

    def __del__(self) -> None:
        self._opened.end()
