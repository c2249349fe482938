"""The runtime: joins capture to delivery and the clients to the store. One default runtime; others live beside it.

In: events from capture (`take_in`), settings (`configure`). Out: lines in the pipeline, an opened backend to ask.
Loses: nothing of its own; `_lines` says what no line can hold.

Importing this loads neither the store nor what asks it: the first delivery, or the first question, does.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ._clock import Clock
from ._context import CurrentVariable
from ._guard import warn_at_most_once_a_minute
from ._ids import IdSource
from ._opening import announce, mind_forks
from ._settings import Settings, check_arguments, check_remote, check_setting, load_settings, prepare_home
from .deliver.pipeline import FlushReport, Pipeline, PipelineOptions
from .events import Event

if TYPE_CHECKING:
    from ._backends import Backends
    from ._lines import Captured
    from ._recorder import Recorder
    from .capture.frames import Frame
    from .deliver.destination import Destination
    from .query.backend import Backend
    from .redact.processing import Processor
    from .store.attachments import AttachmentFolder

E = TypeVar("E", bound=Event)

_READ_WAIT_S = 2.0
_PIPELINE_SETTINGS = frozenset(
    {
        "api_key",
        "endpoint",
        "allow_http",
        "home",
        "durability",
        "journal_interval_ms",
        "memory_limit_bytes",
        "outbox_limit_bytes",
        "idle_minutes",
        "exit_timeout_s",
        "geoip_db",
    }
)


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for runtime in list(_runtimes):
        runtime.renew_after_fork()


class Runtime:
    """Everything of one set of settings: what is current, the clock, the pipeline, the backend.

    Creating one opens nothing and starts nothing; settings are read at the first use.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        open_destination: Callable[[], Destination] | None = None,
        **arguments: Any,
    ) -> None:
        self.current: CurrentVariable[Frame] = CurrentVariable("agentsight_auto.current")
        self.clock = clock or Clock()
        self.ids = ids or IdSource()
        self._arguments = arguments
        self._open_destination = open_destination
        self.loaded_settings: Settings | None = None
        self._pipeline: Pipeline | None = None
        self._ready: Pipeline | None = None
        self._backends: Backends | None = None
        self._lock = threading.RLock()
        self._folding = threading.Lock()  # of whoever lets a scope's oldest events go
        self._dropped: Counter[str] = Counter()
        self.processing: Processor | None = _Unread(self)
        self.has_warned_of_implicit = False
        self.generation = 0
        check_arguments(arguments)
        _runtimes.add(self)
        mind_forks(_renew_after_fork)

    def renew_after_fork(self) -> None:
        """In a forked child: ids of its own, and locks that no thread of the parent holds."""
        self._lock = threading.RLock()
        self._folding = threading.Lock()
        if self._backends is not None:
            self._backends.renew_after_fork()
        self._dropped.clear()
        self.ids.renew()
        self.generation += 1

    # -- settings ----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings, read at first use; problems with the environment are logged then."""
        return self.loaded_settings or self._load_settings()

    def _load_settings(self) -> Settings:
        with self._lock:
            if self.loaded_settings is not None:
                return self.loaded_settings
            settings = load_settings(self._arguments)
            self.processing = self._processing_of(settings)
            self.loaded_settings = settings
        announce(settings)
        if self is _defaults[0] and after_settings is not None:
            after_settings(settings)
        return settings

    def configure(self, **changes: Any) -> None:
        """Change settings at run time; None means "as it was".

        Raises:
            ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: nothing is changed.
        """
        checked = {name: check_setting(name, value) for name, value in changes.items() if value is not None}
        with self._lock:
            before = self.loaded_settings
            arguments = {**self._arguments, **checked}
            check_arguments(arguments)
            self._arguments = arguments
            after = load_settings(arguments)
            self.processing = self._processing_of(after)
            self.loaded_settings = after
            self._ready = None
            pipeline, backends = None, self._backends
            if before is not None and any(getattr(before, n) != getattr(after, n) for n in _PIPELINE_SETTINGS):
                pipeline, self._pipeline = self._pipeline, None
                self._backends = None
            elif backends is not None:
                backends.settings, backends = after, None
        announce(after)
        if pipeline is not None:
            pipeline.shutdown(_READ_WAIT_S)
        if backends is not None:
            backends.close()

    def _processing_of(self, settings: Settings) -> Processor | None:
        if not settings.redact and not settings.processors:
            return None
        from .redact.processing import Processing  # noqa: PLC0415 - few redact

        return Processing(settings.redact, settings.processors, self._dropped)

    # -- recording ---------------------------------------------------------------------------------------------------

    def take_in(self, item: bytes | Captured, size_bytes: int, recorder: Recorder) -> None:
        """Take in the line of an event, or what one is made of, for the pipeline and for its scope.

        The one door for everything recorded; `processing` has seen the event, or there is none.
        """
        pipeline = self._ready or self._make_ready()
        if recorder.is_open:  # what `Pipeline.append` does: every call of a tracked function comes through here
            pipeline.push(item)
            pipeline.buffered_bytes = buffered_bytes = pipeline.buffered_bytes + size_bytes
            if buffered_bytes >= pipeline.due_bytes:
                pipeline.journal_soon()
        else:
            line = item if isinstance(item, bytes) else item.line()
            if recorder.is_held:
                pipeline.hold(recorder.key, line)
            else:
                pipeline.write_through(line)
        unsent = recorder.unsent
        if unsent.generation != self.generation:
            unsent.start_afresh(self.generation)
        unsent.items.append(item)
        unsent.size_bytes = size_bytes = unsent.size_bytes + size_bytes
        if size_bytes > unsent.limit_bytes and self._folding.acquire(blocking=False):
            try:
                unsent.let_go()
            finally:
                self._folding.release()

    def _make_ready(self) -> Pipeline:
        """Make the home folder before the first thing is written to it; where that fails, the outbox deals with it."""
        pipeline = self.pipeline
        self._make_home()
        self._ready = pipeline
        return pipeline

    def _make_home(self) -> None:
        if self._open_destination is None and self.settings.durability != "memory":
            with contextlib.suppress(OSError):
                prepare_home(self.settings.home)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, made at first use; it starts its threads and opens its files with the first event."""
        if self._pipeline is not None:
            return self._pipeline
        options = _pipeline_options(self.settings)
        with self._lock:
            if self._pipeline is None:
                open_destination = self._open_destination or self._destination_of_settings
                self._pipeline = Pipeline(options, open_destination, self.clock)
            return self._pipeline

    def flush(self, timeout_s: float) -> FlushReport:
        """Deliver what is recorded, for at most `timeout_s` seconds, and say what is delivered and what waits."""
        return self._with_dropped(self.pipeline.flush(timeout_s))

    def shutdown(self, timeout_s: float) -> FlushReport:
        """Write everything to disk, try once to deliver it within `timeout_s` seconds, stop the worker."""
        report = self.pipeline.shutdown(timeout_s)
        if self._backends is not None:
            self._backends.close()
        return self._with_dropped(report)

    def _with_dropped(self, report: FlushReport) -> FlushReport:
        return msgspec.structs.replace(report, dropped=dict(self._dropped)) if self._dropped else report

    # -- reading and editing -----------------------------------------------------------------------------------------

    def stored_rows(
        self, conversation_id: str, event_ids: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Return what the store has answered for a conversation and for events of it: at least its ids, if known."""
        if self._open_destination is not None:
            return {}, {}
        return self.backends.stored_rows(conversation_id, event_ids)

    def attachments(self) -> AttachmentFolder:
        """Return the folder that attachment bytes are written to."""
        from .store.attachments import AttachmentFolder  # noqa: PLC0415 - few have attachments

        self._make_home()
        return AttachmentFolder(self.settings.attachments_path)

    def backend(self, *, wait_s: float = _READ_WAIT_S) -> Backend:
        """Return what answers queries and edits, after delivering what this process has recorded.

        Waits at most `wait_s` seconds for that, and warns if something is still on its way.

        Raises:
            StoreException: the embedded store cannot be opened.
            NoApiKeyException: an endpoint is set without a key.
            ConfigurationException: the endpoint is plain HTTP to another machine.
        """
        if self.settings.disabled:
            from .query.disabled import DisabledBackend  # noqa: PLC0415 - nobody else needs it

            return DisabledBackend()
        backend = self.backends.backend()
        report = self.flush(wait_s)
        if report.pending:
            warn_at_most_once_a_minute(
                "read", "agentsight-auto: %d recorded events are not in the store yet", report.pending
            )
        return backend

    @property
    def backends(self) -> Backends:
        """What is open for these settings."""
        if self._backends is not None:
            return self._backends
        from ._backends import Backends  # noqa: PLC0415 - not needed for recording

        settings = self.settings
        with self._lock:
            if self._backends is None:
                self._backends = Backends(settings)
            return self._backends

    def check_target(self) -> None:
        """Raise NoApiKeyException where a remote API is to be spoken to without a key."""
        if self.settings.is_remote:
            check_remote(self.settings)

    def _destination_of_settings(self) -> Destination:
        """Open where the worker delivers to; called on the worker's thread."""
        return self.backends.destination(self.attachments())


class _Unread:
    """Stands for the processors while no settings are read yet: reads them before the first event goes on."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def apply(self, event: E) -> E | None:
        """Read the settings and do what they say."""
        _ = self._runtime.settings
        processing = self._runtime.processing
        return event if processing is None else processing.apply(event)


def _pipeline_options(settings: Settings) -> PipelineOptions:
    return PipelineOptions(
        outbox=settings.outbox_path,
        durability=settings.durability,
        journal_interval_s=settings.journal_interval_ms / 1000,
        memory_limit_bytes=settings.memory_limit_bytes,
        outbox_limit_bytes=settings.outbox_limit_bytes,
        held_idle_s=settings.idle_minutes * 60,
        exit_timeout_s=settings.exit_timeout_s,
    )


after_settings: Callable[[Settings], None] | None = None
"""Called once with the settings of the library's own runtime, when they are first read."""

default_runtime = Runtime()
_defaults = [default_runtime]


def default() -> Runtime:
    """Return the runtime that the root package's functions and ready-made clients use."""
    return default_runtime


@contextlib.contextmanager
def used_as_default(runtime: Runtime) -> Iterator[Runtime]:
    """Make `runtime` the default one while the block is open; blocks may overlap and end in any order."""
    global default_runtime
    _defaults.append(runtime)
    default_runtime = runtime
    try:
        yield runtime
    finally:
        _defaults.remove(runtime)
        default_runtime = _defaults[-1]
