"""The registry and the patch ledger, on small libraries that the tests write to disk and import for real."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto.exceptions import ConfigurationException
from agentsight_auto.integrations.catalogue import CATALOGUE, Integration
from agentsight_auto.integrations.patches import Patches
from agentsight_auto.integrations.registry import ACTIVE, OFF, SKIPPED, WAITING, Registry

LIBRARY = "class Client:\n    def ask(self, text): return text.upper()\nclass Child(Client): pass\n"
calls: list[str] = []


def record(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """A patch that notes the call."""
    calls.append(args[0])
    return wrapped(*args, **kwargs)


def install_fine(patches: Patches) -> None:
    """Patch what is there."""
    patches.wrap("asl_fine", "Client.ask", record)


def install_missing(patches: Patches) -> None:
    """Patch one thing that is there and one that is not."""
    patches.wrap("asl_missing", "Client.ask", record)
    patches.wrap("asl_missing", "Client.tell", record)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry of two libraries that are not imported yet."""
    calls.clear()
    for name in ("asl_fine", "asl_missing"):
        (tmp_path / f"{name}.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    made = Registry(
        [
            Integration("fine", "asl_fine", f"{__name__}:install_fine"),
            Integration("missing", "asl_missing", f"{__name__}:install_missing"),
            Integration("absent", "asl_absent", f"{__name__}:install_fine", "asl-absent", "1.0"),
            Integration("old", "wrapt", f"{__name__}:install_fine", "wrapt", "999.0"),
            Integration("named", None, f"{__name__}:install_missing", by_default=False),
        ]
    )
    yield made
    made.uninstall(made.catalogue)
    for name in ("asl_fine", "asl_missing"):
        sys.modules.pop(name, None)


def states(registry: Registry) -> dict[str, str]:
    """State by name."""
    return {status.name: status.state for status in registry.status()}


def test_an_integration_waits_for_the_users_import(registry: Registry) -> None:
    """Asking imports nothing; the import installs; the call is the user's own."""
    registry.install(["fine"])
    assert "asl_fine" not in sys.modules
    assert states(registry)["fine"] == WAITING
    import asl_fine  # type: ignore[import-not-found,unused-ignore]

    assert states(registry)["fine"] == ACTIVE
    assert asl_fine.Client().ask("a") == asl_fine.Child().ask("a") == "A"
    assert calls == ["a", "a"]


def test_what_is_imported_already_is_patched_at_once_and_twice_is_once(registry: Registry) -> None:
    """Instrumenting again does not record twice, nor does it after an uninstall."""
    import asl_fine

    for _ in range(2):
        registry.install(["fine"])
        registry.install(["fine"])
        asl_fine.Client().ask("x")
        registry.uninstall(["fine"])
        asl_fine.Client().ask("y")
    assert calls == ["x", "x"]


def test_uninstall_before_the_import_leaves_the_import_alone(registry: Registry) -> None:
    """The hook stays and does nothing."""
    registry.install(["fine"])
    registry.uninstall(["fine"])
    import asl_fine

    asl_fine.Client().ask("x")
    assert calls == []
    assert states(registry)["fine"] == OFF


def test_a_version_that_does_not_fit_is_rolled_back_and_told(registry: Registry, caplog: Any) -> None:
    """The import goes on, nothing stays patched, the status says why."""
    registry.install(["missing"])
    import asl_missing  # type: ignore[import-not-found,unused-ignore]

    before = vars(asl_missing.Client)["ask"]
    assert type(before).__name__ == "function"
    status = next(status for status in registry.status() if status.name == "missing")
    assert status.state == SKIPPED
    assert "does not fit" in (status.reason or "")
    assert "tell" in (status.reason or "")
    assert "missing is skipped" in caplog.text


def test_what_is_too_old_or_not_installed_is_skipped_with_the_reason(registry: Registry) -> None:
    """Versions are read without importing."""
    registry.install(["absent", "old"])
    reasons = {status.name: status.reason for status in registry.status()}
    assert reasons["absent"] == "asl-absent is not installed"
    assert "older than 999.0" in (reasons["old"] or "")


def test_names_are_chosen_excluded_and_checked(registry: Registry) -> None:
    """All that are installed by default, some of them, or an error that lists them."""
    assert registry.names((), ["old", "absent"]) == ["fine", "missing"]
    assert registry.names(["named"], ()) == ["named"]
    with pytest.raises(ConfigurationException, match=r"no integration .fin..*fine, missing"):
        registry.names(["fin"], ())


class Target:
    """Something to patch."""

    def ask(self, text: str) -> str:
        """Answer."""
        return text


def prefixed(prefix: str) -> Any:
    """A wrapper that shows in the result."""
    return lambda wrapped, instance, args, kwargs: prefix + wrapped(*args, **kwargs)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_patches_are_undone_in_any_order(order: tuple[int, ...]) -> None:
    """Whatever is undone first, the others go on working, and at the end the very same function is there."""
    original = vars(Target)["ask"]
    ledgers = [Patches() for _ in range(3)]
    for number, ledger in enumerate(ledgers):
        ledger.wrap(Target, "ask", prefixed(str(number)))
    assert Target().ask("!") == "210!"
    left = {0, 1, 2}
    for number in order:
        ledgers[number].undo()
        left.discard(number)
        assert Target().ask("!") == "".join(map(str, sorted(left, reverse=True))) + "!"
    assert vars(Target)["ask"] is original


def test_beneath_somebody_elses_plain_function_a_patch_becomes_a_pass_through() -> None:
    """What cannot be taken out does nothing any more."""
    original = vars(Target)["ask"]
    ledger = Patches()
    ledger.wrap(Target, "ask", prefixed("ours "))
    ours = Target.ask
    try:
        Target.ask = lambda self, text: "theirs " + ours(self, text)  # type: ignore[method-assign,assignment]
        assert Target().ask("!") == "theirs ours !"
        ledger.undo()
        assert Target().ask("!") == "theirs !"
    finally:
        Target.ask = original  # type: ignore[method-assign]


def test_an_inherited_method_leaves_no_shadow() -> None:
    """Patching the child and undoing it leaves the child without an attribute of its own."""

    class Child(Target):
        pass

    ledger = Patches()
    ledger.wrap(Child, "ask", prefixed("x"))
    assert Child().ask("!") == "x!"
    assert Target().ask("!") == "!"
    ledger.undo()
    assert "ask" not in vars(Child)


def python(code: str, tmp_path: Path, **environment: str) -> str:
    """Run code in a process of its own."""
    import os

    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTSIGHT_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_instrument_imports_no_library(tmp_path: Path) -> None:
    """Everything that is taught waits for its import, in a fresh process."""
    code = (
        "import sys, agentsight_auto\nbefore = set(sys.modules)\nagentsight_auto.instrument()\n"
        "from agentsight_auto.integrations.catalogue import CATALOGUE\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new & {(i.module or '').partition('.')[0] for i in CATALOGUE if i.distribution}))"
    )
    assert python(code, tmp_path) == "[]"


def test_the_setting_instruments_at_the_first_use(tmp_path: Path) -> None:
    """``auto`` is everything, a minus leaves one out; an unknown name is told and harms nothing."""
    code = (
        "import agentsight_auto\nfrom agentsight_auto.integrations.registry import default\n"
        "with agentsight_auto.conversation('c'): pass\nprint(len(default.active()))"
    )
    by_default = sum(integration.by_default for integration in CATALOGUE)
    assert python(code, tmp_path, AGENTSIGHT_INSTRUMENT="auto") == str(by_default)
    assert python(code, tmp_path, AGENTSIGHT_INSTRUMENT="nonsense") == "0"
    assert python(code, tmp_path) == "0"


def test_run_instruments_a_program_that_knows_nothing_of_it(tmp_path: Path) -> None:
    """Its arguments, its exit code and its errors are its own."""
    (tmp_path / "app.py").write_text("import sys\nprint(__name__, sys.argv[1:])\nsys.exit(3)\n")
    (tmp_path / "bad.py").write_text("raise OSError('theirs')\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agentsight_auto", "run", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    done = run("--conversation", "job-1", "app.py", "--home", "x", "-v")
    assert (done.stdout, done.returncode) == ("__main__ ['--home', 'x', '-v']\n", 3)
    failed = run("bad.py")
    assert failed.returncode == 1
    assert "OSError: theirs" in failed.stderr
    assert run("missing.py").returncode == 2
    assert run("-m", "platform").returncode == 0


def test_run_instruments_the_processes_that_a_program_starts(tmp_path: Path) -> None:
    """Spawned workers and Python programs; what is called `sitecustomize` here is imported as it would have been."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys\nsys.is_theirs = True\n")
    (tmp_path / "app.py").write_text(
        """
import multiprocessing, subprocess, sys

def tell(queue=None):
    registry = sys.modules.get("agentsight_auto.integrations.registry")
    state = registry and {one.name: one.state for one in registry.default.status()}
    told = (getattr(sys, "is_theirs", False), state and state["threads"], state and state["mcp"])
    queue.put(told) if queue else print(told)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=tell, args=(queue,))
    worker.start()
    print(queue.get(timeout=30), flush=True)
    worker.join()
    subprocess.run([sys.executable, "-c", "import app; app.tell()"], check=True)
    subprocess.run([sys.executable, "-S", "-c", "print('plain')"], check=True)
"""
    )
    command = [sys.executable, "-m", "agentsight_auto", "run", "--exclude", "mcp", "app.py"]
    path = os.pathsep.join([str(tmp_path / "site"), str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["(True, 'active', 'off')"] * 2 + ["plain"]


def test_doctor_says_what_is_here_and_what_is_not(tmp_path: Path) -> None:
    """Each integration is told with its version or the reason."""
    command = [sys.executable, "-m", "agentsight_auto", "doctor", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    import json

    found = json.loads(done.stdout)["integrations"]
    assert [one["name"] for one in found] == [integration.name for integration in CATALOGUE]


def test_the_switch_is_public() -> None:
    """The root package has both verbs, and an unknown name is an error."""
    with pytest.raises(ConfigurationException, match="no integration 'opnai'"):
        agentsight_auto.instrument("opnai")
    with pytest.raises(ConfigurationException):
        agentsight_auto.uninstrument("opnai")
