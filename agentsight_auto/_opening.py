"""Open where events go and where questions are answered, as the settings say; loads the heavy modules when needed.

In: settings. Out: a destination or a backend. Loses: nothing; what cannot be opened raises and says what to do.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ._guard import logger
from ._settings import HOSTED_ENDPOINT, Settings, check_remote, prepare_home
from .exceptions import StoreException

if TYPE_CHECKING:
    from .deliver.destination import Destination
    from .deliver.recent import Replies
    from .query.embedded import EmbeddedBackend
    from .query.remote import AsyncRemoteReader, RemoteBackend
    from .store.attachments import AttachmentFolder

P = ParamSpec("P")
R = TypeVar("R")

_FORK_PATIENCE_S = 2.0
_importing = threading.Lock()
"""Held while heavy modules are imported: a child forked then could never import them, because Python's own lock of a
half-imported module stays taken in it. So a fork waits for the import, but not for long."""

_is_cut_off = False
"""This process was forked in the middle of such an import all the same: it must not try to import them."""


@functools.cache
def mind_forks(renew: Callable[[], None]) -> None:
    """Let forks wait for an import that is under way, and call `renew` in each child."""
    has_waited = False

    def before() -> None:
        nonlocal has_waited
        has_waited = _importing.acquire(timeout=_FORK_PATIENCE_S)

    def in_parent() -> None:
        if has_waited:
            _importing.release()

    def in_child() -> None:
        global _importing, _is_cut_off
        _importing = threading.Lock()
        _is_cut_off = _is_cut_off or not has_waited
        renew()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


@contextlib.contextmanager
def _import_of_heavy_modules() -> Iterator[None]:
    if _is_cut_off:
        raise StoreException(
            "This process was forked while its parent was loading the store for the first time, and cannot load it any "
            "more. What is recorded here stays in the outbox and is delivered by another process. Fork before the "
            "first conversation, or use the spawn start method."
        )
    with _importing:
        yield


def aside(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function`, where gevent or eventlet make greenlets of threads in a real thread.

    There the worker is a greenlet like all others, and they would wait for whatever it does without yielding. To be
    called without any lock: whoever waits for it could keep the hub from hearing that the call is over.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        run_in_thread: Callable[..., R] = sys.modules["gevent"].get_hub().threadpool.apply
        return run_in_thread(function, args, kwargs)
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        execute: Callable[..., R] = importlib.import_module("eventlet.tpool").execute
        return execute(function, *args, **kwargs)
    return function(*args, **kwargs)


def open_http(settings: Settings, attachments: AttachmentFolder, replies: Replies) -> Destination:
    """Make what delivers to the remote API of these settings; opens no connection yet.

    Raises:
        NoApiKeyException: an endpoint is set without a key.
        ConfigurationException: the endpoint is plain HTTP to another machine.
    """
    endpoint, api_key = check_remote(settings)
    with _import_of_heavy_modules():
        from .deliver.http import HttpDestination  # noqa: PLC0415 - loads httpx

    return HttpDestination(endpoint, api_key, attachments, replies=replies)


def open_remote(settings: Settings) -> RemoteBackend:
    """Make what asks the remote API of these settings; opens no connection yet.

    Raises:
        NoApiKeyException: an endpoint is set without a key.
        ConfigurationException: the endpoint is plain HTTP to another machine.
    """
    endpoint, api_key = check_remote(settings)
    with _import_of_heavy_modules():
        from ._http.client import HttpClient  # noqa: PLC0415 - loads httpx
        from .query.remote import RemoteBackend  # noqa: PLC0415

    return RemoteBackend(HttpClient(endpoint, api_key, is_closed_at_exit=True))


def open_remote_async(settings: Settings) -> AsyncRemoteReader:
    """Make what asks the remote API of these settings on an event loop; opens no connection yet.

    Raises:
        NoApiKeyException: an endpoint is set without a key.
        ConfigurationException: the endpoint is plain HTTP to another machine.
    """
    endpoint, api_key = check_remote(settings)
    with _import_of_heavy_modules():
        from ._http.async_client import AsyncHttpClient  # noqa: PLC0415 - loads httpx
        from .query.remote import AsyncRemoteReader  # noqa: PLC0415

    return AsyncRemoteReader(AsyncHttpClient(endpoint, api_key))


def open_embedded(settings: Settings) -> EmbeddedBackend:
    """Open the embedded store of these settings for queries and edits.

    Raises:
        StoreException: the file is not a store, or from a newer version.
    """
    with _import_of_heavy_modules():
        from .query.embedded import EmbeddedBackend  # noqa: PLC0415 - loads SQLAlchemy
        from .query.lifecycle import Rules  # noqa: PLC0415
        from .store.attachments import AttachmentFolder  # noqa: PLC0415
        from .store.database import Database  # noqa: PLC0415
        from .store.geo import GeoLookup  # noqa: PLC0415

    try:
        prepare_home(settings.home)
    except OSError as error:
        raise StoreException(
            f"The folder {settings.home} cannot be made: {error}. Set AGENTSIGHT_HOME to a folder that can be written."
        ) from error
    return EmbeddedBackend(
        Database.open(settings.store_path),
        AttachmentFolder(settings.attachments_path),
        geo=GeoLookup(None if settings.geoip_db is None else Path(settings.geoip_db)),
        escalation_actions=settings.escalation_actions,
        rules=Rules(settings.escalation_actions, settings.resolution_actions, settings.idle_after),
    )


def announce(settings: Settings) -> None:
    """Log what is odd about the settings and where events go; no lock is held, as log handlers may record."""
    for problem in settings.problems:
        logger.warning("agentsight-auto ignores a setting: %s", problem)
    if settings.log_level is not None:
        logging.getLogger("agentsight_auto").setLevel(settings.log_level)
    logger.info("agentsight-auto records to %s", describe_target(settings))


def describe_target(settings: Settings) -> str:
    """Say in words where events go."""
    if settings.disabled:
        return "nowhere: AGENTSIGHT_DISABLED is set"
    if settings.is_remote:
        return settings.endpoint or HOSTED_ENDPOINT
    return f"the embedded store {settings.store_path}"
