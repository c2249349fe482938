"""What recording threads and callers that can wait get from a pipeline."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.gate import Gate
from agentsight_auto.deliver.pacing import Backoff
from agentsight_auto.deliver.pipeline import Pipeline
from agentsight_auto.deliver.rejected import Rejected, RejectedEvent
from agentsight_auto.deliver.segment import parse
from agentsight_auto.deliver.worker import THREAD_NAME

from .conftest import MakePipeline
from .support import FickleDestination, eventually, id_of, ids_of, make_line, make_lines


def on_disk(outbox: Path) -> list[bytes]:
    """Return every line that is in a segment now."""
    lines = []
    for path in sorted(outbox.glob("*/*.segment")):
        try:
            lines += parse(path.read_bytes()).records
        except FileNotFoundError:
            continue
    return lines


def test_importing_the_pipeline_loads_nothing_heavy() -> None:
    """Neither the store nor an HTTP client is loaded by the stage `deliver`."""
    program = (
        "import sys; import agentsight_auto.deliver.pipeline, agentsight_auto.deliver.local;"
        "assert not {'sqlalchemy', 'httpx', 'dotenv', 'portalocker'} & {m.split('.')[0] for m in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20, cwd=Path(__file__).parents[2])


def test_making_a_pipeline_opens_and_starts_nothing(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Before the first event there is no folder and no thread."""
    threads = set(threading.enumerate())
    pipeline = make_pipeline()
    assert pipeline.report().captured == 0
    assert pipeline.flush(10).is_complete
    assert not outbox.exists()
    assert set(threading.enumerate()) <= threads


def test_committed_lines_are_on_disk_when_commit_returns(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Commit writes everything appended so far, without waiting for delivery."""
    pipeline = make_pipeline(to=_hanging())
    lines = make_lines(10)
    for line in lines:
        pipeline.append(line)
    pipeline.commit()
    assert on_disk(outbox) == lines


def _hanging() -> FickleDestination:
    destination = FickleDestination()
    destination.error = DeliveryError("down")
    return destination


def test_appended_lines_are_on_disk_after_the_journal_interval(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Nobody needs to commit: the worker journals what is buffered."""
    pipeline = make_pipeline(to=_hanging(), journal_interval_s=0.05)
    line = make_line()
    pipeline.append(line)
    assert eventually(lambda: on_disk(outbox) == [line])


def test_without_an_interval_every_append_is_written_through(make_pipeline: MakePipeline, outbox: Path) -> None:
    """`journal_interval_s=0` makes an event safe before the call returns."""
    pipeline = make_pipeline(to=_hanging(), journal_interval_s=0)
    for count in range(1, 5):
        pipeline.append(make_line())
        assert len(on_disk(outbox)) == count


def test_a_full_buffer_is_written_on_the_callers_thread(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Beyond 64 KiB nothing waits for the worker."""
    pipeline = make_pipeline(to=_hanging(), journal_interval_s=3600)
    for line in make_lines(8, "x" * 9000):
        pipeline.append(line)
    assert len(on_disk(outbox)) == 8


def test_files_are_private(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Folders are 0700 and files 0600 from the moment they are made, whatever the umask."""
    pipeline = make_pipeline(to=_hanging())
    before = os.umask(0)
    try:
        pipeline.write_through(make_line())
        pipeline.hold("chat", make_line())
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [outbox, *outbox.rglob("*")]}
    assert set(modes.values()) == {0o700, 0o600}
    assert all((mode == 0o700) == path.is_dir() for path, mode in modes.items())


def test_committed_events_arrive_soon_and_in_order(pipeline: Pipeline, destination: FickleDestination) -> None:
    """A commit wakes the worker: within a second everything is delivered in the order of the calls."""
    lines = make_lines(1200)
    for line in lines:
        pipeline.append(line)
    pipeline.commit()
    assert eventually(lambda: len(destination.ids) == 1200)
    assert destination.ids == ids_of(lines)


def test_journaled_events_of_an_open_block_arrive_too(pipeline: Pipeline, destination: FickleDestination) -> None:
    """An event that nobody commits is delivered within the journal interval and a second."""
    pipeline.append(make_line())
    assert eventually(lambda: destination.ids)


def test_a_flush_delivers_everything_and_removes_the_files(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """After a complete flush nothing waits in memory or on disk."""
    lines = make_lines(700)
    for line in lines:
        pipeline.append(line)
    report = pipeline.flush(20)
    assert (report.captured, report.delivered, report.pending, report.is_complete) == (700, 700, 0, True)
    assert on_disk(outbox) == []
    assert destination.ids == ids_of(lines)


def test_many_small_blocks_share_deliveries(pipeline: Pipeline, destination: FickleDestination) -> None:
    """Commits are coalesced: a hundred of them in a row cost a few deliveries."""
    for _ in range(100):
        pipeline.write_through(make_line())
    assert pipeline.flush(20).delivered == 100
    assert len(destination.attempts_at) <= 10


def test_batches_are_bounded_in_number_and_bytes(pipeline: Pipeline, destination: FickleDestination) -> None:
    """A batch has at most 500 events, and ends when it has reached 1 MiB."""
    sizes: list[tuple[int, int]] = []
    take = destination.deliver

    def measured(batch: list) -> list:  # type: ignore[type-arg]
        sizes.append((len(batch), sum(len(event.content) for event in batch)))
        return take(batch)

    destination.deliver = measured  # type: ignore[method-assign, assignment]
    for line in make_lines(1100) + make_lines(20, "x" * 200_000):
        pipeline.append(line)
    assert pipeline.flush(20).is_complete
    assert max(count for count, _ in sizes) == 500
    assert max(size for _, size in sizes) < 1024 * 1024 + 200_000


def test_sixteen_threads_commit_together_and_nothing_is_missing(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """A commit that finds another thread writing returns only when its own lines are on disk."""
    destination.is_open.clear()
    pipeline = make_pipeline(segment_bytes=20_000)
    missing: list[bytes] = []
    everything: list[bytes] = []
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        for _ in range(10):
            lines = make_lines(5)
            for line in lines:
                pipeline.append(line)
            pipeline.commit()
            stored = set(on_disk(outbox))
            missing.extend(line for line in lines if line not in stored)
            everything.extend(lines)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    destination.is_open.set()
    assert missing == []
    assert pipeline.flush(10).delivered == 800
    assert sorted(destination.ids) == sorted(ids_of(everything))


def test_held_events_are_on_disk_but_not_delivered(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """What is held waits for its release while others go."""
    held, other = make_lines(2), make_line()
    for line in held:
        pipeline.hold("chat-1", line)
    assert on_disk(outbox) == held
    pipeline.write_through(other)
    assert eventually(lambda: destination.ids == [id_of(other)])
    assert pipeline.report().pending == 2


def test_release_delivers_what_is_held_under_that_key(pipeline: Pipeline, destination: FickleDestination) -> None:
    """One key's events go, the other's stay; without a key all go."""
    first, second = make_line(), make_line()
    pipeline.hold("chat-1", first)
    pipeline.hold("chat-2", second)
    pipeline.release("chat-1")
    pipeline.release("nobody")
    assert eventually(lambda: destination.ids == [id_of(first)])
    pipeline.release()
    assert eventually(lambda: destination.ids == [id_of(first), id_of(second)])


def test_what_is_held_after_a_release_waits_again(pipeline: Pipeline, destination: FickleDestination) -> None:
    """A release concerns what was held before it."""
    first, second = make_line(), make_line()
    pipeline.hold("chat-1", first)
    pipeline.release("chat-1")
    pipeline.hold("chat-1", second)
    assert eventually(lambda: destination.ids == [id_of(first)])
    assert pipeline.report().pending == 1
    assert pipeline.flush(20).is_complete
    assert destination.ids == [id_of(first), id_of(second)]


def test_thousands_of_keys_hold_no_descriptors(pipeline: Pipeline, destination: FickleDestination) -> None:
    """Holding costs a file per key, but none stays open; a flush brings them together into few batches."""
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    for number in range(2000):
        pipeline.hold(f"chat-{number}", make_line())
    if before:
        assert len(list(descriptors.iterdir())) < before + 20
    assert pipeline.flush(20).delivered == 2000
    assert len(destination.attempts_at) <= 8


def test_idle_held_events_are_delivered(make_pipeline: MakePipeline, destination: FickleDestination) -> None:
    """After the idle limit nobody needs to release."""
    pipeline = make_pipeline(held_idle_s=0.05)
    pipeline.hold("chat-1", make_line())
    assert eventually(lambda: destination.ids)


def test_a_flush_keeps_its_time_when_the_destination_hangs(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """Whoever flushes waits as long as asked for, and what waits stays on disk."""
    destination.is_open.clear()
    lines = make_lines(3)
    for line in lines:
        pipeline.append(line)
    started = time.monotonic()
    report = pipeline.flush(0.3)
    assert 0.29 < time.monotonic() - started < 3
    assert report.pending == 3
    assert on_disk(outbox) == lines
    pipeline.append(make_line())
    pipeline.commit()
    assert len(on_disk(outbox)) == 4


def test_a_failed_delivery_is_tried_again_later_and_later(pipeline: Pipeline, destination: FickleDestination) -> None:
    """A DeliveryError keeps the batch; the pauses grow; when the destination works again all arrives once."""
    destination.error = DeliveryError("503")
    line = make_line()
    pipeline.write_through(line)
    assert eventually(lambda: len(destination.attempts_at) >= 3, 5)
    first, second, third = destination.attempts_at[:3]
    assert 0.3 < second - first < third - second
    destination.error = None
    assert pipeline.flush(20).is_complete
    assert destination.ids == [id_of(line)]


def test_commits_during_an_outage_do_not_hurry_the_worker(pipeline: Pipeline, destination: FickleDestination) -> None:
    """A destination that asked for a pause gets it, however busy the program is and whoever flushes."""
    destination.error = DeliveryError("429", retry_after_s=30)
    pipeline.write_through(make_line())
    assert eventually(lambda: destination.attempts_at)
    for _ in range(50):
        pipeline.write_through(make_line())
    assert not pipeline.flush(0.3).is_complete
    assert len(destination.attempts_at) == 1


@pytest.mark.parametrize(
    ("error", "least_s", "most_s"),
    [
        (DeliveryError("503"), 0.37, 0.5),
        (DeliveryError("429", retry_after_s=7), 7, 7),
        (DeliveryError("429", retry_after_s=86_400), 60, 60),
        (DeliveryError("429", retry_after_s=-1), 0.37, 0.5),
        (DeliveryError("429", retry_after_s=float("nan")), 0.37, 0.5),
        (RuntimeError("a bug"), 0.37, 0.5),
    ],
)
def test_the_first_pause_is_as_told_or_short(error: Exception, least_s: float, most_s: float) -> None:
    """A pause that makes sense is kept, at most a minute; otherwise it starts near half a second."""
    backoff = Backoff()
    started = time.monotonic()
    backoff.failed(error)
    assert least_s <= backoff.until - started <= most_s + 0.2


def test_pauses_never_exceed_a_minute() -> None:
    """However long the outage, the destination is tried at least once a minute."""
    backoff = Backoff()
    for _ in range(2000):
        backoff.failed(DeliveryError("503"))
    assert 44 < backoff.until - time.monotonic() <= 60


def test_an_event_without_an_answer_is_kept_and_the_others_are_not_sent_again(
    pipeline: Pipeline, destination: FickleDestination
) -> None:
    """Half an answer settles half of the batch."""
    lines = make_lines(5)
    silent = id_of(lines[2])
    destination.silent_about = lambda event: event.id == silent
    for line in lines:
        pipeline.append(line)
    pipeline.commit()
    assert eventually(lambda: pipeline.report().delivered == 4)
    assert pipeline.unanswered(ids_of(lines)) == {silent: None}
    destination.silent_about = lambda event: False
    assert pipeline.flush(20).is_complete
    assert sorted(destination.ids) == sorted(ids_of(lines))


def test_a_rejected_event_is_kept_with_its_reason_and_harms_no_other(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """What the destination refuses goes to `rejected/`, is counted and can be asked for."""
    lines = make_lines(9)
    bad = id_of(lines[4])
    destination.rejects = lambda event: "too large: 300 KB" if event.id == bad else None
    for line in lines:
        pipeline.append(line)
    report = pipeline.flush(20)
    assert (report.delivered, report.rejected, report.pending) == (8, {"too large": 1}, 0)
    assert pipeline.unanswered(ids_of(lines)) == {bad: "too large: 300 KB"}
    (kept,) = Rejected(outbox).list()
    assert (kept.reason, kept.line.encode()) == ("too large: 300 KB", lines[4])
    assert pipeline.waiting().rejected == 1


def test_rejected_events_can_be_tried_again(pipeline: Pipeline, destination: FickleDestination, outbox: Path) -> None:
    """A retry brings them back into the outbox and empties the folder."""
    destination.rejects = lambda event: "not now"
    lines = make_lines(3)
    for line in lines:
        pipeline.append(line)
    assert pipeline.flush(20).rejected == {"not now": 3}
    destination.rejects = lambda event: None
    assert pipeline.retry_rejected() == 3
    assert pipeline.flush(20).delivered == 3
    assert Rejected(outbox).list() == []
    assert sorted(destination.ids) == sorted(ids_of(lines))


def test_an_event_over_which_the_destination_stumbles_is_rejected_alone(
    pipeline: Pipeline, destination: FickleDestination
) -> None:
    """Where one event makes a working destination fail, the others of its batch arrive."""
    lines = make_lines(300)
    bad = id_of(lines[123])
    destination.stumbles_over = lambda event: event.id == bad
    for line in lines:
        pipeline.append(line)
    report = pipeline.flush(20)
    assert (report.delivered, report.rejected) == (299, {"OverflowError": 1})
    assert sorted([*destination.ids, bad]) == sorted(ids_of(lines))


def test_a_broken_destination_rejects_nothing(pipeline: Pipeline, destination: FickleDestination) -> None:
    """Where nothing passes, the events are not to blame and wait."""
    destination.error = RuntimeError("a bug")
    for line in make_lines(300):
        pipeline.append(line)
    report = pipeline.flush(0.4)
    assert (report.pending, report.rejected) == (300, {})
    assert len(destination.attempts_at) <= 30
    destination.error = None
    assert pipeline.flush(20).delivered == 300


def test_a_line_that_is_no_event_is_rejected(pipeline: Pipeline, destination: FickleDestination) -> None:
    """What cannot be decoded does not hold up what can."""
    good = make_line()
    for line in (b"not json", b'{"kind":"of another version"}', good):
        pipeline.append(line)
    report = pipeline.flush(20)
    assert (report.delivered, report.rejected) == (1, {"unreadable": 2})
    assert destination.ids == [id_of(good)]


def test_waiting_events_are_named_unanswered_wherever_they_are(make_pipeline: MakePipeline) -> None:
    """Buffered, written and held events are told apart from delivered ones."""
    pipeline = make_pipeline(to=_hanging(), journal_interval_s=3600)
    buffered, written, held = make_lines(3)
    pipeline.write_through(written)
    pipeline.hold("chat", held)
    pipeline.append(buffered)
    wanted = [*ids_of([buffered, written, held]), "0" * 32]
    assert pipeline.unanswered(wanted) == dict.fromkeys(wanted[:3])


def test_the_destination_may_fail_to_open(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Events wait while `open_destination` raises."""
    made = FickleDestination()
    failures = [OSError("no such host"), OSError("still none")]

    def open_destination() -> FickleDestination:
        if failures:
            raise failures.pop()
        return made

    pipeline = make_pipeline()
    pipeline._delivery._open_destination = open_destination
    pipeline.write_through(make_line())
    assert pipeline.flush(20).is_complete
    assert len(made.ids) == 1


def test_shutdown_delivers_closes_and_leaves_nothing_behind(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """After a shutdown there is no thread, no folder of this process, and the destination is closed."""
    others = set(threading.enumerate())
    pipeline.append(make_line())
    pipeline.hold("chat", make_line())
    assert pipeline.shutdown(2).delivered == 2
    assert destination.closed == 1
    assert list(outbox.iterdir()) == []
    assert THREAD_NAME not in {thread.name for thread in set(threading.enumerate()) - others}


def test_what_comes_after_a_shutdown_is_recorded(pipeline: Pipeline, destination: FickleDestination) -> None:
    """A new worker takes over."""
    pipeline.write_through(make_line())
    pipeline.shutdown(2)
    late = make_line()
    pipeline.append(late)
    assert eventually(lambda: id_of(late) in destination.ids)
    assert pipeline.shutdown(2).captured == 2


def test_a_shutdown_keeps_its_time_when_the_destination_hangs(
    pipeline: Pipeline, destination: FickleDestination, outbox: Path
) -> None:
    """Exit does not wait for a network; the event stays on disk."""
    destination.is_open.clear()
    line = make_line()
    pipeline.append(line)
    started = time.monotonic()
    assert pipeline.shutdown(0.3).pending == 1
    assert time.monotonic() - started < 3
    assert on_disk(outbox) == [line]


def test_the_oldest_events_go_first_when_the_outbox_is_full(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """The outbox keeps its bound, the youngest survive, and every loss is counted."""
    destination.error = DeliveryError("down")
    pipeline = make_pipeline(segment_bytes=4000, outbox_limit_bytes=40_000)
    lines = make_lines(500, "x" * 200)
    for line in lines:
        pipeline.write_through(line)
    assert sum(path.stat().st_size for path in outbox.glob("*/*.segment")) <= 44_000
    destination.error = None
    report = pipeline.flush(20)
    assert report.lost == {"outbox_full": 500 - report.delivered}
    assert report.delivered > 60
    assert destination.ids[-1] == id_of(lines[-1])
    assert set(destination.ids) >= set(ids_of(lines[-60:]))


def test_held_events_are_bounded_too(make_pipeline: MakePipeline, outbox: Path) -> None:
    """Events that nobody releases cannot fill the disk."""
    pipeline = make_pipeline(to=_hanging(), outbox_limit_bytes=20_000)
    for number in range(200):
        pipeline.hold(f"chat-{number}", make_line("x" * 200))
    assert sum(path.stat().st_size for path in outbox.glob("*/*.segment")) <= 20_000
    report = pipeline.report()
    assert report.lost["outbox_full"] == 200 - report.pending > 0


def test_memory_only_makes_no_file(make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path) -> None:
    """`durability="memory"` delivers without ever touching the disk, also what is held or rejected."""
    pipeline = make_pipeline(durability="memory")
    lines = make_lines(3)
    destination.rejects = lambda event: "no" if event.id == id_of(lines[2]) else None
    pipeline.append(lines[0])
    pipeline.hold("chat", lines[1])
    pipeline.write_through(lines[2])
    report = pipeline.flush(20)
    assert (report.delivered, report.rejected) == (2, {"no": 1})
    assert not outbox.exists()


def test_memory_keeps_its_bound(make_pipeline: MakePipeline, destination: FickleDestination) -> None:
    """The oldest go first, counted."""
    destination.error = DeliveryError("down")
    pipeline = make_pipeline(durability="memory", memory_limit_bytes=20_000)
    lines = make_lines(400, "x" * 200)
    for line in lines:
        pipeline.write_through(line)
    destination.error = None
    report = pipeline.flush(20)
    assert report.lost == {"memory_full": 400 - report.delivered}
    assert 30 < report.delivered < 80
    assert destination.ids[-1] == id_of(lines[-1])


def test_synced_durability_writes_and_delivers(
    make_pipeline: MakePipeline, destination: FickleDestination, outbox: Path
) -> None:
    """`durability="disk"` has nothing left to sync when a commit returns."""
    destination.error = DeliveryError("down")
    pipeline = make_pipeline(durability="disk")
    pipeline.write_through(make_line())
    pipeline.hold("chat", make_line())
    assert pipeline._backlog.outbox.unsynced == set()
    assert len(on_disk(outbox)) == 2
    destination.error = None
    assert pipeline.flush(20).delivered == 2


def test_unsynced_files_are_synced_within_two_seconds(make_pipeline: MakePipeline) -> None:
    """With the default durability the worker syncs what waits."""
    pipeline = make_pipeline(to=_hanging())
    pipeline.hold("chat", make_line())
    assert pipeline._backlog.outbox.unsynced
    assert eventually(lambda: not pipeline._backlog.outbox.unsynced)


def test_a_finaliser_may_record_while_its_thread_is_writing(pipeline: Pipeline, destination: FickleDestination) -> None:
    """Code that interrupts the thread inside neither blocks nor is lost."""
    late = make_line("from a finaliser")
    rounds = []

    def interrupted() -> None:
        pipeline.append(late)
        pipeline.commit()
        pipeline.report()
        pipeline.flush(0)
        rounds.append(1)

    pipeline._gate.run(interrupted)
    assert rounds == [1]
    assert pipeline.flush(20).captured == 1
    assert destination.ids == [id_of(late)]


@pytest.mark.timeout(30)
def test_what_is_collected_in_a_thread_of_ours_before_it_runs_may_record(
    pipeline: Pipeline, destination: FickleDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has started that thread waits for it, so neither may wait for the other."""
    line = make_line()
    late: list[str] = []
    set_ident = threading.Thread._set_ident  # type: ignore[attr-defined]  # the first that a new thread does

    def record_first(thread: threading.Thread) -> None:
        if thread.name.startswith(THREAD_NAME):
            lines = make_lines(1)
            late.extend(ids_of(lines))
            pipeline.write_through(lines[0])
        set_ident(thread)

    monkeypatch.setattr(threading.Thread, "_set_ident", record_first)
    pipeline.append(line)
    pipeline.commit()
    assert eventually(lambda: len(destination.ids) == 1 + len(late))
    assert sorted(destination.ids) == sorted([id_of(line), *late])
    assert len(late) == 2


def test_objects_that_record_when_they_are_collected_do_no_harm(
    pipeline: Pipeline, destination: FickleDestination
) -> None:
    """`__del__` may record at any allocation."""

    class Talkative:
        def __init__(self) -> None:
            self.me = self
            self.line = make_line()

        def __del__(self) -> None:
            pipeline.write_through(self.line)

    for _ in range(200):
        Talkative()
        pipeline.append(make_line())
        pipeline.commit()
    gc.collect()
    assert pipeline.flush(20).captured == 400


def test_the_overview_names_what_waits(make_pipeline: MakePipeline, outbox: Path) -> None:
    """`waiting()` counts segments, bytes and events of this process."""
    pipeline = make_pipeline(to=_hanging())
    other = make_pipeline(to=_hanging())
    for line in make_lines(4):
        pipeline.write_through(line)
    other.write_through(make_line())
    pipeline.hold("chat", make_line())
    summary = pipeline.waiting()
    assert (summary.events, summary.damaged, summary.newer, summary.memory_events) == (6, 0, 0, 0)
    assert {share.owner for share in summary.shares} == {"this", "living"}
    assert summary.size_bytes == sum(path.stat().st_size for path in outbox.glob("*/*.segment"))
    assert summary.oldest_age_s is not None
    assert summary.oldest_age_s < 60


def test_rejected_events_are_bounded(outbox: Path) -> None:
    """The oldest go first."""
    rejected = Rejected(outbox, limit_bytes=3_000_000)
    for number in range(8):
        rejected.add([RejectedEvent(number, "too large", "x" * 800_000)])
    assert [event.at_us for event in rejected.list()] == [5, 6, 7]
    assert rejected.pushed_out_bytes > 4_000_000


def test_rejected_events_can_be_erased(outbox: Path) -> None:
    """Erasure removes those of one conversation and leaves the others."""
    rejected = Rejected(outbox)
    lines = [make_line(conversation_id=name) for name in ("a", "b", "a")]
    rejected.add([RejectedEvent(1, "no", line.decode()) for line in lines])

    def is_of_a(rejected_event: RejectedEvent) -> bool:
        event = rejected_event.event()
        return event is not None and event.conversation_id == "a"

    assert rejected.discard(is_of_a) == 2
    assert [event.line for event in rejected.list()] == [lines[1].decode()]
    assert json.loads(lines[1])["conversation_id"] == "b"


def test_an_operation_near_the_limit_of_recursion_leaves_the_gate() -> None:
    """However little room the caller has left: a thread that counts as inside for ever writes nothing any more."""
    gates = [Gate() for _ in range(60)]

    def deep() -> int:
        """Return how many frames lie above this one."""
        try:
            height = deep()
        except RecursionError:
            height = 0
        if height < 30:
            for way in (gates[height].run, gates[30 + height].call):
                with contextlib.suppress(RecursionError):
                    way(lambda: None)
        return height + 1

    deep()
    assert not any(gate.is_inside for gate in gates)
