"""The scope of a conversation: where its events enter, with the documented ``track_*`` methods.

In: calls of the user's program. Out: events, handed to the runtime one by one.
Loses: nothing; a failure inside is counted by `_guard` and never reaches the caller.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import events
from .._guard import documented, failed, shown
from .._lines import line_of
from ..enums import AttachmentMode, Sender
from ..exceptions import (
    InvalidAnswerDataException,
    InvalidConversationDataException,
    InvalidQuestionDataException,
)
from . import arguments
from .unsent import TokenTotals, Unsent, total_tokens

if TYPE_CHECKING:
    from .._runtime import Runtime
    from .frames import Frame

_keys = itertools.count(1)
_SENDERS = frozenset(sender.value for sender in Sender)


class ConversationScope:
    """One stretch of one conversation: a `conversation()` block, or a binding of a thread or task.

    `conversation_id` is its id. Events recorded through the scope belong to this conversation wherever the call is
    made, in another thread or after the block too.
    """

    __slots__ = (
        "conversation_id",
        "customer_id",
        "frame",
        "generation",
        "is_binding",
        "is_held",
        "is_open",
        "is_recording",
        "key",
        "runtime",
        "takes_small_calls",
        "unsent",
        "used_at_us",
    )

    def __init__(
        self,
        runtime: Runtime,
        conversation_id: str,
        *,
        is_recording: bool = True,
        is_binding: bool = False,
        is_held: bool = False,
    ) -> None:
        self.runtime = runtime
        self.conversation_id = conversation_id
        self.customer_id: str | None = None
        self.frame: Frame | None = None
        self.is_binding = is_binding
        self.is_held = is_held
        self.is_open = False
        self.is_recording = is_recording
        self.takes_small_calls = is_recording and not is_binding
        self.key = str(next(_keys)) if is_held else ""
        self.generation = runtime.generation
        self.used_at_us = 0
        self.unsent = Unsent(runtime.generation)

    def __repr__(self) -> str:
        """Show the id and the state, nothing of the content."""
        state = "open" if self.is_open else "binding" if self.is_binding else "closed"
        return f"<conversation {self.conversation_id!r} {state}>"

    # -- recording ---------------------------------------------------------------------------------------------------

    def record(self, event: events.AnyEvent) -> None:
        """Take one event of this conversation; the bounded, safe values are the caller's duty. Never raises."""
        if self.is_recording:
            try:
                self.used_at_us = event.at_us
                runtime = self.runtime
                if runtime.processing is not None:
                    processed = runtime.processing.apply(event)
                    if processed is None:
                        return
                    event = processed
                line = line_of(event)
                runtime.take_in(line, len(line), self)
            except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
                failed("ConversationScope.record", failure)

    def stamp(self) -> tuple[str, str, int]:
        """Return event id, conversation id and capture time (µs) of an event made now."""
        runtime = self.runtime
        clock, ids = runtime.clock, runtime.ids
        now_ns = clock.monotonic_ns()
        if now_ns >= ids.until_ns:
            ids.tick(now_ns, clock.offset_ns)
        return f"{ids.head}{ids.number():08x}", self.conversation_id, (now_ns + clock.offset_ns) // 1000

    def record_start(self, known: Mapping[str, Any]) -> None:
        """Record what is known of the conversation."""
        self.customer_id = known.get("customer_id") or self.customer_id
        self.record(events.ConversationStarted(*self.stamp(), **known))

    # -- the documented calls ----------------------------------------------------------------------------------------

    @documented
    def track_human_message(
        self,
        message: str,
        attachments: Sequence[Mapping[str, Any]] | None = None,
        attachment_mode: str | AttachmentMode = AttachmentMode.BASE64,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the customer said.

        Raises:
            InvalidQuestionDataException: blank or not text.
            InvalidAttachmentException, InvalidQueryException, InvalidConversationDataException: as in
                `track_attachments`.
        """
        self._track_message("end_user", message, attachments, attachment_mode, metadata)

    @documented
    def track_agent_message(
        self,
        message: str,
        attachments: Sequence[Mapping[str, Any]] | None = None,
        attachment_mode: str | AttachmentMode = AttachmentMode.BASE64,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the agent said.

        Raises:
            InvalidAnswerDataException: blank or not text.
            InvalidAttachmentException, InvalidQueryException, InvalidConversationDataException: as in
                `track_attachments`.
        """
        self._track_message("agent", message, attachments, attachment_mode, metadata)

    def track_question(self, question: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Record what the customer said: the older name of `track_human_message`."""
        self.track_human_message(question, metadata=metadata)

    def track_answer(self, answer: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Record what the agent said: the older name of `track_agent_message`."""
        self.track_agent_message(answer, metadata=metadata)

    @documented
    def track_action(
        self,
        action_name: str,
        started_at: Any = None,
        ended_at: Any = None,
        duration_ms: float | None = None,
        tools_used: Any = None,
        response: Any = None,
        error_msg: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a finished piece of work.

        Times are datetimes or ISO 8601 text, the duration milliseconds; a missing one follows from the others.

        Raises:
            InvalidConversationDataException: a blank name, a time that cannot be read, metadata that is no dict.
        """
        settings = self.runtime.settings
        name = arguments.checked_text(action_name, "action name", InvalidConversationDataException, 1024)
        stamp = self.stamp()
        times = arguments.action_times(started_at, ended_at, duration_ms, stamp[2])
        self.record(
            events.Action(
                *stamp,
                name,
                **times,
                tools_used=None if tools_used is None else arguments.json_value(tools_used, settings),
                response=None if response is None else arguments.json_value(response, settings),
                error_msg=None if error_msg is None else str(arguments.json_value(error_msg, settings)),
                metadata=arguments.checked_metadata(metadata, settings),
                parent_id=self.current_action_id(),
            )
        )

    @documented
    def track_button(
        self, button_event: str, label: str, value: str, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Record a choice that was offered and pressed.

        Raises:
            InvalidConversationDataException: a blank text, or metadata that is no dict.
        """
        settings = self.runtime.settings
        event, shown, chosen = (
            arguments.checked_text(text, f"button {what}", InvalidConversationDataException, settings.max_value_bytes)
            for what, text in (("event", button_event), ("label", label), ("value", value))
        )
        self.record(events.Button(*self.stamp(), event, shown, chosen, arguments.checked_metadata(metadata, settings)))

    @documented
    def track_attachments(
        self,
        attachments: Sequence[Mapping[str, Any]],
        sender: str | Sender | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: str | AttachmentMode = AttachmentMode.BASE64,
    ) -> None:
        """Record attachments that come without a message.

        Mode ``base64``: ``{"filename", "mime_type", "data": base64 text}``; mode ``form_data``: ``{"filename",
        "data": bytes or file object}``. A missing MIME type is guessed. At most 25 MB each, 10 and 40 MB a call.

        Raises:
            InvalidAttachmentException: none, too many, without data, not base64, or too large.
            InvalidQueryException: an unknown mode.
            InvalidConversationDataException: an unknown sender, or metadata that is no dict.
        """
        who = "end_user" if sender is None else str(getattr(sender, "value", sender))
        if who not in _SENDERS:
            raise InvalidConversationDataException(f"The sender {shown(who)} is unknown: use {sorted(_SENDERS)}.")
        kept = arguments.checked_metadata(metadata, self.runtime.settings)
        refs = self._store_attachments(attachments, mode)
        self.record(events.Attachments(*self.stamp(), who, refs, kept))

    @documented
    def track_token_usage(
        self,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        total_tokens: int = 0,
        embedding_tokens: int = 0,
    ) -> None:
        """Add to the conversation's token usage; a total left at 0 is prompt + completion.

        Raises:
            InvalidConversationDataException: not a whole number of at least 0.
        """
        prompt, completion, total, embedding = arguments.token_counts(
            prompt_tokens, completion_tokens, total_tokens, embedding_tokens
        )
        event_id, conversation_id, at_us = self.stamp()
        self.record(events.TokenUsage(event_id, conversation_id, at_us, prompt, completion, total, embedding))

    def get_token_usage(self) -> TokenTotals:
        """Return the tokens recorded since the last send: prompt, completion, total and embedding tokens."""
        return total_tokens(self._unsent_here().usages())

    def send_tracked_data(self, timeout_s: float = 15.0) -> dict[str, Any]:
        """Deliver what this scope has recorded since the last send, and wait at most `timeout_s` seconds for it.

        Returns ``{"items": [...], "summary": {...}}``; an item that was not answered in time is kept and delivered
        later, and says so.

        Raises:
            NoDataToSendException: nothing was recorded since the last send.
        """
        from .sending import send  # noqa: PLC0415 - only who sends by hand

        return send(self.runtime, self, self._unsent_here(), timeout_s)

    def get_tracked_data_summary(self) -> dict[str, Any]:
        """Return what was recorded since the last send: ``{"items", "summary", "conversation_id"}``."""
        from .sending import summarize  # noqa: PLC0415 - only who sends by hand

        return summarize(self._unsent_here().peek(), self.conversation_id)

    # -- how it ends -------------------------------------------------------------------------------------------------

    @documented
    def resolve(self, note: str | None = None) -> None:
        """Record that the conversation has reached its purpose; a later message of the customer reopens it.

        It is the action `resolve_conversation`, with the note in its metadata.

        Raises:
            InvalidConversationDataException: the note is not text.
        """
        self._end(events.RESOLVED_BY, note)

    @documented
    def escalate(self, reason: str | None = None) -> None:
        """Record that the conversation is handed over to a human; a later message of the customer reopens it.

        It is the documented action `fallback_to_human`, with the reason in its metadata.

        Raises:
            InvalidConversationDataException: the reason is not text.
        """
        self._end(events.ESCALATED_BY, reason)

    def _end(self, action_name: str, note: str | None) -> None:
        if note is not None and not isinstance(note, str):
            raise InvalidConversationDataException(f"The reason {shown(note)} is not text.")
        metadata = events.lifecycle_metadata(action_name, note)
        self.track_action(action_name, duration_ms=0, metadata=metadata)

    # -- within ------------------------------------------------------------------------------------------------------

    def current_action_id(self) -> str | None:
        """Return the event id of the action that is current here, if it belongs to this conversation."""
        frame = self.runtime.current.get()
        if frame is None or frame.conversation.conversation_id != self.conversation_id:
            return None
        return frame.id_of_action()

    def _unsent_here(self) -> Unsent:
        """Return what waits to be sent; in a forked child only its own, as the parent sends the others."""
        if self.unsent.generation != self.runtime.generation:
            self.unsent.start_afresh(self.runtime.generation)
        return self.unsent

    def _track_message(self, sender: str, message: str, attachments: Any, mode: Any, metadata: Any) -> None:
        settings = self.runtime.loaded_settings or self.runtime.settings
        error = InvalidQuestionDataException if sender == "end_user" else InvalidAnswerDataException
        content = arguments.checked_text(message, "message", error, settings.max_text_bytes)
        kept = None if metadata is None else arguments.checked_metadata(metadata, settings)
        refs = self._store_attachments(attachments, mode) if attachments else []
        event_id, conversation_id, at_us = self.stamp()
        self.record(events.Message(event_id, conversation_id, at_us, sender, content, kept, refs))

    def _store_attachments(self, attachments: Any, mode: Any) -> list[events.AttachmentRef]:
        from .files import attachment_mode, store_attachments  # noqa: PLC0415 - few have attachments

        read = attachment_mode(mode)
        if not self.is_recording:
            return []
        return store_attachments(attachments, read, self.runtime.attachments())
