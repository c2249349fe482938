"""`ConversationTracker`: the documented tracking client, thin over the current conversation's scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import _runtime
from ._guard import documented
from .capture import arguments
from .capture.current import bind, frame_for_recording, live_frame
from .capture.scope import ConversationScope
from .capture.unsent import TokenTotals
from .enums import AttachmentMode, Sender


class ConversationTracker:
    """Record into the conversation that is current in this thread or task.

    Without arguments it shares the settings of the whole library; with arguments it has its own, and its own current
    conversation, beside it.

    Outside a `conversation()` block what is recorded is on disk at once and waits for `send_tracked_data()`; the end
    of the process and 30 idle minutes send it too.

    Raises:
        ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: an argument that cannot be
            used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        conversation_id: object = None,
        endpoint: str | None = None,
        log_level: str | None = None,
        **settings: Any,
    ) -> None:
        usable_id = None if conversation_id is None else arguments.checked_conversation_id(conversation_id)
        given = {"api_key": api_key, "endpoint": endpoint, "log_level": log_level, **settings}
        given["conversation_id"] = usable_id
        has_own = any(value is not None for value in given.values())
        self._own_runtime = _runtime.Runtime(**given) if has_own else None

    @property
    def _runtime(self) -> _runtime.Runtime:
        return self._own_runtime or _runtime.default()

    def _scope(self) -> ConversationScope:
        return frame_for_recording(self._runtime, hold=True).conversation

    @documented
    def configure(
        self,
        api_key: str | None = None,
        conversation_id: object = None,
        endpoint: str | None = None,
        log_level: str | None = None,
        **settings: Any,
    ) -> None:
        """Change settings at run time; `conversation_id` switches the conversation of this thread or task.

        Raises:
            ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: nothing is changed.
            MissingConversationIdException: a blank id.
        """
        usable_id = None if conversation_id is None else arguments.checked_conversation_id(conversation_id)
        self._runtime.configure(api_key=api_key, endpoint=endpoint, log_level=log_level, **settings)
        if usable_id is not None:
            bind(self._runtime, usable_id, None)

    @documented
    def get_or_create_conversation(
        self,
        conversation_id: object,
        customer_id: object = None,
        customer_ip_address: str | None = None,
        device: str | None = None,
        source: str | None = None,
        language: str | None = None,
        name: str | None = None,
        environment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a conversation current for the rest of this thread or task, and record what is known of it.

        What is known of the conversation already is not overridden. A binding made in a child task or thread is not
        seen by its caller.

        Raises:
            MissingConversationIdException: no id, or a blank one.
            InvalidConversationDataException: too long an id, an unknown environment, metadata that is no dict.
        """
        usable_id = arguments.checked_conversation_id(conversation_id)
        given: arguments.ConversationFields = {
            "customer_id": customer_id,
            "customer_ip_address": customer_ip_address,
            "device": device,
            "source": source,
            "language": language,
            "name": name,
            "environment": environment,
            "metadata": metadata,
        }
        bind(self._runtime, usable_id, arguments.conversation_fields(given, self._runtime.settings, strict=True))

    @documented
    def initialize_conversation(
        self,
        conversation_id: object,
        customer_id: object = None,
        customer_ip_address: str | None = None,
        device: str | None = None,
        source: str | None = None,
        language: str | None = None,
        name: str | None = None,
        environment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a visit at once: a conversation that is not used until something is tracked in it.

        Does not change which conversation is current.

        Raises:
            MissingConversationIdException, InvalidConversationDataException: as in `get_or_create_conversation`.
        """
        usable_id = arguments.checked_conversation_id(conversation_id)
        given: arguments.ConversationFields = {
            "customer_id": customer_id,
            "customer_ip_address": customer_ip_address,
            "device": device,
            "source": source,
            "language": language,
            "name": name,
            "environment": environment,
            "metadata": metadata,
        }
        runtime = self._runtime
        known = arguments.conversation_fields(given, runtime.settings, strict=True)
        current = live_frame(runtime)
        is_recording = not runtime.settings.disabled and (current is None or current.conversation.is_recording)
        ConversationScope(runtime, usable_id, is_recording=is_recording).record_start({**known, "is_used": False})

    @documented
    def track_human_message(
        self,
        message: str,
        attachments: Sequence[Mapping[str, Any]] | None = None,
        attachment_mode: str | AttachmentMode = AttachmentMode.BASE64,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the customer said; see `ConversationScope.track_human_message`."""
        self._scope().track_human_message(message, attachments, attachment_mode, metadata)

    @documented
    def track_agent_message(
        self,
        message: str,
        attachments: Sequence[Mapping[str, Any]] | None = None,
        attachment_mode: str | AttachmentMode = AttachmentMode.BASE64,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the agent said; see `ConversationScope.track_agent_message`."""
        self._scope().track_agent_message(message, attachments, attachment_mode, metadata)

    @documented
    def track_question(self, question: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Record what the customer said: the older name of `track_human_message`."""
        self._scope().track_human_message(question, metadata=metadata)

    @documented
    def track_answer(self, answer: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Record what the agent said: the older name of `track_agent_message`."""
        self._scope().track_agent_message(answer, metadata=metadata)

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
        """Record a finished piece of work; see `ConversationScope.track_action`."""
        self._scope().track_action(
            action_name, started_at, ended_at, duration_ms, tools_used, response, error_msg, metadata
        )

    @documented
    def track_button(
        self, button_event: str, label: str, value: str, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Record a choice that was pressed; see `ConversationScope.track_button`."""
        self._scope().track_button(button_event, label, value, metadata)

    @documented
    def track_attachments(
        self,
        attachments: Sequence[Mapping[str, Any]],
        sender: str | Sender | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: str | AttachmentMode = AttachmentMode.BASE64,
    ) -> None:
        """Record attachments without a message; see `ConversationScope.track_attachments`."""
        self._scope().track_attachments(attachments, sender, metadata, mode)

    @documented
    def track_token_usage(
        self,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        total_tokens: int = 0,
        embedding_tokens: int = 0,
    ) -> None:
        """Add to the conversation's token usage; see `ConversationScope.track_token_usage`."""
        self._scope().track_token_usage(prompt_tokens, completion_tokens, total_tokens, embedding_tokens)

    def resolve(self, note: str | None = None) -> None:
        """Record that the conversation has reached its purpose; see `ConversationScope.resolve`."""
        self._scope().resolve(note)

    def escalate(self, reason: str | None = None) -> None:
        """Record that the conversation is handed over to a human; see `ConversationScope.escalate`."""
        self._scope().escalate(reason)

    def get_token_usage(self) -> TokenTotals:
        """Return the tokens recorded since the last send; zeros outside any conversation."""
        frame = live_frame(self._runtime)
        if frame is None:
            return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "embedding_tokens": 0}
        return frame.conversation.get_token_usage()

    def send_tracked_data(self, timeout_s: float = 15.0) -> dict[str, Any]:
        """Deliver what was recorded in the current conversation since the last send, and answer for each item.

        Waits at most `timeout_s` seconds; see `ConversationScope.send_tracked_data`.

        Raises:
            NoDataToSendException: nothing was recorded since the last send.
        """
        return self._nearest_scope().send_tracked_data(timeout_s)

    def get_tracked_data_summary(self) -> dict[str, Any]:
        """Return what waits to be sent: ``{"items", "summary", "conversation_id"}``."""
        scope = self._nearest_scope()
        summary = scope.get_tracked_data_summary()
        return {**summary, "conversation_id": scope.conversation_id or None}

    def _nearest_scope(self) -> ConversationScope:
        """Return the current scope, or an empty one that is not made current: asking opens no conversation."""
        frame = live_frame(self._runtime)
        if frame is not None:
            return frame.conversation
        return ConversationScope(self._runtime, "", is_recording=not self._runtime.settings.disabled)


conversation_tracker = ConversationTracker()
"""The ready-made tracker, with the library's settings."""
