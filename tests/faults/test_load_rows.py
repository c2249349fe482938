"""C18 to C20 and the soaks: many threads, a burst, an event loop, and conversations that must stay apart."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentsight_auto import conversation, current_conversation, events, propagate, track_action
from agentsight_auto.testing import Recording, recording
from tests.faultserver import Fault, fault_server

from . import rig
from .table import Row

THREADS = """
    import resource
    from agentsight_auto import flush
    threads, each = int(sys.argv[1]), int(sys.argv[2])
    barrier = threading.Barrier(threads)
    def work(name):
        barrier.wait()
        with conversation(f"chat {name}") as chat:
            for number in range(each): chat.track_human_message(f"{name}-{number}")
    began = time.monotonic()
    running = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
    for thread in running: thread.start()
    for thread in running: thread.join()
    report = flush(60)
    took_s = time.monotonic() - began
    os.write(1, f"{took_s} {report.captured} {report.pending} {sum(report.lost.values())}\\n".encode())
"""


@pytest.mark.timeout(300)
def test_c18_a_thousand_threads(row: Row, tmp_path: Path) -> None:
    """Threads that all start at once lose nothing, and each keeps its order."""
    threads, each = (1000, 100) if row.is_full else (200, 10)
    ended = rig.run(tmp_path, THREADS, str(threads), str(each), timeout_s=200)
    assert ended.returncode == 0, ended.err
    took_s, captured, pending, lost = ended.acknowledged[0].split()
    rig.deliver_what_waits(tmp_path)
    row.provoke(f"{threads} threads x {each} events from one barrier")
    rig.judge(
        row, [f"{name}-{number}" for name in range(threads) for number in range(each)], rig.stored_texts(tmp_path)
    )
    with rig.opened(tmp_path) as connection:
        rows = connection.execute("SELECT content, event_id FROM messages ORDER BY at_us, event_id").fetchall()
    ids = len({event_id for _, event_id in rows})
    row.figure("distinct ids", asked=str(len(rows)), reached=ids, holds=ids == len(rows))
    last: dict[str, int] = {}
    swapped = 0
    for text, _ in rows:
        name, _, number = text.partition("-")
        swapped += int(number) < last.get(name, -1)
        last[name] = int(number)
    row.figure("out of a thread's order", asked="0", reached=swapped, holds=swapped == 0)
    row.figure("recorded and stored", asked="≤ 60 s", reached=f"{float(took_s):.1f} s", holds=float(took_s) <= 60)
    balance = int(captured) - threads * (each + 2) + int(lost) + int(pending)
    row.figure("captured - delivered - waiting - lost", asked="0", reached=balance, holds=balance == 0)


BURST = """
    import gc, resource
    from agentsight_auto import flush
    def rss():
        with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4096
    text = "x" * 1000
    count = int(sys.argv[1])
    with conversation("warm") as chat:
        for number in range(2000): chat.track_human_message(text)
    time.sleep(0.5)
    times = [0.0] * count
    before = peak = rss()
    clock = time.perf_counter
    with conversation("burst") as chat:
        track = chat.track_human_message
        for number in range(count):
            message = f"b-{number} {text}"
            began = clock()
            track(message)
            times[number] = clock() - began
            if number % 1000 == 0: peak = max(peak, rss())
    peak = max(peak, rss())
    times.sort()
    figures = [times[int(count * share)] for share in (0.5, 0.99, 0.999)]
    os.write(1, (" ".join(map(str, [*figures, peak - before])) + "\\n").encode())
    os._exit(0)
"""


@pytest.mark.timeout(300)
def test_c19_burst_while_the_server_hangs(row: Row, tmp_path: Path) -> None:
    """A burst of 1 kB events is kept at its pace, in bounded memory, though nothing gets through."""
    count = row.rounds(quick=5_000, full=100_000)
    with fault_server() as server:
        server.behave(Fault("hang"))
        ended = rig.run(tmp_path, BURST, str(count), server=server, timeout_s=200)
        server.behave(None)
        server._released.set()
        assert ended.returncode == 0, ended.err
        p50_s, p99_s, p999_s, rss_bytes = map(float, ended.acknowledged[0].split())
        rig.deliver_what_waits(tmp_path, server=server, timeout_s=120)
        found = Counter(text.split()[0] for text in rig.served_texts(server) if text.startswith("b-"))
    row.provoke(f"{count} events of 1 kB in a tight loop, server hangs, then os._exit")
    rig.judge(row, [f"b-{number}" for number in range(count)], found)
    strict = row.is_full
    row.figure("RSS", asked="≤ +20 MiB", reached=f"+{rss_bytes / 2**20:.1f} MiB", holds=rss_bytes <= 20 * 2**20)
    row.figure("call p50", asked="≤ 50 µs", reached=f"{1e6 * p50_s:.0f} µs", holds=p50_s <= 50e-6 or not strict)
    row.figure("call p99", asked="≤ 250 µs", reached=f"{1e6 * p99_s:.0f} µs", holds=p99_s <= 250e-6 or not strict)
    row.figure("call p99.9", asked="≤ 2 ms", reached=f"{1e3 * p999_s:.2f} ms", holds=p999_s <= 2e-3 or not strict)


LOOP = """
    import asyncio
    from agentsight_auto import flush, track_action
    duration_s = float(sys.argv[1])
    @track_action
    async def tool(number):
        await asyncio.sleep(0)
        return number
    async def chat(name, records):
        end = time.monotonic() + duration_s
        number = 0
        while time.monotonic() < end:
            if records:
                async with conversation(f"chat {name} {number}") as scope:
                    scope.track_human_message(f"{name}-{number}")
                    await tool(number)
            else:
                await asyncio.sleep(0)
            number += 1
            await asyncio.sleep(0.005)
        return [f"{name}-{n}" for n in range(number)] if records else []
    async def beat(gaps):
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            gaps.append(time.perf_counter() - began - 0.01)
    async def main():
        result = []
        texts = []
        for records in (False, True):
            gaps = []
            beating = asyncio.create_task(beat(gaps))
            for done in await asyncio.gather(*(chat(f"t{n}", records) for n in range(5))): texts += done
            beating.cancel()
            gaps.sort()
            result.append(gaps[min(int(len(gaps) * 0.999), len(gaps) - 1)])
        began = time.monotonic()
        acknowledge(*texts)
        os.write(1, f"{result[0]} {result[1]}\\n".encode())
    asyncio.run(main())
    os._exit(0)
"""


@pytest.mark.timeout(200)
@pytest.mark.parametrize("disk", ["the disk", "a disk whose sync takes 200 ms"])
def test_c20_event_loop(row: Row, tmp_path: Path, disk: str) -> None:
    """Recording on a loop while the server hangs adds no gap that anyone would notice."""
    if disk != "the disk":
        row.full_only("it needs strace")
    with fault_server() as server:
        server.behave(Fault("hang"))
        program = LOOP
        if disk != "the disk":
            program = (
                """
    import os as _os, subprocess as _subprocess, time as _time
    _tracer = _subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
        "-e", "inject=fdatasync,fsync:delay_exit=200000", "-p", str(_os.getpid())], stderr=_subprocess.DEVNULL)
    _time.sleep(1)
"""
                + LOOP
            )
        ended = rig.run(tmp_path, program, str(row.rounds(quick=2, full=15)), server=server)
        server.behave(None)
        server._released.set()
        assert ended.returncode == 0, ended.err
        without_s, with_s = map(float, ended.acknowledged.pop().split())
        rig.deliver_what_waits(tmp_path, server=server)
        row.provoke(f"5 tasks and a 10 ms heartbeat, server hangs, {disk}")
        rig.judge(row, ended.acknowledged, rig.served_texts(server))
    holds = with_s <= max(0.02, without_s + 0.02) or not row.is_full
    row.figure(
        "heartbeat gap p99.9 (without recording)",
        asked="≤ 20 ms",
        reached=f"{1e3 * with_s:.1f} ms ({1e3 * without_s:.1f} ms)",
        holds=holds,
    )


def test_c20_nothing_blocks_but_the_append(row: Row, tmp_path: Path) -> None:
    """`blockbuster` finds no other blocking call on the loop than the outbox's, which is allowed by name."""
    blockbuster = pytest.importorskip("blockbuster")
    blocked: list[str] = []

    @track_action
    async def tool(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> None:
        with blockbuster.blockbuster_ctx("agentsight_auto") as guard:
            for function in guard.functions.values():
                function.can_block_in(
                    "agentsight_auto/deliver/outbox.py",
                    {
                        "append",
                        "seal",
                        "_check_active",
                        "_open_active",
                        "_create",
                        "_create_in",
                        "_make_folder",
                        "_write_all",
                    },
                )
                function.can_block_in("agentsight_auto/deliver/folders.py", {"create_folder"})
                function.can_block_in("agentsight_auto/_settings.py", {"load_settings", "prepare_home"})
                function.can_block_in("agentsight_auto/_runtime.py", {"_make_home"})
            for number in range(200):
                try:
                    async with conversation(f"chat {number}") as chat:
                        chat.track_human_message(f"text-{number}")
                        await tool(number)
                except blockbuster.BlockingError as error:
                    blocked.append(str(error))

    with rig.recording_to(tmp_path):
        asyncio.run(main())
    row.provoke("200 blocks and actions on a loop under blockbuster")
    row.figure("blocking calls but the append", asked="0", reached=sorted(set(blocked)) or 0, holds=not blocked)


class Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@track_action
async def stream(name: str):
    for number in range(3):
        await asyncio.sleep(0)
        yield name if (current := current_conversation()) and current.conversation_id == name else f"wrong {number}"


@track_action
def tool(name: str) -> str | None:
    current = current_conversation()
    return current and current.conversation_id


def with_block(name: str) -> str | None:
    with conversation(name):
        return tool(name)


async def one_conversation(name: str, pool: ThreadPoolExecutor, chance: random.Random) -> list[str | None]:
    """Return in which conversations things were recorded that belong to `name`."""
    found: list[str | None] = []
    loop = asyncio.get_running_loop()
    async with conversation(name):
        found.append(tool(name))
        match chance.randrange(6):
            case 0:
                found.append(await asyncio.to_thread(tool, name))
            case 1:
                found.append(await loop.run_in_executor(pool, propagate(tool), name))
            case 2:
                found.append(await asyncio.wrap_future(pool.submit(propagate(tool), name)))
            case 3:
                handed = stream(name)
                found.append(await asyncio.create_task(anext(handed)))
                await asyncio.create_task(handed.aclose())
            case 4:
                handed = stream(name)
                found += [item async for item in handed]
            case _:
                found += await asyncio.gather(asyncio.to_thread(tool, name), asyncio.create_task(asleep(name)))
        await asyncio.sleep(0)
        found.append(tool(name))
    return found


async def asleep(name: str) -> str | None:
    await asyncio.sleep(0)
    return tool(name)


async def drain_elsewhere(name: str, others: asyncio.Queue) -> list[tuple[str, str]]:
    """Open a stream in one conversation and hand it over; drain what another task has handed over."""
    async with conversation(name):
        await others.put((name, stream(name)))
    async with conversation(f"{name} drains"):
        owner, handed = await others.get()
        return [(owner, item) async for item in handed]


@pytest.mark.timeout(550)
def test_c23_context_soak(row: Row) -> None:
    """Tasks, threads, executors and streams that change hands: each event in its conversation."""
    tasks, conversations = (1000, 200) if row.is_full else (100, 5)
    wrong = raised = total = 0
    logged = Logged()
    logging.getLogger().addHandler(logged)
    unraisable: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, unraisable.append

    async def task(number: int, pool: ThreadPoolExecutor, others: asyncio.Queue) -> None:
        nonlocal wrong, raised, total
        chance = random.Random(number)
        for which in range(conversations):
            name = f"{number}/{which}"
            try:
                found = await one_conversation(name, pool, chance)
                wrong += sum(one != name for one in found)
                if which % 10 == 0:
                    drained = await drain_elsewhere(name, others)
                    wrong += sum(owner != item for owner, item in drained)
            except Exception as error:  # noqa: BLE001 - counted
                raised += 1
                logged.lines.append(repr(error))
            total += 1

    async def main() -> None:
        others: asyncio.Queue = asyncio.Queue()
        with ThreadPoolExecutor(8) as pool:
            await asyncio.gather(*(task(number, pool, others) for number in range(tasks)))

    began = time.monotonic()
    try:
        with recording() as recorder:
            recorder._destination.deliver = lambda batch: [events.Answer(event.id, "stored") for event in batch]  # type: ignore[method-assign]
            asyncio.run(main())
    finally:
        sys.unraisablehook = before
        logging.getLogger().removeHandler(logged)
    row.provoke(
        f"{tasks} tasks x {conversations} conversations: to_thread, run_in_executor, executors, tasks, "
        f"streams handed over and closed elsewhere ({time.monotonic() - began:.0f} s)"
    )
    row.figure("in a wrong conversation", asked="0", reached=wrong, holds=wrong == 0)
    row.figure("exceptions", asked="0", reached=raised + len(unraisable), holds=not raised and not unraisable)
    about = [line for line in logged.lines if "ontext" in line]
    row.figure("log lines about contexts", asked="0", reached=about[:1] or 0, holds=not about)
    assert total == tasks * conversations


@pytest.mark.parametrize("kind", ["thread", "thread outside a block"])
def test_c23_threads_left_to_themselves(row: Row, recorded: Recording, kind: str) -> None:
    """Blocks of many threads at once never see each other."""
    found: list[tuple[str, str | None]] = []

    def work(name: str) -> None:
        found.extend((name, with_block(f"{name}")) for _ in range(20))

    workers = [threading.Thread(target=work, args=(f"{kind} {number}",)) for number in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wrong = sum(name != seen for name, seen in found)
    row.provoke("20 threads x 20 blocks")
    row.figure("in a wrong conversation", asked="0", reached=wrong, holds=wrong == 0)
    assert len(recorded.action_names()) == 400
