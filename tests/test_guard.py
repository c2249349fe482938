"""The host comes first: what fails inside the library is counted, logged seldom, and never raised."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Iterator

import pytest

from agentsight_auto import _guard
from agentsight_auto._guard import failed, failures, guarded, warn_at_most_once_a_minute


@pytest.fixture(autouse=True)
def _as_in_a_users_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Swallow failures, as the library does for its users, and count those of the test alone."""
    monkeypatch.setattr(_guard, "raise_errors", False)
    before = failures.copy()
    failures.clear()
    yield
    failures.clear()
    failures.update(before)


@guarded
def divide(left: float, right: float = 1) -> float:
    """Divide two numbers."""
    return left / right


def test_a_guarded_function_returns_its_result() -> None:
    """Without a failure nothing changes: result, name, signature and docstring are the function's."""
    assert divide(6, right=3) == 2
    assert divide.__name__ == "divide"
    assert divide.__doc__ == "Divide two numbers."
    assert str(inspect.signature(divide)).startswith("(left: 'float', right: 'float' = 1)")


def test_a_failure_becomes_none_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets None; the failure stands in the counters under the function's name and in the log."""
    with caplog.at_level(logging.WARNING, "agentsight_auto"):
        assert divide(1, 0) is None
    assert failures["divide"] == 1
    assert "divide failed: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_what_ends_a_program_or_a_task_passes_through(ending: type[BaseException]) -> None:
    """Only failures are swallowed."""

    @guarded
    def stop() -> None:
        raise ending

    with pytest.raises(ending):
        stop()
    assert failures["stop"] == 0


def test_the_same_failure_is_logged_at_most_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand failures a second are one line a minute, but all are counted; another topic has its own minute."""
    now = [1000.0]
    monkeypatch.setattr(_guard.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.WARNING, "agentsight_auto"):
        for _ in range(100):
            failed("first", ValueError("no"))
        failed("second", ValueError("no"))
        now[0] += 59.9
        failed("first", ValueError("no"))
        assert len(caplog.records) == 2
        now[0] += 0.2
        failed("first", ValueError("no"))
    assert len(caplog.records) == 3
    assert failures["first"] == 102


def test_the_first_warning_is_logged_right_after_the_machine_has_started(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monotonic clock that has just begun at zero does not count as a warning a moment ago."""
    monkeypatch.setattr(_guard.time, "monotonic", lambda: 0.5)
    with caplog.at_level(logging.WARNING, "agentsight_auto"):
        warn_at_most_once_a_minute("start", "the %s warning", "first")
    assert "the first warning" in caplog.text


def test_a_logging_handler_that_raises_does_no_harm() -> None:
    """The user's own log handlers may fail; that is counted and goes no further."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == threading.get_ident():  # what an earlier test's worker has to say is not counted here
                raise RuntimeError("the disk is full")

    handler = Broken()
    _guard.logger.addHandler(handler)
    try:
        assert divide(1, 0) is None
    finally:
        _guard.logger.removeHandler(handler)
    assert failures["logging"] == 1


def test_our_own_tests_see_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `raise_errors` set the failure itself is raised."""
    monkeypatch.setattr(_guard, "raise_errors", True)
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)


def test_the_log_names_the_place_and_not_the_words(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an exception says may be what a customer said: the log has its type and line, and the disk's words."""
    monkeypatch.setattr(_guard, "raise_errors", False)

    @_guard.guarded
    def stumble(error: Exception) -> None:
        raise error

    stumble(ValueError("cannot read 'my secret'"))
    _guard._last_logged.clear()
    stumble(OSError(28, "No space left on device"))
    first, second = (record.getMessage() for record in caplog.records)
    assert "ValueError at test_guard.py:" in first
    assert "secret" not in first
    assert "No space left" in second
