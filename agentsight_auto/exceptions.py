"""The errors this library raises, under the names of the documented AgentSight API.

::

    AgentSightException
    ├── ConfigurationException (ValueError)      a setting cannot be used
    │   ├── NoApiKeyException                    a remote API is to be spoken to, and no key is set
    │   └── InvalidApiKeyException               the key has not the form ags_<32 hex>_<6 hex>
    ├── StoreException                           the store file cannot be opened or is not ours
    ├── ConversationTrackingException
    │   ├── InvalidConversationDataException     a field of a conversation, action or button
    │   ├── InvalidQuestionDataException         a blank or non-text human message
    │   ├── InvalidAnswerDataException           a blank or non-text agent message
    │   ├── ConversationApiException             a query or an edit failed (status_code, response_data)
    │   │   ├── InvalidQueryException (ValueError)   400: an unreadable parameter
    │   │   ├── NotFoundException                404
    │   │   ├── UnauthorizedException            401
    │   │   └── ForbiddenException               403
    │   └── ConversationNetworkException         no answer came
    ├── MissingConversationIdException           an empty id was given
    ├── NoConversationIdException                an id is needed and none is bound
    ├── NoDataToSendException                    send_tracked_data() with nothing tracked
    └── InvalidAttachmentException               attachment without data, unreadable or too large

Only configuration, queries and the documented ``track_*`` calls raise. Decorators, blocks and delivery never do.
"""

from __future__ import annotations

from typing import Any


class AgentSightException(Exception):
    """Base of every error this library raises."""


class ConfigurationException(AgentSightException, ValueError):
    """A setting cannot be used; the message names the setting, the value and what is accepted."""


class NoApiKeyException(ConfigurationException):
    """A remote API is to be spoken to and no API key is set."""

    def __init__(
        self,
        message: str = "No API key is set. Set AGENTSIGHT_API_KEY or call configure(api_key=...); "
        "without a key and an endpoint events go to the embedded store.",
    ) -> None:
        super().__init__(message)


class InvalidApiKeyException(ConfigurationException):
    """The API key has not the documented form. The message never repeats the key."""

    def __init__(
        self,
        message: str = "The API key has not the form ags_<32 hex digits>_<6 hex digits>. "
        "Copy it again from your AgentSight settings; it starts with 'ags_'.",
    ) -> None:
        super().__init__(message)


class StoreException(AgentSightException):
    """The store file cannot be opened: not a database, another program's, or from a newer version."""


class ConversationTrackingException(AgentSightException):
    """Base of the errors about conversations."""


class InvalidConversationDataException(ConversationTrackingException):
    """A field of a conversation, action or button is blank, too long or of the wrong type."""


class InvalidQuestionDataException(ConversationTrackingException):
    """A human message is blank or not text."""


class InvalidAnswerDataException(ConversationTrackingException):
    """An agent message is blank or not text."""


class ConversationApiException(ConversationTrackingException):
    """A query or an edit failed.

    ``status_code`` is the HTTP status, the same on every backend; ``response_data`` the answered body, if any.
    """

    def __init__(self, message: str, status_code: int | None = None, response_data: Any = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.response_data = response_data


class InvalidQueryException(ConversationApiException, ValueError):
    """A parameter of a query or an edit cannot be read."""

    def __init__(self, message: str, status_code: int | None = 400, response_data: Any = None) -> None:
        super().__init__(message, status_code, response_data)


class NotFoundException(ConversationApiException):
    """There is no such conversation or page."""

    def __init__(
        self, message: str = "Resource not found", status_code: int | None = 404, response_data: Any = None
    ) -> None:
        super().__init__(message, status_code, response_data)


class UnauthorizedException(ConversationApiException):
    """The API key is missing or not accepted."""

    def __init__(self, message: str = "Unauthorized", status_code: int | None = 401, response_data: Any = None) -> None:
        super().__init__(message, status_code, response_data)


class ForbiddenException(ConversationApiException):
    """The API key's role does not allow this."""

    def __init__(self, message: str = "Forbidden", status_code: int | None = 403, response_data: Any = None) -> None:
        super().__init__(message, status_code, response_data)


class ConversationNetworkException(ConversationTrackingException):
    """No usable answer came from the remote API."""


class MissingConversationIdException(AgentSightException):
    """A conversation id was given but is empty."""

    def __init__(self, message: str = "The conversation id is empty. Pass a text of 1 to 255 characters.") -> None:
        super().__init__(message)


class NoConversationIdException(AgentSightException):
    """A conversation id is needed and none is bound."""

    def __init__(
        self,
        message: str = "No conversation is current. Open one with conversation(...).",
    ) -> None:
        super().__init__(message)


class NoDataToSendException(AgentSightException):
    """``send_tracked_data()`` was called with nothing tracked since the last send."""

    def __init__(self, message: str = "Nothing has been tracked since the last send.") -> None:
        super().__init__(message)


class InvalidAttachmentException(AgentSightException):
    """An attachment has no data, cannot be decoded, or is too large."""

    def __init__(self, message: str = "The attachment has no data.") -> None:
        super().__init__(message)
