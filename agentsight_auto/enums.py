"""Documented names for the values the API accepts; each compares equal to its text."""

from __future__ import annotations

from enum import Enum


class LogLevel(str, Enum):
    """Level of the ``agentsight_auto`` logger."""

    CRITICAL = "CRITICAL"
    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"
    DEBUG = "DEBUG"


class AttachmentMode(str, Enum):
    """How attachment data is handed over: base64 text, or bytes and file objects."""

    BASE64 = "base64"
    FORM_DATA = "form_data"


class Sender(str, Enum):
    """Who sent a message."""

    USER = "end_user"
    AGENT = "agent"
    SYSTEM = "system"


class Environment(str, Enum):
    """The two documented environments; other slugs of ``[a-z0-9-]{1,64}`` are accepted as text."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class Sentiment(str, Enum):
    """Sentiment of a feedback."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"
