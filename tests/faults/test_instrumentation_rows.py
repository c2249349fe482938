"""C24 and C25: faults inside the instrumentation, re-entrancy, and a host that stays as found."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.faultserver import fault_server

from . import rig
from .environments import environment_with
from .table import Row

USER_PROGRAM = """
import asyncio, contextlib, functools, json
from concurrent.futures import ThreadPoolExecutor
from agentsight_auto import conversation, conversation_tracker, current_conversation, propagate, track_action, flush

@track_action
def add(a, b=2): return a + b
@track_action("divide")
def divide(a, b): return a / b
@track_action
async def later(x):
    await asyncio.sleep(0)
    return [x]
@track_action
def count(n):
    got = yield from range(n)
    return got
@track_action
async def acount(n):
    for i in range(n):
        yield i
class Shop:
    @track_action
    def price(self, x): return x * 3
    @classmethod
    @track_action
    def make(cls): return cls.__name__
@conversation("handler", customer_id="mia")
def handler(text): return text.upper()

@track_action
def fail(kind): raise kind("of the user")

def decorated_late():
    @track_action
    def bare(x): return x
    @track_action("named", exclude=["password"])
    def named(x, password): return x
    @conversation(id_from="chat_id")
    async def chat(chat_id): return chat_id
    @propagate
    def items(n): yield from range(n)
    partial = track_action("partial")(functools.partial(bare, 4))
    @conversation("streamed")
    def lines(n): yield from range(n)
    first = next(stream := lines(5)); stream.close()
    @conversation("streamed")
    async def alines(n):
        for i in range(n): yield i
    async def drain(): return [i async for i in alines(3)]
    made = bare(1), named(2, password="p"), asyncio.run(chat("c")), list(items(2)), partial()
    return *made, first, list(lines(2)), asyncio.run(drain())

async def streams():
    async with conversation("async", source="web") as chat:
        chat.track_human_message("hello", metadata={"a": [1, {"b": 2}]})
        items = [i async for i in acount(3)]
        stream = acount(5)
        first = await anext(stream)
        await stream.aclose()
        return await later(5), items, first

def program():
    out = []
    with conversation("chat", customer_id="mia", metadata={"plan": "gold"}) as chat:
        chat.track_human_message("where is it?")
        out.append(add(1, b=5))
        with contextlib.suppress(ZeroDivisionError): divide(1, 0)
        with track_action("block") as action: action.response = {"x": 1}
        out.append(list(count(3)))
        out.append(Shop().price(2)); out.append(Shop.make())
        with ThreadPoolExecutor(1) as pool: out.append(pool.submit(propagate(add), 1).result(10))
        chat.track_agent_message("here"); chat.track_token_usage(1, 2)
        chat.track_button("pressed", "Yes", "yes")
        chat.track_action("by hand", duration_ms=3, response={"a": 1})
        out.append(handler("shout"))
    out.append(asyncio.run(streams()))
    try:
        with conversation("fails"): raise KeyError("of the user")
    except KeyError as error: out.append(repr(error))
    for kind in (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
        try:
            with conversation("passes"), track_action("on its way"): fail(kind)
        except BaseException as error: out.append(repr(error))
    out.append(decorated_late())
    conversation_tracker.get_or_create_conversation("bound", name="x")
    conversation_tracker.track_human_message("outside")
    out.append(add(40))
    flush(0.3)
    return json.dumps(out)
"""

INJECT = """
import ast, importlib, inspect, logging, os, pkgutil, signal, sys, textwrap, threading, types, warnings
warnings.simplefilter("ignore")
logging.disable()
import agentsight_auto
PARTS = ("capture", "deliver", "snapshot", "redact", "store", "query")
PARTS += ("events", "_runtime", "_backends", "_context", "_clock", "_ids", "_opening", "_settings")
PARTS += ("_setting_values",)
OUTERMOST = set(sys.argv[4].split(","))
ERRORS = ("Exception", "MemoryError", "RecursionError", "KeyError")

def modules():
    for part in PARTS:
        name = f"agentsight_auto.{part}"
        module = importlib.import_module(name)
        yield module
        for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
            yield importlib.import_module(found.name)

def catches(statement):
    broad = {"Exception", "BaseException"}
    return isinstance(statement, ast.Try) and any(getattr(h.type, "id", "") in broad for h in statement.handlers)

def with_fault_inside(function, error):
    "The code of a function that catches what fails in it, failing at the first place where it can be caught."
    try: tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError): return None
    definition = tree.body[0]
    if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)): return None
    inner = next((one for one in definition.body if catches(one)), None)
    plain = (ast.Expr, ast.Return, ast.Assign, ast.AnnAssign)
    if inner is None or any(not isinstance(one, (ast.Try, *plain)) for one in definition.body): return None
    definition.decorator_list = []
    inner.body.insert(0, ast.parse(f"if True: raise {error}('injected')").body[0])
    cells = function.__code__.co_freevars
    if cells:  # made inside a function of the same variables, so that it closes over them
        outer = ast.parse(f"def outer():\\n    {' = '.join(cells)} = None").body[0]
        outer.body.append(definition)
        tree.body = [outer]
    code = compile(ast.fix_missing_locations(tree), "injected", "exec")
    for name in ["outer"] * bool(cells) + [definition.name]:
        code = next(one for one in code.co_consts if isinstance(one, types.CodeType) and one.co_name == name)
    return code

def functions():
    "Every function of ours that has code, beneath its decorators; not the net and not what the user calls."
    found = {}
    def take(value):
        value = inspect.unwrap(value) if callable(value) else value
        if isinstance(value, (classmethod, staticmethod)): value = value.__func__
        if isinstance(value, property): value = value.fget
        if hasattr(value, "func") and inspect.isfunction(getattr(value, "func", None)): value = value.func
        if inspect.isfunction(value) and value.__module__.startswith("agentsight_auto."):
            name = f"{value.__module__.removeprefix('agentsight_auto.')}.{value.__qualname__}"
            if value.__module__ != "agentsight_auto._guard" and name not in OUTERMOST: found[name] = value
    for module in modules():
        for value in list(vars(module).values()):
            take(value)
            if inspect.isclass(value) and value.__module__.startswith("agentsight_auto."):
                for member in list(vars(value).values()):
                    try: take(member)
                    except (ValueError, TypeError): pass
    return found

RAISERS = {}
for name in ERRORS:
    space = {}
    exec(f"def raiser(*args, **kwargs): raise {name}('injected')", space)
    RAISERS[name] = space["raiser"].__code__

exec(compile(open(sys.argv[1]).read(), "user_program", "exec"))
expected = program()  # also loads everything that is loaded late
flush(5)

def in_child(work):
    "Run `work` in a child; return what it gives, or how the child ended."
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code_number = 9
        try:
            os.close(read)
            signal.alarm(25)
            devnull = os.open(os.devnull, os.O_WRONLY); os.dup2(devnull, 2)
            os.write(write, work().encode()[:60_000])
            code_number = 0
        finally:
            os._exit(code_number)
    os.close(write)
    with os.fdopen(read, "rb") as pipe: seen = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return seen if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else f"ended with {status} {seen}"

def called():
    "Run the program and return the numbers of the functions it came through, on any thread."
    numbers = {function.__code__: number for number, (_, function) in enumerate(everything)}
    seen = set()
    def note(frame, event, arg):
        if event == "call" and frame.f_code in numbers: seen.add(numbers[frame.f_code])
    threading.setprofile(note); sys.setprofile(note)
    program()
    sys.setprofile(None); threading.setprofile(None)
    return " ".join(map(str, sorted(seen)))

def attempt(function, error):
    def work():
        inside = with_fault_inside(function, error)
        function.__code__ = inside or RAISERS[error].replace(co_freevars=function.__code__.co_freevars)
        try: return program()
        except BaseException as seen: return f"{type(seen).__name__}: {seen}"
    return in_child(work)

everything = sorted(functions().items())
reached = sorted({int(number) for _ in range(3) for number in in_child(called).split()})
share, which = int(sys.argv[2]), int(sys.argv[3])
bad, tried = [], 0
for index, number in enumerate(reached):
    name, function = everything[number]
    for place, error in enumerate(ERRORS):
        if (index * 4 + place) % share != which: continue
        tried += 1
        seen = attempt(function, error)
        if seen != expected: bad.append(f"{name} {error}: {seen[:150]}")
guards = sum(with_fault_inside(everything[number][1], "KeyError") is not None for number in reached)
print(len(everything), len(reached), tried, guards)
for line in bad: print(line)
"""

OUTERMOST = [
    *["capture.action.track_action", "capture.conversation.conversation", "capture.propagation.propagate"],
    *(f"capture.action.TrackedBlock.{name}" for name in ("__call__", "__enter__", "__exit__")),
    *(
        f"capture.conversation.ConversationBlock.{name}"
        for name in ("__call__", "__enter__", "__exit__", "__aenter__", "__aexit__")
    ),
    *(f"capture.shapes.{name}.__call__" for name in ("_Function", "_Coroutine", "_Generator", "_AsyncGenerator")),
    "capture.shapes._Wrapped.__get__",
]
"""What the user's own call, with statement or attribute lands in: in its place no fault lies inside."""


@pytest.mark.timeout(580)
@pytest.mark.skipif(sys.platform == "win32", reason="fork is POSIX")
def test_c24_fault_in_every_internal_function(row: Row, tmp_path: Path) -> None:
    """With any one function of ours raising, the user's program sees no difference."""
    script = tmp_path / "inject.py"
    script.write_text(INJECT)
    user = tmp_path / "user_program.py"
    user.write_text(USER_PROGRAM)
    drivers = row.rounds(quick=1, full=6)  # they mostly wait
    share = row.rounds(quick=60, full=drivers)
    running = [
        subprocess.Popen(
            [sys.executable, str(script), str(user), str(share), str(which), ",".join(OUTERMOST)],
            env=rig.environment(tmp_path / f"home-{which}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for which in range(drivers)
    ]
    bad: list[str] = []
    tried = 0
    functions = reached = guards = ""
    for driver in running:
        out, err = driver.communicate(timeout=570)
        assert driver.returncode == 0, err
        first, *found = out.splitlines()
        functions, reached, some, guards = first.split()
        tried += int(some)
        bad += found
    row.provoke(
        f"Exception, MemoryError, RecursionError, KeyError in each of the {reached} functions of {functions} that a "
        f"program of all kinds of calls comes through ({tried} runs; in {guards} that catch failures themselves, "
        f"inside); left out: the {len(OUTERMOST)} that the program's own calls, with statements and attributes land in"
    )
    row.figure("difference the user sees", asked="0", reached=f"{len(bad)}: {bad[:3]}" if bad else 0, holds=not bad)


RE_ENTRANT = """
    import gc, logging, signal
    from agentsight_auto import _runtime, track_action, flush
    logging.basicConfig(stream=sys.stderr)
    made = 0
    def one(where):
        global made
        with conversation("inside") as chat: chat.track_human_message(f"{where}-{made}")
        made += 1

    class Handler(logging.Handler):
        depth = 0
        deepest = 0
        def emit(self, record):
            Handler.depth += 1
            Handler.deepest = max(Handler.deepest, Handler.depth)
            if record.name.startswith("agentsight") and record.levelno > logging.INFO: os.write(2, b"ours ")
            if Handler.depth < 5: one("handler")
            Handler.depth -= 1
    logging.getLogger().addHandler(Handler())
    logging.getLogger("agentsight_auto").setLevel(1)

    class Captures:
        def __init__(self): self.me = self
        def __del__(self): one("del")
    signal.signal(signal.SIGALRM, lambda *_: one("signal"))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    end = time.monotonic() + float(sys.argv[1])
    number = 0
    while time.monotonic() < end:
        Captures()
        logging.getLogger("host").info("a line")
        with conversation(f"outer {number}") as chat:
            chat.track_human_message(f"outer-{number}")
            _runtime.default().pipeline._gate.run(gc.collect)  # a __del__ while our lock is held
        acknowledge(f"outer-{number}")
        number += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    report = flush(10)
    from agentsight_auto import _guard
    settled = report.delivered + report.pending + sum(report.lost.values())
    failures = sum(_guard.failures.values())
    os.write(1, f"made={made} balance={report.captured - settled} number={number} failures={failures}\\n".encode())
"""


@pytest.mark.timeout(120)
def test_c25_re_entrancy(row: Row, tmp_path: Path) -> None:
    """Signal handlers, log handlers and `__del__` under our lock record; nothing hangs, all is accounted for."""
    ended = rig.run(tmp_path, RE_ENTRANT, str(row.rounds(quick=1, full=10)), timeout_s=60)
    assert ended.returncode == 0, ended.err[-2000:]
    figures = dict(part.split("=") for part in ended.acknowledged.pop().split())
    rig.deliver_what_waits(tmp_path)
    texts = rig.stored_texts(tmp_path)
    inside = sum(times for text, times in texts.items() if not text.startswith("outer"))
    row.provoke(
        f"{figures['number']} blocks with {figures['made']} recorded by signal handlers, log handlers and __del__ "
        "under our lock"
    )
    rig.judge(row, ended.acknowledged, type(texts)(dict.fromkeys(texts, 1)))
    short = int(figures["made"]) - inside
    row.figure(
        "re-entrant events neither stored nor counted",
        asked="0",
        reached=short,
        holds=short <= int(figures["failures"]),
    )
    row.figure(
        "captured - delivered - waiting - lost", asked="0", reached=figures["balance"], holds=figures["balance"] == "0"
    )
    ours = ended.err.count("ours")
    row.figure("warnings of ours", asked="0", reached=ours, holds=ours == 0)


HOST = """
    import asyncio, gc, logging, warnings, threading
    def state():
        root = logging.getLogger()
        return {
            "signals": [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD)],
            "root handlers": list(root.handlers), "root level": root.level, "raise": logging.raiseExceptions,
            "warnings": list(warnings.filters), "show": warnings.showwarning,
            "excepthook": sys.excepthook, "unraisable": sys.unraisablehook, "threading": threading.excepthook,
            "policy": type(asyncio.get_event_loop_policy()).__name__ if sys.version_info < (3, 14) else None,
            "hooks": sys.get_asyncgen_hooks(), "trace": (sys.gettrace(), sys.getprofile()),
            "gc": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks)),
            "switch": sys.getswitchinterval(), "recursion": sys.getrecursionlimit(), "path": list(sys.path),
            "environ": dict(os.environ), "cwd": os.getcwd(), "umask": (os.umask(0o22), os.umask(0o22))[1],
            "Thread.start": threading.Thread.start, "Thread.run": threading.Thread.run,
        }
    before = state()
    from agentsight_auto import flush, track_action
    @track_action
    async def tool(): return 1
    async def main():
        loop = asyncio.get_running_loop()
        def look():
            return loop.get_exception_handler(), loop.get_debug(), loop._default_executor, sys.get_asyncgen_hooks()
        first = look()
        async with conversation("async") as chat:
            chat.track_human_message("hello")
            await tool()
        assert look() == first
    asyncio.run(main())
    record("block left", "text", 30)
    flush(10)
    after = state()
    changed = [name for name in before if before[name] != after[name] and name != "path"]
    os.write(1, f"changed={changed}\\n".encode())
"""


def test_c25_the_host_stays_as_found(row: Row, tmp_path: Path) -> None:
    """Signals, logging, warnings, hooks, the event loop, the environment: all are the host's afterwards."""
    with fault_server() as server:
        ended = rig.run(tmp_path, HOST, server=server)
        assert ended.returncode == 0, ended.err
        changed = ended.acknowledged.pop().partition("=")[2]
        row.provoke(
            "signals, logging, warnings, hooks, loop, gc, environment compared before and after recording over HTTP"
        )
        row.figure("changed of the host's", asked="nothing", reached=changed, holds=changed == "[]")
        assert len(rig.served_texts(server)) == 31


OPENTELEMETRY = """
import os, sys, time, random
import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
exporter = InMemorySpanExporter()
provider = TracerProvider(sampler=TraceIdRatioBased(0.1))
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
HTTPXClientInstrumentor().instrument()
tracer = trace.get_tracer("host")
made = []
from agentsight_auto import conversation, flush, track_action
@track_action
def tool(n): return trace.get_current_span().get_span_context().span_id
for number in range(1000):
    with tracer.start_as_current_span(f"host {number}") as span:
        with conversation(f"chat {number}") as chat:
            chat.track_human_message(f"text-{number}")
            same = tool(number) == span.get_span_context().span_id
        if not same: made.append(number)
flush(20)
names = [span.name for span in exporter.get_finished_spans()]
foreign = [name for name in names if not name.startswith("host ")]
print(len(names), len(foreign), len(made), trace.get_tracer_provider() is provider, sep=",")
"""


@pytest.mark.timeout(300)
def test_c25_opentelemetry_of_the_host(row: Row, tmp_path: Path) -> None:
    """With the host's tracing at 10 % every conversation is recorded, and our HTTP calls make no span."""
    row.full_only("it needs an environment of its own")
    python = environment_with("opentelemetry-sdk", "opentelemetry-instrumentation-httpx")
    with fault_server() as server:
        done = subprocess.run(
            [python, "-c", textwrap.dedent(OPENTELEMETRY)],
            env=rig.environment(tmp_path, server=server),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        spans, foreign, changed, is_same = done.stdout.strip().split(",")
        row.provoke(
            "host with OpenTelemetry sampling at 10 % and its httpx instrumentation, 1,000 conversations over HTTP"
        )
        rig.judge(row, [f"text-{number}" for number in range(1000)], rig.served_texts(server))
    row.figure("spans of ours in the host's traces", asked="0", reached=f"{foreign} of {spans}", holds=foreign == "0")
    row.figure("host's current span changed", asked="0", reached=changed, holds=changed == "0" and is_same == "True")
