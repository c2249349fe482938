"""One switch: `instrument()` installs the integrations of whatever is imported, now or later; `uninstrument()` undoes.

In: names, or the settings `instrument` and `token_handler_type`. Out: import hooks, installed patches, `status()`.
Loses: nothing. A failure to install never reaches the user's import: it is rolled back and told by `status()`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, overload

import wrapt

from .. import _guard
from .._settings import Settings
from ..exceptions import ConfigurationException
from . import options
from .catalogue import CATALOGUE, Integration
from .patches import Patches
from .report import Reporter, Status

logger = logging.getLogger("agentsight_auto")

OFF, WAITING, ACTIVE, SKIPPED = "off", "waiting for its import", "active", "skipped"

TOKEN_HANDLERS = {"langchain": "langchain", "llamaindex": "llama_index"}
"""Values of ``AGENTSIGHT_TOKEN_HANDLER_TYPE`` and the integrations that they mean."""


class Statuses(Sequence[Status]):
    """The state of some integrations, as it is whenever it is looked at: to ask for versions takes milliseconds."""

    def __init__(self, read: Callable[[Integration], Status], integrations: Sequence[Integration]) -> None:
        self._read = read
        self._integrations = integrations

    @overload
    def __getitem__(self, index: int) -> Status: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Status]: ...
    def __getitem__(self, index: int | slice) -> Status | Sequence[Status]:
        """Return one, or some."""
        chosen = self._integrations[index]
        return self._read(chosen) if isinstance(chosen, Integration) else Statuses(self._read, chosen)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._integrations)


class Registry:
    """The integrations of one catalogue and their state in this process."""

    def __init__(self, catalogue: Iterable[Integration]) -> None:
        self.catalogue = {integration.name: integration for integration in catalogue}
        self._lock = threading.RLock()
        self._wanted: set[str] = set()
        self._hooked: set[str] = set()
        self._installed: dict[str, Patches] = {}
        self._skipped: dict[str, str] = {}
        self.reporter = Reporter(self.status)

    def names(self, given: Iterable[str], exclude: Iterable[str]) -> list[str]:
        """Return the integrations that are meant: those given, or all that are installed by default.

        Raises:
            ConfigurationException: there is no integration of such a name.
        """
        asked, excluded = list(given), set(exclude)
        unknown = sorted(name for name in {*asked, *excluded} if name not in self.catalogue)
        if unknown:
            known = ", ".join(sorted(self.catalogue))
            raise ConfigurationException(f"There is no integration {unknown[0]!r}. Integrations are: {known}.")
        chosen = asked or [name for name, integration in self.catalogue.items() if integration.by_default]
        return [name for name in chosen if name not in excluded]

    def install(self, names: Iterable[str]) -> None:
        """Install now what is imported already, and the rest when it is imported."""
        for name in names:
            module = self.catalogue[name].module
            with self._lock:
                self._wanted.add(name)
                self._skipped.pop(name, None)
                is_hooked = name in self._hooked
                self._hooked.add(name)
            if module is None:
                self._install(name)
            elif not is_hooked:
                wrapt.register_post_import_hook(self._hook(name), module)
            elif module in sys.modules:
                self._install(name)

    def uninstall(self, names: Iterable[str]) -> None:
        """Restore what was there; what is imported later stays as it is."""
        for name in names:
            with self._lock:
                self._wanted.discard(name)
                self._skipped.pop(name, None)
                patches = self._installed.pop(name, None)
                if patches is not None:
                    patches.undo()
                    self.reporter.change()

    def status(self) -> list[Status]:
        """Return every integration with its state, the version found, and why it was skipped."""
        return [self._status(integration) for integration in self.catalogue.values()]

    def statuses(self, names: Iterable[str]) -> Statuses:
        """Return the states of some integrations, to be looked at later and again."""
        return Statuses(self._status, [self.catalogue[name] for name in names])

    def active(self) -> list[str]:
        """Return the names of what is installed or waits for its import."""
        return sorted(self._wanted)

    def _status(self, integration: Integration) -> Status:
        name, reason = integration.name, self._skipped.get(integration.name)
        state = OFF if name not in self._wanted else ACTIVE if name in self._installed else WAITING
        version = version_of(integration)
        if state == WAITING and integration.distribution is not None and version is None:
            state, reason = SKIPPED, f"{integration.distribution} is not installed"
        elif reason is not None and state != ACTIVE:
            state = SKIPPED
        elif state == WAITING and is_too_old(integration, version):
            state, reason = SKIPPED, _too_old(integration, version)
        return Status(name, state, version, integration.oldest, reason)

    def _hook(self, name: str) -> Callable[[ModuleType], None]:
        def imported(module: ModuleType) -> None:
            del module
            if name in self._wanted:
                self._install(name)

        return imported

    def _install(self, name: str) -> None:
        """Install one integration, whole or not at all; never raises into the import that triggered it."""
        integration = self.catalogue[name]
        with self._lock:
            if name in self._installed:
                return
            version = version_of(integration)
            if is_too_old(integration, version):
                self._skip(name, _too_old(integration, version))
                return
            patches = Patches()
            try:
                module, _, function = integration.target.partition(":")
                getattr(importlib.import_module(module), function)(patches)
            except Exception as error:  # noqa: BLE001 - the user's import goes on, whatever version this is
                patches.undo()
                self._skip(name, f"it does not fit version {version}: {type(error).__name__}: {error}")
                return
            self._installed[name] = patches
            self.reporter.change()

    def _skip(self, name: str, reason: str) -> None:
        self._skipped[name] = reason
        self.reporter.change()
        logger.warning("agentsight-auto: the integration %s is skipped: %s", name, reason)


def version_of(integration: Integration) -> str | None:
    """Return the installed version of what the integration teaches; None where it is not installed or has none."""
    if integration.distribution is None:
        return None
    try:
        return importlib.metadata.version(integration.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def is_too_old(integration: Integration, version: str | None) -> bool:
    """Tell whether a version is older than the oldest that is supported."""
    return version is not None and _numbers(version) < _numbers(integration.oldest)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3]]
    return (*numbers, 0, 0, 0)[:3]


def _too_old(integration: Integration, version: str | None) -> str:
    return f"version {version} is older than {integration.oldest}, the oldest that is supported"


default = Registry(CATALOGUE)
"""The registry that `instrument` works on."""


def instrument(
    *names: str,
    exclude: Iterable[str] = (),
    capture_messages: bool | None = None,
    implicit_conversations: bool | None = None,
) -> Statuses:
    """Let the libraries that are imported, now or later, record by themselves.

    Without names all are installed that record by default; see docs/integrations.md for the list. Imports none of
    them. Calling it again adds to what is installed.

    Returns:
        What became of each, as it stands whenever it is looked at: ``active``, ``waiting for its import`` or
        ``skipped``, with version and reason.

    Args:
        names: integrations to install, by name.
        exclude: integrations not to install.
        capture_messages: record prompts and completions as messages too; by default the setting of that name (off).
        implicit_conversations: record model calls made outside any conversation into one that is opened for that
            thread or task; by default they are not recorded.

    Raises:
        ConfigurationException: an unknown name.
    """
    chosen = default.names(names, exclude)
    options.change(capture_messages=capture_messages, implicit_conversations=implicit_conversations)
    options.records_tokens_alone.difference_update(chosen)
    default.install(chosen)
    return default.statuses(chosen)


def uninstrument(*names: str) -> None:
    """Restore what `instrument()` changed: everything, or the integrations that are named, in any order.

    Raises:
        ConfigurationException: an unknown name.
    """
    chosen = default.names(names, ()) if names else list(default.catalogue)
    default.uninstall(chosen)
    if not names:
        options.reset()


@_guard.guarded
def instrument_as(words: Iterable[str]) -> None:
    """Install what the setting `instrument` asks for: names, ``auto``, and names after ``-`` that are left out."""
    asked = [word.strip() for word in words if word.strip()]
    if not asked:
        return
    excluded = [name[1:] for name in asked if name.startswith("-")]
    named = [name for name in asked if not name.startswith("-") and name != "auto"]
    try:
        instrument(*(named if "auto" not in asked else ()), exclude=excluded)
    except ConfigurationException as error:
        logger.warning("agentsight-auto ignores a setting: AGENTSIGHT_INSTRUMENT: %s", error)


@_guard.guarded
def follow_settings(settings: Settings) -> None:
    """Install what the settings `instrument` and `token_handler_type` ask for."""
    instrument_as(settings.instrument)
    handler: Any = TOKEN_HANDLERS.get(settings.token_handler_type or "")
    if handler in default.catalogue and handler not in default.active():
        options.records_tokens_alone.add(handler)
        default.install([handler])
    default.reporter.write()
