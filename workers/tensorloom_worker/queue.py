"""Whose turn it is: jobs wait here, run a few at a time, and give up their turn when others wait.

Fair shares: the next job is of the token with the fewest running jobs, then of the one that used
the workers least in the last minutes; within a token, first come, first served. A long contraction
that holds a place which another token waits for is stopped after a while and goes on later from
its recorded sums; not before it has recorded one in its turn, or each would begin from nothing.
A path search cannot go on from where it was, so it never has the last one of several places. What
a contraction asks to be searched beforehand is not cut short either.
All of this lives in the event loop's thread; the store is called in others.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from tensorloom.errors import Cancelled, TensorloomError
from tensorloom_worker.job_rows import now_text
from tensorloom_worker.refusals import internal, rejected, to_refusal

if TYPE_CHECKING:
    from tensorloom_worker.ledger import Outcome, Progress
    from tensorloom_worker.live import Live, Stop
    from tensorloom_worker.records import Job, JobResult, State
    from tensorloom_worker.settings import Settings

__all__ = ["Queue", "Runner"]

TELL_S = 0.2
"""Shortest time between two tellings of one job's progress [s]."""

HALF_LIFE_S = 600.0
"""Time in which what a token used counts half [s]."""

STOP_S = 10.0
"""How long a run may take to stop before it is broken off [s]."""

COUNT_S = 60.0
"""How often it is written down how long a job has run: so much does a kill give it [s]."""

RETRY_S = (2.0, 5.0, 15.0, 60.0)
"""Waits after a full disk, a lost cluster or a lost GPU [s]; the last one repeats."""

RETRIED = ("disk-full", "no-scheduler", "gpu-gone")
"""Errors that are the machine's, not the job's: it waits and goes on."""

_LOG = logging.getLogger("tensorloom_worker")


class Runner(Protocol):
    """What the queue needs of the service."""

    async def run(self, live: Live) -> Outcome:
        """Run the job; see ``ledger.Executor.run``."""

    async def finish(self, live: Live, outcome: Outcome) -> JobResult:
        """Write the result down; it is on the disk when this returns."""

    async def keep(self, live: Live, job: Job) -> None:
        """Write a new state of the job down; it is on the disk when this returns."""

    async def keep_unwanted(self, live: Live) -> None:
        """Write down that the job was cancelled; it is on the disk when this returns."""

    async def keep_ran(self, live: Live, seconds: float) -> None:
        """Write down how long the job has run [s]."""

    def tell(self, live: Live) -> None:
        """Tell subscribers of the job's state."""


class Queue:
    """The jobs that are not final.

    Args:
        settings: How many run, how many may wait.
        runner: What runs them and writes them down.
    """

    def __init__(self, settings: Settings, runner: Runner) -> None:
        self._settings = settings
        self._runner = runner
        self._waiting: dict[int, dict[str, Live]] = {}
        self._running: dict[str, Live] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._last: dict[str, Live] = {}
        self._used: dict[int, tuple[float, float]] = {}
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._closing = False
        self._positions: dict[str, int] | None = None

    def start(self) -> None:
        """Begin to run jobs."""
        self._loop_task = asyncio.create_task(self._loop(), name="queue")

    async def close(self) -> None:
        """Stop what runs; it goes on when the service is started again."""
        self._closing = True
        self._wake.set()
        for live in list(self._running.values()):
            self._stop(live, "closing")
        # The store is closed after this: ends on their way to the disk arrive before.
        for live in [*self._running.values(), *self._last.values()]:
            self._try_again(live)
        tasks = [live.task for live in self._running.values() if live.task]
        tasks += self._ending.values()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._loop_task:
            await self._loop_task

    def find(self, identity: str) -> Live | None:
        """A job that waits or runs."""
        for known in (self._running, self._last):
            if identity in known:
                return known[identity]
        for jobs in self._waiting.values():
            if identity in jobs:
                return jobs[identity]
        return None

    def add(self, live: Live) -> None:
        """Let a job wait for its turn."""
        self._waiting.setdefault(live.token, {})[live.job.id] = live
        self._positions = None
        self._wake.set()

    def seen(self, live: Live) -> Job:
        """The job as its owner sees it now, with its place in the queue."""
        if live.job.state != "queued":
            return live.job
        if self._positions is None:
            self._positions = self._ordered()
        position = self._positions.get(live.job.id)
        return live.job.model_copy(update={"queue_position": position})

    async def cancel(self, identity: str) -> None:
        """Stop a job for good; returns when the disk knows of it, and the job stops or has stopped.

        Raises:
            ExecutionError: ``disk-full``; the disk does not know of it yet.
        """
        live = self.find(identity)
        if live is None:
            return
        if identity in self._running:
            self._stop(live, "cancelled")
            # What runs may take long to stop, and the service may be killed meanwhile.
            await self._runner.keep_unwanted(live)
            return
        ending = self.drop(live)
        self._try_again(live)
        held_up = asyncio.create_task(live.held_up.wait())
        await asyncio.wait({ending, held_up}, return_when=asyncio.FIRST_COMPLETED)
        held_up.cancel()
        if ending.done():
            ending.result()
        if live.problem is not None and not live.ended.is_set():
            raise live.problem

    def _try_again(self, live: Live) -> None:
        """Write an end that waits for room now: there may be room since the last try."""
        live.held_up.clear()
        live.again.set()

    def drop(self, live: Live) -> asyncio.Task[None]:
        """Never run a waiting job; the task that writes its end, as soon as the disk takes it."""
        identity = live.job.id
        if identity not in self._ending:
            self._take(live)
            self._last[identity] = live
            self._ending[identity] = asyncio.create_task(self._cancel_waiting(live))
        return self._ending[identity]

    async def _cancel_waiting(self, live: Live) -> None:
        try:
            await self._end(live, "cancelled")
        finally:
            del self._ending[live.job.id], self._last[live.job.id]

    async def ended(self, identity: str) -> None:
        """Wait until a job neither waits nor runs.

        Raises:
            ExecutionError: ``disk-full``; its end is written when there is room.
        """
        live = self.find(identity)
        if live is None:
            return
        self._try_again(live)
        waits = [asyncio.create_task(event.wait()) for event in (live.ended, live.held_up)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if live.problem is not None and not live.ended.is_set():
            raise live.problem

    def hear(self, live: Live, heard: Progress) -> None:
        """Take note of what a running job has to tell, and tell it on, not too often."""
        update = {
            name: value
            for name in ("state", "progress", "partial", "estimate", "note")
            if (value := getattr(heard, name)) is not None
        }
        if update.get("state") not in {None, "searching", "running"} or live.ended.is_set():
            return
        live.job = live.job.model_copy(update=update)
        if heard.progress is not None and live.count_slices(heard.progress.slices_done):
            self._wake.set()  # its turn may end now
        if live.tell_later is not None:
            return
        loop = asyncio.get_running_loop()
        wait = live.told_at + TELL_S - loop.time()
        if wait <= 0:
            self._tell(live)
        else:
            live.tell_later = loop.call_later(wait, self._tell, live)

    def _tell(self, live: Live) -> None:
        if live.tell_later is not None:
            live.tell_later.cancel()
            live.tell_later = None
        live.told_at = asyncio.get_running_loop().time()
        self._runner.tell(live)

    def _stop(self, live: Live, why: Stop) -> None:
        if live.stop in {None, "turn"}:
            live.stop = why
        live.cancelled.set()

    def _take(self, live: Live) -> None:
        """Out of the waiting ones."""
        jobs = self._waiting[live.token]
        del jobs[live.job.id]
        if not jobs:
            del self._waiting[live.token]
        self._positions = None

    def _ordered(self) -> dict[str, int]:
        """Places in the queue, from 1: tokens take turns."""
        lanes = [iter(jobs) for jobs in self._waiting.values()]
        order: list[str] = []
        while lanes:
            going = []
            for lane in lanes:
                identity = next(lane, None)
                if identity is not None:
                    order.append(identity)
                    going.append(lane)
            lanes = going
        return {identity: place for place, identity in enumerate(order, 1)}

    def _use(self, token: int, seconds: float = 0.0) -> float:
        """What a token used lately, after adding to it."""
        used, at = self._used.get(token, (0.0, 0.0))
        now = time.monotonic()
        used = used * math.pow(0.5, (now - at) / HALF_LIFE_S) + seconds
        self._used[token] = (used, now)
        return used

    def _load(self, token: int) -> tuple[int, float]:
        """By how much a token has to stand back: running jobs, then use."""
        now = time.monotonic()
        mine = [live for live in self._running.values() if live.token == token]
        return len(mine), self._use(token) + sum(now - live.turn_began for live in mine)

    def _next(self) -> Live | None:
        """The job whose turn it is, if any may run now."""
        for token in sorted(self._waiting, key=self._load):
            if live := self._first_of(token):
                return live
        return None

    def _first_of(self, token: int) -> Live | None:
        """The first job of a token that would run if there were a place."""
        now = time.monotonic()
        holding = sum(not live.goes_on for live in self._running.values())
        is_full = holding >= max(1, self._settings.concurrent_jobs - 1)
        for live in self._waiting[token].values():
            if live.not_before <= now and (live.goes_on or not is_full):
                return live
        return None

    async def _loop(self) -> None:
        while not self._closing:
            self._wake.clear()
            while len(self._running) < self._settings.concurrent_jobs and not self._closing:
                live = self._next()
                if live is None:
                    break
                self._take(live)
                self._running[live.job.id] = live
                live.begin_turn(time.monotonic())
                live.task = asyncio.create_task(self._turn(live), name=f"job {live.job.id}")
            self._make_room()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())

    def _pause(self) -> float | None:
        """How long nothing can change by itself."""
        if not self._waiting:
            return None
        now = time.monotonic()
        due = [
            live.not_before - now
            for jobs in self._waiting.values()
            for live in jobs.values()
            if live.not_before > now
        ]
        turns = [
            live.turn_began + self._settings.turn_seconds - now
            for live in self._running.values()
            if live.stop is None and live.has_recorded
        ]
        soonest = min([*due, *turns], default=None)
        return None if soonest is None else max(soonest, 0.05)

    def _make_room(self) -> None:
        """Ask the longest turn to end when a token without one waits."""
        if len(self._running) < self._settings.concurrent_jobs:
            return
        holders = {live.token for live in self._running.values()}
        if not any(token not in holders and self._first_of(token) for token in self._waiting):
            return
        if any(live.stop is not None for live in self._running.values()):
            return
        now = time.monotonic()
        over = [
            live
            for live in self._running.values()
            if now - live.turn_began >= self._settings.turn_seconds
            and live.goes_on
            and live.job.state == "running"
            and live.has_recorded
        ]
        if over:
            self._stop(min(over, key=lambda live: live.turn_began), "turn")

    async def _turn(self, live: Live) -> None:
        """One turn of a job, from the queue to its end or back to the queue."""
        limit: asyncio.TimerHandle | None = None
        try:
            await self._begin(live)
            limit = asyncio.get_running_loop().call_later(
                max(0.0, self._settings.max_job_seconds - live.ran), self._stop, live, "too-long"
            )
            outcome = await self._run(live)
            result = await self._runner.finish(live, outcome)
            await self._end(live, "done", result=result)
        except Cancelled:
            await self._stopped(live)
        except TensorloomError as error:
            if error.code not in RETRIED:
                await self._failed(live, error)
            elif live.stop is None:
                self._again(live, error)
            else:
                await self._stopped(live)
        except asyncio.CancelledError:
            if not self._closing:
                raise
        except Exception:  # noqa: BLE001  # a mistake of ours must not stop the other jobs
            _LOG.exception("Job %s met a mistake of the service.", live.job.id)
            if not self._closing:
                await self._failed(live, internal())
        finally:
            if limit is not None:
                limit.cancel()
            self._use(live.token, time.monotonic() - live.turn_began)
            self._running.pop(live.job.id, None)
            self._wake.set()

    async def _run(self, live: Live) -> Outcome:
        """Run a job, and count the time: its limit is of all turns, whatever ends them."""
        began = time.monotonic()

        async def count() -> None:
            while True:
                await asyncio.sleep(COUNT_S)
                await self._runner.keep_ran(live, live.ran + time.monotonic() - began)

        counting = asyncio.create_task(count())
        try:
            return await self._runner.run(live)
        except TensorloomError:  # it may go on later
            counting.cancel()
            live.ran += time.monotonic() - began
            await self._runner.keep_ran(live, live.ran)
            raise
        finally:
            counting.cancel()

    async def _begin(self, live: Live) -> None:
        again = live.job.started_at is not None
        job = live.job.model_copy(
            update={
                "state": "running" if live.job.kind == "entry" else "searching",
                "started_at": live.job.started_at or now_text(),
                "resumed": live.job.resumed + live.begun,
                "note": None,
                "queue_position": None,
            }
        )
        if not again or live.begun:
            await self._runner.keep(live, job)
        live.job = job
        live.begun = False
        self._tell(live)

    async def _stopped(self, live: Live) -> None:
        """What follows when a run has stopped because it was asked to."""
        match live.stop:
            case "closing":
                return  # the store still has it as running; it goes on after the next start
            case "turn":
                self._wait_again(live, note="It gave its place to others and goes on soon.")
            case "too-long":
                hours = self._settings.max_job_seconds / 3600
                await self._failed(
                    live,
                    rejected(
                        "job-too-long",
                        f"The job ran for {hours:.3g} hours, the longest that is allowed.",
                        "Make it smaller, or start the worker with a higher --max-job-seconds.",
                    ),
                )
            case _:
                await self._end(live, "cancelled")

    def _again(self, live: Live, error: TensorloomError) -> None:
        """Wait because of the machine, and go on later."""
        wait = RETRY_S[min(live.tries, len(RETRY_S) - 1)]
        live.tries += 1
        live.not_before = time.monotonic() + wait
        _LOG.warning("Job %s waits %.0f s: %s", live.job.id, wait, error)
        self._wait_again(live, note=f"It waits: {error}")

    def _wait_again(self, live: Live, *, note: str) -> None:
        live.stop = None
        live.cancelled = asyncio.Event()
        live.job = live.job.model_copy(update={"state": "queued", "note": note})
        self._running.pop(live.job.id, None)
        self.add(live)
        self._tell(live)

    async def _failed(self, live: Live, error: TensorloomError) -> None:
        await self._end(live, "failed", error=to_refusal(error))

    async def _end(self, live: Live, state: State, **more: object) -> None:
        """The final state, seen and told when the disk has it; a full disk is waited for.

        Raises:
            TensorloomError: It cannot be written for another reason.
        """
        final = {"state": state, "finished_at": now_text(), "note": None, "queue_position": None}
        job = live.job.model_copy(update={**final, **more})
        tries = 0
        while True:
            try:
                await self._runner.keep(live, job)
                break
            except TensorloomError as error:
                if error.code not in RETRIED:
                    raise
                _LOG.warning("The end of job %s cannot be written: %s", live.job.id, error)
                live.problem = error
                live.held_up.set()
                if self._closing:
                    return
                live.job = live.job.model_copy(update={"note": f"Its end waits: {error}"})
                self._tell(live)
                live.again.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(live.again.wait(), RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        live.job = job
        live.ended.set()
        self._tell(live)
