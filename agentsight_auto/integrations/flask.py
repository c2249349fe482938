"""Flask: the extension object, which is the WSGI middleware and the exceptions that Flask turns into responses.

In: a Flask application. Out: the same one, whose requests are recorded in the conversations they name.
Loses: nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .incoming.plan import ID_FROM, RequestOptions
from .incoming.sources import Given
from .wsgi import ERROR_KEY, ConversationMiddleware

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AgentSight:
    """The extension: ``AgentSight(app)``, or ``AgentSight()`` and ``init_app(app)`` in an application factory.

    Args:
        app: the Flask application; None where `init_app` comes later.
        id_from: where the id comes from, the header ``X-Conversation-Id`` by default; see docs/web.md for the words.
        options: see `RequestOptions`.

    Raises:
        ConfigurationException: an option that cannot be used.
    """

    def __init__(self, app: Any = None, *, id_from: Given = ID_FROM, **options: Unpack[RequestOptions]) -> None:
        self._id_from = id_from
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Any) -> None:
        """Let `app` record; a second call changes nothing."""
        from flask import got_request_exception  # noqa: PLC0415 - whoever has a Flask application has imported it

        if "agentsight" in app.extensions:
            return
        app.wsgi_app = ConversationMiddleware(app.wsgi_app, id_from=self._id_from, **self._options)
        app.extensions["agentsight"] = self
        got_request_exception.connect(_keep_exception, app)


def _keep_exception(sender: Any, exception: BaseException, **_: Any) -> None:
    """Leave the exception for the middleware, which sees only the response that Flask makes of it."""
    from flask import request  # noqa: PLC0415 - see above

    del sender
    request.environ[ERROR_KEY] = exception
