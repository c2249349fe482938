"""What `instrument()` was asked beside names: shared by all integrations of the process."""

from __future__ import annotations

from .._runtime import Runtime

_capture_messages = False
_implicit_conversations = False

records_tokens_alone: set[str] = set()
"""Integrations that only add to the token usage: those that the setting `token_handler_type` asked for."""


def change(*, capture_messages: bool | None, implicit_conversations: bool | None) -> None:
    """Change what is given; None leaves it as it was."""
    global _capture_messages, _implicit_conversations
    if capture_messages is not None:
        _capture_messages = capture_messages
    if implicit_conversations is not None:
        _implicit_conversations = implicit_conversations


def reset() -> None:
    """Forget what was asked."""
    change(capture_messages=False, implicit_conversations=False)
    records_tokens_alone.clear()


def captures_messages(runtime: Runtime) -> bool:
    """Return whether prompts and completions become messages."""
    return _capture_messages or runtime.settings.capture_messages


def opens_conversations() -> bool:
    """Return whether a model call outside any conversation opens one."""
    return _implicit_conversations
