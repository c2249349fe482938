"""One entry of a `conversation()` block: what happens when it is entered and left.

In: entering and leaving. Out: `ConversationStarted` and `ConversationEnded` events; what was recorded in between is in
the outbox when the block has been left. Loses: nothing.
"""

from __future__ import annotations

import asyncio

from .. import events
from .._guard import failed, guarded
from ..snapshot import describe_error
from . import arguments
from .frames import Frame


class ConversationFrame(Frame, kw_only=True):
    """One entry of a block: opens the conversation, and makes its events safe when it is left."""

    known: arguments.ConversationFields
    wait_s: float | None

    @property
    def frame(self) -> Frame:
        """The frame of the block: itself."""
        return self

    def begin(self) -> None:
        """Become current and record what is known of the conversation; never raises."""
        try:
            scope = self.conversation
            scope.is_open = True
            scope.runtime.current.set(self)
            if scope.is_recording:
                settings = scope.runtime.loaded_settings or scope.runtime.settings
                scope.record_start(arguments.conversation_fields(self.known, settings, strict=False))
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationFrame.begin", failure)

    def finish(self, result: object, error: BaseException | None) -> None:
        """Record how the block was left, make its events safe, and win back what was current before; never raises."""
        try:
            del result
            self.end(error)
            self.settle()
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationFrame.finish", failure)

    def end(self, error: BaseException | None) -> None:
        """Record how the block was left and win back what was current before; never raises."""
        try:
            scope = self.conversation
            runtime = scope.runtime
            if runtime.current.get() is self:
                runtime.current.set(self.outer)
            else:
                self.leave()
            # A child process that leaves a block it inherited must not end the parent's conversation.
            if scope.is_open and scope.is_recording and scope.generation == runtime.generation:
                ended_by = None if error is None or isinstance(error, GeneratorExit) else describe_error(error)
                event_id, conversation_id, at_us = scope.stamp()
                scope.record(events.ConversationEnded(event_id, conversation_id, at_us, ended_by))
            scope.is_open = False
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationFrame.end", failure)

    def settle(self) -> None:
        """Make everything recorded so far safe; wait for its delivery only if `wait_s` asks for it. Never raises."""
        try:
            scope = self.conversation
            if scope.is_recording:
                scope.runtime.pipeline.commit()
                if self.wait_s is not None and self.wait_s > 0:
                    scope.runtime.flush(self.wait_s)
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationFrame.settle", failure)

    async def finish_async(self, error: BaseException | None) -> None:
        """Do what `finish` does; what waits for the disk or for delivery waits in a thread."""
        try:
            self.end(error)
            if self._blocks_the_loop() and runs_in_asyncio():
                await asyncio.shield(asyncio.to_thread(self.settle))
            else:
                self.settle()
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationFrame.finish_async", failure)

    @guarded
    def _blocks_the_loop(self) -> bool:
        return bool(self.wait_s) or self.conversation.runtime.settings.durability == "disk"

    @guarded
    def add_item(self, item: object) -> None:
        """Ignore what a decorated generator yields."""

    @guarded
    def close_early(self) -> None:
        """End a decorated generator whose consumer stopped."""
        self.finish(None, None)


def runs_in_asyncio() -> bool:
    """Return whether an event loop of asyncio is running here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
