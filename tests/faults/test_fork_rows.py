"""C11 to C13: forks at the worst moment, every way of making children, and greenlets."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.deliver.support import eventually

from . import rig
from .accounts import CHILD_BOOKS
from .environments import environment_with
from .table import Row

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork is POSIX")

LOCKED = """
    import _thread, gc, logging, warnings
    warnings.simplefilter("ignore")
    records = []
    class Handler(logging.Handler):
        def emit(self, record): records.append(record)
    logging.getLogger("agentsight_auto").addHandler(Handler())
    from agentsight_auto import _runtime, agentsight_api, flush
    record("block left", "before", 3)
    agentsight_api.fetch_conversations()
    flush(10)

    KINDS = (type(threading.Lock()), type(threading.RLock()))

    def locks():
        "Every lock that an object of ours holds, by where it is."
        found, seen, todo = {}, set(), [("runtime", _runtime.default())]
        for name, module in list(sys.modules.items()):
            if name.startswith("agentsight_auto"):
                todo += [(f"{name}.{key}", value) for key, value in vars(module).items() if not key.startswith("__")]
        while todo:
            where, value = todo.pop()
            if isinstance(value, KINDS):
                found.setdefault(id(value), (where, value))
            if id(value) in seen or not type(value).__module__.startswith("agentsight_auto"): continue
            seen.add(id(value))
            slots = [slot for cls in type(value).__mro__ for slot in getattr(cls, "__slots__", ())]
            inside = dict(getattr(value, "__dict__", {})) | {s: getattr(value, s, None) for s in slots}
            todo += [(f"{where}.{key}", entry) for key, entry in inside.items()]
        return sorted(found.values(), key=lambda pair: pair[0])

    for where, lock in locks():
        held, let_go = threading.Event(), threading.Event()
        def hold():
            with lock:
                held.set()
                let_go.wait(30)
        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(10)
        before = len(records)
        child = os.fork()
        if child == 0:
            began = time.monotonic()
            at_fork = len(records)
            with conversation("chat in the child") as chat:
                chat.track_human_message(f"child-{where}")
            report = flush(5)
            took_s = time.monotonic() - began
            os.write(1, f"{where} {took_s:.3f} {report.pending} {at_fork - before}\\n".encode())
            os._exit(0)
        os.waitpid(child, 0)
        let_go.set()
        holder.join()
"""


@pytest.mark.timeout(200)
def test_c11_fork_with_every_lock_held(row: Row, tmp_path: Path) -> None:
    """Whatever lock of ours another thread holds at the fork, the child records and delivers within a second."""
    ended = rig.run(tmp_path, LOCKED.replace('-W", "error', ""), timeout_s=180)
    assert ended.returncode == 0, ended.err
    found = [line.split() for line in ended.acknowledged if len(line.split()) == 4]
    row.provoke(f"fork with each of {len(found)} locks held by another thread in turn")
    slowest = max(found, key=lambda line: float(line[1]))
    limit_s = 1.0 if row.is_full else 15.0
    row.figure("child done", asked="≤ 1 s", reached=f"{float(slowest[1]):.2f} s", holds=float(slowest[1]) <= limit_s)
    logged = sum(int(line[3]) for line in found)
    row.figure("logged in the fork hook", asked="0", reached=logged, holds=logged == 0)
    rig.deliver_what_waits(tmp_path)
    rig.judge(row, [f"child-{line[0]}" for line in found], rig.stored_texts(tmp_path))
    assert len(found) >= 5


FORKS = {
    "os.fork": """
        child = os.fork()
        record("block left", "child" if child == 0 else "after", 501)
        if child: os.waitpid(child, 0)
    """,
    "subprocess.Popen": """
        import subprocess
        code = "from agentsight_auto import conversation\\nwith conversation('c') as c:\\n"
        code += " for n in range(501): c.track_human_message(f'child-{n}')"
        subprocess.run([sys.executable, "-c", code], check=True)
        for number in range(501): acknowledge(f"child-{number}")
    """,
}

POOL = """
import multiprocessing, os
from agentsight_auto import conversation

def work(name):
    with conversation(f"chat {name}") as chat:
        for number in range(501):
            chat.track_human_message(f"{name}-{number}")

if __name__ == "__main__":
    with conversation("parent") as chat:
        for number in range(501):
            chat.track_human_message(f"before-{number}")
    context = multiprocessing.get_context(METHOD)
    child = context.Process(target=work, args=("child",))
    child.start(); child.join()
"""


@pytest.mark.timeout(200)
def test_c12_fork_with_events_waiting(row: Row, tmp_path: Path) -> None:
    """Parent and child each deliver their own, whichever way the child was made."""
    wanted = {f"{name}-{number}" for name in ("before", "child") for number in range(501)}
    for variant, statements in FORKS.items():
        home = tmp_path / variant
        program = textwrap.dedent(
            'import warnings; warnings.simplefilter("ignore")\nrecord("block left", "before", 501)\n'
        )
        ended = rig.run(home, program + textwrap.dedent(statements))
        assert ended.returncode == 0, ended.err
        rig.deliver_what_waits(home)
        assert wanted <= set(ended.acknowledged)
        rig.judge(row, ended.acknowledged, rig.stored_texts(home))
    methods = ("fork", "forkserver", "spawn") if row.is_full else ("spawn",)
    for method in methods:
        home = tmp_path / method
        script = tmp_path / f"{method}.py"
        script.write_text(POOL.replace("METHOD", repr(method)))
        done = subprocess.run(
            [sys.executable, str(script)],
            env=rig.environment(home),
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        rig.deliver_what_waits(home)
        rig.judge(row, wanted, rig.stored_texts(home))
    row.provoke(f"500 and more events waiting at {', '.join([*FORKS, *(f'multiprocessing {m}' for m in methods)])}")


def test_c12_parent_dies_while_the_child_lives(row: Row, tmp_path: Path) -> None:
    """What the parent could not deliver is adopted by its living child within 5 s and a bit."""
    program = """
        import warnings; warnings.simplefilter("ignore")
        from agentsight_auto import flush
        os.environ.pop("AGENTSIGHT_JOURNAL_INTERVAL_MS", None)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            record("block left", "child", 3)
            end = time.monotonic() + 15
            while time.monotonic() < end: time.sleep(0.05)
            os._exit(0)
        record("block left", "parent", 300)
        os.write(write, b"x")
        os.kill(os.getpid(), 9)
    """
    child = rig.start(tmp_path, program)
    assert child.stdout is not None
    acknowledged = []
    for line in child.stdout:
        acknowledged.append(line.strip())
        if len(acknowledged) == 303:
            break
    began = time.monotonic()
    while time.monotonic() - began < 12:
        found = rig.stored_texts(tmp_path)
        if set(acknowledged) <= set(found):
            break
        time.sleep(0.05)
    took_s = time.monotonic() - began
    child.stdout.close()
    assert child.stderr is not None
    child.stderr.close()
    child.wait(5)
    row.provoke("the parent dies of kill -9 while its forked child lives")
    row.figure("adopted", asked="≤ 5 s", reached=f"{took_s:.1f} s", holds=took_s <= (6 if row.is_full else 10))
    rig.judge(row, acknowledged, rig.stored_texts(tmp_path))


GUNICORN = """
from agentsight_auto import conversation, track_action

with conversation("at import") as chat:
    chat.track_human_message("preloaded")

def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    with conversation(f"chat {name}") as chat:
        chat.track_human_message(name)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.mark.timeout(300)
def test_c12_gunicorn_preload(row: Row, tmp_path: Path) -> None:
    """Two workers forked from a master that has recorded lose and double nothing."""
    import httpx

    row.full_only("it needs an environment of its own")
    python = environment_with("gunicorn")
    (tmp_path / "web.py").write_text(GUNICORN)
    socket = "127.0.0.1:18743"
    master = subprocess.Popen(
        [python, "-m", "gunicorn", "--preload", "-w", "2", "-b", socket, "--chdir", str(tmp_path), "web:app"],
        env=rig.environment(tmp_path / "home"),
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://{socket}/first")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        texts = [f"r{number}" for number in range(1000)]
        with httpx.Client(base_url=f"http://{socket}") as client:
            for text in texts:
                assert client.get(f"/{text}").status_code == 200
    finally:
        master.terminate()
        master.wait(20)
    rig.deliver_what_waits(tmp_path / "home")
    row.provoke("gunicorn --preload with two workers, 1,000 requests")
    rig.judge(row, ["preloaded", "first", *texts], rig.stored_texts(tmp_path / "home"))


CELERY = """
import os
from celery import Celery
from agentsight_auto import conversation

folders = dict.fromkeys(("data_folder_in", "data_folder_out"), os.environ["QUEUE"])
app = Celery("jobs", broker="filesystem://", broker_transport_options={**folders, "polling_interval": 0.01})
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

if "RECORDS_AT_IMPORT" in os.environ:
    with conversation("at import") as chat:
        for number in range(501): chat.track_human_message(f"preloaded-{number}")

@app.task
def work(number):
    with conversation(f"chat {number}") as chat:
        chat.track_human_message(f"t{number}")
"""


@pytest.mark.timeout(300)
def test_c12_celery_prefork(row: Row, tmp_path: Path) -> None:
    """Two processes forked from a Celery worker with events waiting lose and double nothing."""
    row.full_only("it needs an environment of its own")
    python = environment_with("celery")
    (tmp_path / "jobs.py").write_text(CELERY)
    (tmp_path / "queue").mkdir()
    environment = rig.environment(tmp_path / "home", QUEUE=str(tmp_path / "queue"))
    command = [python, "-m", "celery", "-A", "jobs", "worker", "-P", "prefork", "-c", "2", "--loglevel", "error"]
    texts = {f"t{number}" for number in range(1000)}
    # All are sent before the worker starts: that broker lets a worker take a file that is only half written.
    send = "import jobs\nfor number in range(1000): jobs.work.delay(number)"
    subprocess.run([python, "-c", send], cwd=tmp_path, env=environment, check=True, timeout=120)
    worker = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        cwd=tmp_path,
        env={**environment, "RECORDS_AT_IMPORT": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert eventually(lambda: texts <= rig.stored_texts(tmp_path / "home").keys(), 120)
    finally:
        worker.terminate()
        worker.wait(30)
    rig.deliver_what_waits(tmp_path / "home")
    row.provoke("Celery prefork with two processes, 501 events waiting at the fork, 1,000 tasks")
    wanted = {*texts, *(f"preloaded-{number}" for number in range(501))}
    rig.judge(row, wanted, rig.stored_texts(tmp_path / "home"))


GREENLETS = """
import sys, time
FIRST
from LIBRARY import sleep, spawn
from agentsight_auto import conversation, track_action, current_conversation, flush

@track_action
def tool(number):
    sleep(0.001)
    return current_conversation().conversation_id

wrong, done = [], []
def work(number):
    with conversation(f"chat {number}") as chat:
        chat.track_human_message(f"g-{number}")
        sleep(0)
        if tool(number) != f"chat {number}": wrong.append(number)
    done.append(number)

def idle(number):
    sleep(0.001)
    done.append(number)

lags = []
def beat():
    while lags is not None:
        began = time.perf_counter()
        sleep(0.01)
        if lags is not None: lags.append(time.perf_counter() - began - 0.01)

def run(what):
    done.clear(); lags.clear()
    for start in range(0, 1000, 50):
        for number in range(start, start + 50): spawn(what, number)
        while len(done) < start + 50: sleep(0.001)
        if start == 0: sleep(1)  # the store is opened for the first time, and takes the first events
        sleep(0.05)

spawn(beat)
run(idle)
without = sorted(lags)
run(work)
report = flush(20)
sleep(0.02)
found, lags = sorted(lags), None
print("result", len(wrong), report.pending, *(each[int(len(each) * 0.99)] for each in (without, found)), found[-1])
"""

ORDERS = {
    "gevent, patched before the import": ("gevent", "from gevent import monkey; monkey.patch_all()", ""),
    "gevent, patched after the import": ("gevent", "", "from gevent import monkey; monkey.patch_all()"),
    "eventlet, patched before the import": ("eventlet", "import eventlet; eventlet.monkey_patch()", ""),
    "eventlet, patched after the import": ("eventlet", "", "import eventlet; eventlet.monkey_patch()"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("order", ORDERS)
def test_c13_greenlets(row: Row, tmp_path: Path, order: str) -> None:
    """A thousand greenlets record, each in its own conversation; nothing hangs, and the hub goes on meanwhile."""
    row.full_only("it needs an environment of its own")
    library, before, after = ORDERS[order]
    python = environment_with(library)
    program = GREENLETS.replace("FIRST", f"{before}\nimport agentsight_auto\n{after}").replace("LIBRARY", library)
    done = subprocess.run(
        [python, "-c", CHILD_BOOKS + program],
        env=rig.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, wrong, _, *lags = done.stdout.split()
    without_ms, lag99_ms, longest_ms = (1000 * float(one) for one in lags)
    rig.deliver_what_waits(tmp_path)
    row.provoke(f"1,000 greenlets, {order}")
    rig.judge(row, [f"g-{number}" for number in range(1000)], rig.stored_texts(tmp_path))
    row.figure("in a wrong conversation", asked="0", reached=wrong, holds=wrong == "0")
    row.figure(
        "hub lag p99 (without recording)",
        asked="≤ 50 ms",
        reached=f"{lag99_ms:.1f} ms ({without_ms:.1f} ms)",
        holds=lag99_ms <= max(50, without_ms + 50),
    )
    row.figure("hub lag, longest", asked="told", reached=f"{longest_ms:.0f} ms", holds=True)
    printed = "a traceback" if "Traceback" in done.stderr else "nothing" if library in done.stderr else done.stderr
    row.figure("printed", asked="no traceback", reached=printed or "nothing", holds="Traceback" not in done.stderr)
