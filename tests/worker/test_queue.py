"""Whose turn it is: fair shares, turns that end, waits that are no failures. No HTTP, no disk."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest
from doubles import machine_error

from tensorloom.errors import Cancelled, ExecutionError
from tensorloom_worker import queue as queue_module
from tensorloom_worker.ledger import Outcome, Progress
from tensorloom_worker.live import Live
from tensorloom_worker.queue import Queue
from tensorloom_worker.records import Job, JobProgress, JobResult
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.asyncio


class Script:
    """A runner whose jobs end when they are told to."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.kept: list[tuple[str, str]] = []
        self.unwanted: list[str] = []
        self.told: list[str] = []
        self.ran: dict[str, float] = {}
        self.recorded: dict[str, int] = {}
        self.release: dict[str, asyncio.Event] = {}
        self.errors: dict[str, list[Exception]] = {}
        self.full = 0
        self.stubborn = False
        self.changed = asyncio.Event()
        self.queue: Queue | None = None

    async def run(self, live: Live) -> Outcome:
        job = live.job.id
        self.began.append(job)
        self.changed.set()
        assert self.queue is not None
        self.queue.hear(live, Progress(state="running"))
        self.tell_recorded(live)
        waits = [
            asyncio.create_task(event.wait())
            for event in (self.release.setdefault(job, asyncio.Event()), live.cancelled)
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self.stubborn:
            await self.release[job].wait()
        elif live.cancelled.is_set():
            raise Cancelled("cancelled", "Stopped.")
        if self.errors.get(job):
            raise self.errors[job].pop(0)
        return Outcome(array=np.zeros(()), error_bound=0.0, ms=0.0, mul_adds=0, backend="numpy")

    def tell_recorded(self, live: Live, more: int = 0) -> None:
        """Record so many slices more, and tell how many there are."""
        assert self.queue is not None
        done = self.recorded[live.job.id] = self.recorded.get(live.job.id, 0) + more
        self.queue.hear(live, Progress(progress=JobProgress(slices_done=done, slices=1000)))

    async def finish(self, _live: Live, _outcome: Outcome) -> JobResult:
        return JobResult(
            shape=(),
            dtype="float64",
            error_bound=0,
            bytes=0,
            sha256="0" * 64,
            ms=0,
            mul_adds=0,
            backend="numpy",
        )

    async def keep(self, live: Live, job: Job) -> None:
        if self.full > 0:
            self.full -= 1
            raise machine_error("disk-full")
        self.kept.append((live.job.id, job.state))
        self.changed.set()

    async def keep_unwanted(self, live: Live) -> None:
        if self.full > 0:
            self.full -= 1
            raise machine_error("disk-full")
        self.unwanted.append(live.job.id)

    async def keep_ran(self, live: Live, seconds: float) -> None:
        self.ran[live.job.id] = seconds

    def tell(self, live: Live) -> None:
        self.told.append(live.job.state)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Bench:
    """A queue with a script."""

    def __init__(self, script: Script | None = None, **settings: float) -> None:
        self.script = script or Script()
        self.queue = Queue(Settings(**settings), self.script)  # type: ignore[arg-type]
        self.script.queue = self.queue
        self.count = 0

    def add(self, name: str, token: int, *, goes_on: bool = True) -> Live:
        self.count += 1
        job = Job(id=name, kind="contract", title=name, state="queued", created_at="now")
        live = Live(seq=self.count, token=token, job=job, changed=0, goes_on=goes_on)
        self.queue.add(live)
        return live

    async def end(self, name: str) -> None:
        """Let a running job come to its end."""
        self.script.release.setdefault(name, asyncio.Event()).set()
        await self.script.until(lambda: (name, "done") in self.script.kept)

    async def __aenter__(self) -> Self:
        self.queue.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.queue.close()


async def test_one_client_is_served_in_order() -> None:
    async with Bench(concurrent_jobs=1) as bench:
        for name in ("a1", "a2", "a3"):
            bench.add(name, 1)
        for name in ("a1", "a2", "a3"):
            await bench.script.until(lambda name=name: name in bench.script.began)
            await bench.end(name)
    assert bench.script.began == ["a1", "a2", "a3"]


async def test_a_client_with_few_jobs_does_not_wait_for_all_of_another() -> None:
    async with Bench(concurrent_jobs=1) as bench:
        for number in range(5):
            bench.add(f"a{number}", 1)
        await bench.script.until(lambda: bench.script.began == ["a0"])
        bench.add("b0", 2)
        await bench.end("a0")
        await bench.script.until(lambda: len(bench.script.began) == 2)
    assert bench.script.began[1] == "b0"


async def test_jobs_that_cannot_go_on_later_leave_a_place_to_those_that_can() -> None:
    async with Bench(concurrent_jobs=2, turn_seconds=0.05) as bench:
        bench.add("search 1", 1, goes_on=False)
        bench.add("search 2", 1, goes_on=False)
        contraction = bench.add("contraction", 1)
        await bench.script.until(lambda: len(bench.script.began) == 2)
        # Another client's search does not end the contraction's turn: it could not take the place.
        bench.add("other search", 2, goes_on=False)
        bench.script.tell_recorded(contraction, 1)
        await asyncio.sleep(0.2)
        assert bench.script.began == ["search 1", "contraction"]
        assert not contraction.cancelled.is_set()
        await bench.end("search 1")
        await bench.script.until(lambda: len(bench.script.began) == 3)
        assert bench.script.began[2] == "other search"


async def test_one_place_is_for_every_kind_of_job() -> None:
    async with Bench(concurrent_jobs=1) as bench:
        bench.add("search", 1, goes_on=False)
        await bench.script.until(lambda: bench.script.began == ["search"])


async def test_places_in_the_queue_take_turns() -> None:
    bench = Bench()
    lives = [bench.add(f"a{number}", 1) for number in range(3)]
    lives += [bench.add(f"b{number}", 2) for number in range(2)]
    places = {live.job.id: bench.queue.seen(live).queue_position for live in lives}
    assert places == {"a0": 1, "b0": 2, "a1": 3, "b1": 4, "a2": 5}


async def test_a_long_job_gives_its_turn_to_a_client_without_one_and_goes_on() -> None:
    async with Bench(concurrent_jobs=1, turn_seconds=0.05) as bench:
        long = bench.add("long", 1)
        await bench.script.until(lambda: bench.script.began == ["long"])
        bench.add("short", 2)
        bench.script.tell_recorded(long, 1)
        await bench.script.until(lambda: bench.script.began == ["long", "short"])
        assert long.job.state == "queued"
        assert long.job.note == "It gave its place to others and goes on soon."
        await bench.end("short")
        await bench.script.until(lambda: bench.script.began.count("long") == 2)
        await bench.end("long")
    assert long.job.state == "done"
    assert long.job.note is None


async def test_the_longest_time_of_a_job_is_of_all_its_turns() -> None:
    async with Bench(concurrent_jobs=1, turn_seconds=0.05, max_job_seconds=3600) as bench:
        long = bench.add("long", 1)
        await bench.script.until(lambda: bench.script.began == ["long"])
        bench.add("short", 2)
        bench.script.tell_recorded(long, 1)
        await bench.script.until(lambda: bench.script.began == ["long", "short"])
        assert 0.05 <= long.ran < 30
        assert bench.script.ran == {"long": long.ran}
        long.ran = 3600.0
        await bench.end("short")
        await bench.script.until(lambda: long.job.state == "failed")
    assert long.job.error is not None
    assert long.job.error.code == "job-too-long"


async def test_a_turn_that_has_recorded_nothing_does_not_end() -> None:
    async with Bench(concurrent_jobs=1, turn_seconds=0.05) as bench:
        live = bench.add("long", 1)
        bench.script.recorded["long"] = 7  # in an earlier turn
        await bench.script.until(lambda: bench.script.began == ["long"])
        bench.add("short", 2)
        await asyncio.sleep(0.3)
        assert bench.script.began == ["long"]
        # Nor does it look again and again meanwhile.
        assert bench.queue._pause() is None
        bench.script.tell_recorded(live, 1)
        await bench.script.until(lambda: bench.script.began == ["long", "short"])
        assert bench.script.recorded["long"] == 8


async def test_jobs_of_two_clients_whose_tasks_outlast_a_turn_both_end() -> None:
    task_seconds, tasks = 0.15, 3

    class Tasks(Script):
        """A runner of jobs in a few tasks; one that is stopped halfway has recorded nothing."""

        async def run(self, live: Live) -> Outcome:
            self.began.append(live.job.id)
            assert self.queue is not None
            self.queue.hear(live, Progress(state="running"))
            self.tell_recorded(live)
            while self.recorded[live.job.id] < tasks:
                with suppress(TimeoutError):
                    await asyncio.wait_for(live.cancelled.wait(), task_seconds)
                    raise Cancelled("cancelled", "Stopped.")
                self.tell_recorded(live, 1)
            return Outcome(array=np.zeros(()), error_bound=0.0, ms=0.0, mul_adds=0, backend="numpy")

    async with Bench(Tasks(), concurrent_jobs=1, turn_seconds=0.05) as bench:
        lives = [bench.add("a", 1), bench.add("b", 2)]
        async with asyncio.timeout(30):
            for live in lives:
                await live.ended.wait()
    assert [live.job.state for live in lives] == ["done", "done"]
    assert sorted(bench.script.began[:4]) == ["a", "a", "b", "b"]


async def test_a_client_does_not_take_its_own_turn_away() -> None:
    async with Bench(concurrent_jobs=1, turn_seconds=0.05) as bench:
        first = bench.add("first", 1)
        await bench.script.until(lambda: bench.script.began == ["first"])
        bench.add("second", 1)
        bench.script.tell_recorded(first, 1)
        await asyncio.sleep(0.1)
        bench.queue._make_room()
        assert first.stop is None


async def test_a_full_disk_a_lost_cluster_and_a_lost_gpu_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (0.01,))
    async with Bench() as bench:
        bench.script.errors["a"] = [
            machine_error("disk-full"),
            machine_error("no-scheduler"),
            machine_error("gpu-gone"),
        ]
        live = bench.add("a", 1)
        await bench.end("a")
    assert bench.script.began == ["a"] * 4
    assert live.job.state == "done"
    assert live.job.error is None


async def test_an_end_is_told_only_when_the_disk_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (0.01,))
    async with Bench() as bench:
        live = bench.add("a", 1)
        await bench.script.until(lambda: bench.script.began == ["a"])
        bench.script.full = 3
        bench.script.release["a"].set()
        await bench.script.until(lambda: live.job.note is not None)
        assert live.job.state == "running"
        assert live.job.note == "Its end waits: The machine is not well. Wait."
        await live.ended.wait()
    assert live.job.note is None
    assert bench.script.full == 0
    assert bench.script.told[-1] == "done"
    assert bench.script.told.count("done") == 1


async def test_a_cancelled_wait_for_the_disk_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (1000.0,))
    async with Bench() as bench:
        bench.script.errors["a"] = [machine_error("disk-full")]
        bench.script.release["a"] = asyncio.Event()
        bench.script.release["a"].set()
        live = bench.add("a", 1)
        await bench.script.until(lambda: live.job.note is not None)
        await bench.queue.cancel("a")
    assert bench.script.kept[-1] == ("a", "cancelled")


async def test_a_cancelled_run_is_written_down_before_it_has_stopped() -> None:
    async with Bench() as bench:
        bench.script.stubborn = True
        live = bench.add("a", 1)
        await bench.script.until(lambda: bench.script.began == ["a"])
        await bench.queue.cancel("a")
        assert bench.script.unwanted == ["a"]
        assert live.job.state == "running"
        await bench.end("a")


@pytest.mark.parametrize("name", ["runs", "waits"])
async def test_a_cancellation_that_the_disk_does_not_take_is_refused_and_done_later(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (0.01,))
    async with Bench(concurrent_jobs=1) as bench:
        bench.add("runs", 1)
        live = bench.add("waits", 1)
        live = bench.queue.find(name) or live
        await bench.script.until(lambda: bench.script.began == ["runs"])
        bench.script.full = 2
        with pytest.raises(ExecutionError) as caught:
            await bench.queue.cancel(name)
        assert caught.value.code == "disk-full"
        await live.ended.wait()
    assert live.job.state == "cancelled"


@pytest.mark.parametrize("name", ["runs", "waits"])
async def test_an_end_that_waits_for_room_is_written_when_somebody_asks_and_there_is_room(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (1000.0,))
    async with Bench(concurrent_jobs=1) as bench:
        bench.add("runs", 1)
        live = bench.add("waits", 1)
        live = bench.queue.find(name) or live
        await bench.script.until(lambda: bench.script.began == ["runs"])
        bench.script.full = 2 if name == "waits" else 1
        if name == "runs":
            bench.script.release[name].set()
            await live.held_up.wait()
        else:
            for _ in range(2):  # the disk is asked again, and is as full
                with pytest.raises(ExecutionError):
                    await bench.queue.cancel(name)
        assert bench.script.full == 0
        # As a deletion does.
        await bench.queue.cancel(name)
        await bench.queue.ended(name)
    assert bench.script.kept.count((name, "done" if name == "runs" else "cancelled")) == 1


async def test_progress_is_told_at_most_five_times_a_second() -> None:
    async with Bench() as bench:
        live = bench.add("a", 1)
        await bench.script.until(lambda: bench.script.began == ["a"])
        before = len(bench.script.told)
        for done in range(1000):
            bench.queue.hear(live, Progress(progress=JobProgress(slices_done=done, slices=1000)))
        assert len(bench.script.told) - before <= 1
        assert live.job.progress.slices_done == 999
        await bench.end("a")


@pytest.mark.parametrize("is_full", [False, True])
async def test_closing_waits_for_a_cancellation_on_its_way_to_the_disk(
    monkeypatch: pytest.MonkeyPatch, *, is_full: bool
) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (1000.0,))
    writing, written = asyncio.Event(), asyncio.Event()
    async with Bench(concurrent_jobs=1) as bench:
        bench.add("runs", 1)
        live = bench.add("waits", 1)
        await bench.script.until(lambda: bench.script.began == ["runs"])
        keep = bench.script.keep

        async def slow(live: Live, job: Job) -> None:
            writing.set()
            await written.wait()
            await keep(live, job)

        monkeypatch.setattr(bench.script, "keep", slow)
        cancelling = asyncio.create_task(bench.queue.cancel("waits"))
        await writing.wait()
        bench.script.full = 9 if is_full else 0
        asyncio.get_running_loop().call_later(0.05, written.set)
    # What comes after this finds the store closed.
    assert live.ended.is_set() != is_full
    if is_full:
        with pytest.raises(ExecutionError) as caught:
            await cancelling
        assert caught.value.code == "disk-full"
    else:
        await cancelling
    assert bench.script.kept.count(("waits", "cancelled")) == (not is_full)
    assert bench.queue._ending == {}


async def test_closing_leaves_jobs_as_they_were_written() -> None:
    async with Bench() as bench:
        bench.add("a", 1)
        await bench.script.until(lambda: bench.script.began == ["a"])
    assert bench.script.kept == [("a", "searching")]
