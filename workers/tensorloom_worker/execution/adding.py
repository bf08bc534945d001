"""A contraction under way: tasks out to the workers, sums into the ledger, each exactly once.

Sums are recorded as they come and added in the order of the tasks: what is added up is a prefix of
them. The ledger keeps the prefix with what its additions lost, so going on from it is going on from
the same bits.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from math import frexp, inf, isfinite, prod, sqrt
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tensorloom.execute.blocks import blocks, largest_of
from tensorloom.execute.error_bound import MUCH_LOST
from tensorloom.execute.scaling import absmax, finished, scaled
from tensorloom.execute.second_opinion import is_short
from tensorloom_worker.execution import tasks
from tensorloom_worker.execution.left_sums import LeftSum
from tensorloom_worker.execution.recording import Sums, fold_bytes, most_held
from tensorloom_worker.execution.sums import Sum
from tensorloom_worker.ledger import Outcome, Partial, Prefix, Progress
from tensorloom_worker.records import JobProgress, PartialValue, as_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.model.recipe import DType
    from tensorloom_worker.execution.pool import Delivery, Pool
    from tensorloom_worker.execution.problem import Problem
    from tensorloom_worker.execution.strategy import Strategy
    from tensorloom_worker.execution.tasks import Done, Job
    from tensorloom_worker.ledger import Ledger, TaskLayout

__all__ = ["Contraction", "blocks_of", "is_small", "sum_so_far"]

IN_FLIGHT = 3
"""Tasks per thread that the scheduler knows of: one runs, one waits, one is on its way."""

FOLD_SECONDS = 15.0
FOLD_TASKS = 256
"""When the prefix is written: after so long, so many tasks, or ``fold_bytes`` of them."""

FEW_INPUTS = 1 << 14
"""Inputs whose numbers are looked at in the service's own process [elements]."""

MEASURED_BYTES = 16 << 20
"""Largest result whose error is measured: it is sent to a worker, to be compared there [bytes]."""

SMALL_MUL_ADDS = 1 << 20
SMALL_CALLS = 256
SMALL_ELEMENTS = 1 << 13
SMALL_PRODUCT = 1 << 18
"""Jobs of one task within these are done in the service's own process, in a few milliseconds: a
message to a worker takes longer. OpenBLAS computes a product of such a size and such operands in
one thread, as workers do, so the bits are the same. No clock has a say."""

TELL_SECONDS = 0.2
"""Progress is told no more often [s]."""


@dataclass(slots=True)
class _Spread:
    """Mean and variance of the sums of tasks, as they come (Welford).

    Both are kept beside the exponent of the largest sum so far: sums of any magnitude have squares
    that fit.
    """

    count: int = 0
    mean: complex = 0.0
    squares: float = 0.0
    exponent: int | None = None

    def add(self, value: NDArray[Any], exponent: int) -> None:
        """Takes in ``value * 2**exponent``, of one element."""
        largest = absmax(value)
        if largest > 0 and isfinite(largest):
            own = frexp(largest)[1] + exponent
            if self.exponent is None or own > self.exponent:
                less = (self.exponent or 0) - own
                self.mean = complex(scaled(np.array(self.mean), less))
                self.squares = float(scaled(np.array(self.squares), 2 * less))
                self.exponent = own
        self.count += 1
        number = complex(scaled(value, exponent - (self.exponent or 0)).reshape(()))
        away = number - self.mean
        self.mean += away / self.count
        self.squares += (away * (number - self.mean).conjugate()).real

    def standard_error(self, of: int) -> float | None:
        """Of the sum over ``of`` tasks if these are a sample of them, relative to that sum."""
        if self.count < 2 or self.mean == 0:  # noqa: PLR2004  # one value has no spread
            return None
        variance = self.squares / (self.count - 1)
        error = sqrt(variance / self.count * max(0.0, 1 - self.count / of))
        found = error / abs(self.mean)
        return found if isfinite(found) else None


@dataclass(slots=True, kw_only=True)
class Contraction:
    """One job's contraction; lives as long as it runs.

    Args:
        pool: The workers.
        folder: Where the workers find what they need to know, if they share this machine.
        problem: What is contracted.
        strategy: How.
        layout: In which tasks.
        job: Its id in the ledger.
        spec: What the workers need to know.
        ledger: Where sums are recorded.
        progress: Who wants to hear.
    """

    pool: Pool
    folder: Path
    problem: Problem
    strategy: Strategy
    layout: TaskLayout
    job: str
    spec: Job
    ledger: Ledger
    progress: Callable[[Progress], None]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sum: Sum = field(init=False)
    _upto: int = 0
    _pending: dict[int, Partial] = field(default_factory=dict)
    _recorded: set[int] = field(default_factory=set)
    _spread: _Spread = field(default_factory=_Spread)
    _change: float | None = None
    # Made where the sum changes: whoever tells of it must not wait for a disk.
    _partial: PartialValue | None = None
    _folded: tuple[float, int, int] = (0.0, 0, 0)
    _told: float = 0.0
    _begun: float = 0.0
    _slices_now: int = 0

    async def outcome(self) -> Outcome:
        """The result, when every task is in."""
        await asyncio.to_thread(self._resume)
        self._begun = monotonic()
        self._tell(force=True)
        if self.layout.backend == "numpy" and is_small(self.strategy, self.layout.tasks):
            for task in self._missing():
                await self._one(None, task)
            return await self._finish(None)
        parcel = await self.pool.parcel(self.spec, self.folder)
        try:
            await self._run(parcel)
            return await self._finish(parcel)
        finally:
            self.pool.forget(parcel)

    def _resume(self) -> None:
        """Takes up what the ledger holds."""
        schedule = self.strategy.schedule
        self._sum = Sum((schedule.n_blocks, *schedule.block_shape), self.problem.dtype)
        prefix = self.ledger.prefix(self.job)
        if prefix is not None:
            self._sum = Sum.of(prefix.partial, self.problem.dtype).own()
            self._upto = prefix.upto
        found = self.ledger.tasks(self.job)
        self._pending = {task: part for task, part in found.items() if task >= self._upto}
        self._recorded = set(self._pending)
        self._folded = (monotonic(), self._upto, 0)
        self._advance()
        self._partial = self._shown()

    def _missing(self) -> Iterator[int]:
        first, recorded = self._upto, frozenset(self._recorded)
        return (task for task in range(first, self.layout.tasks) if task not in recorded)

    def _range(self, task: int) -> tuple[int, int]:
        size = self.layout.slices_per_task
        return task * size, min(self.layout.slices, (task + 1) * size)

    async def _run(self, parcel: Delivery) -> None:
        """Keeps a few tasks per thread under way until none is missing."""
        missing = self._missing()
        sums = Sums.of(self.strategy, self.problem.dtype, self.layout.slices_per_task)
        flying: set[asyncio.Task[None]] = set()

        def is_enough() -> bool:
            """Also where one task is late, and the sums of all later ones wait for it."""
            threads = self.pool.n_threads
            held = len(flying) + len(self._pending)
            return len(flying) >= IN_FLIGHT * threads or held >= most_held(sums.each_bytes, threads)

        try:
            for task in missing:
                flying.add(asyncio.create_task(self._one(parcel, task)))
                while flying and is_enough():
                    flying = await _some(flying)
            while flying:
                flying = await _some(flying)
        finally:
            for one in flying:
                one.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _one(self, parcel: Delivery | None, task: int) -> None:
        """Has a task done and records it; in this process if no worker has the job."""
        start, end = self._range(task)
        done: Done
        if parcel is None:
            done = await asyncio.to_thread(
                tasks.contract_here, self.spec, self.problem, self.strategy, start, end
            )
        else:
            done = await self.pool.deliver(tasks.contract, parcel, start, end)
        recording = asyncio.ensure_future(asyncio.to_thread(self._record, task, done.partial))
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            # Nobody may stop halfway: when this ends, the ledger is no longer written to.
            await asyncio.wait({recording})
            raise
        self._slices_now += end - start
        self._tell()

    def _record(self, task: int, partial: Partial | LeftSum) -> None:
        if isinstance(partial, LeftSum):
            partial = partial.taken()
        with self._lock:
            if not self.ledger.record(self.job, task, partial):
                # It was there already; what is there is what counts.
                partial = self.ledger.tasks(self.job)[task]
            self._pending[task] = partial
            self._recorded.add(task)
            self._advance()
            self._partial = self._shown()
            self._fold()

    def _advance(self) -> None:
        """Adds what has come next, in the order of the tasks."""
        while self._upto in self._pending:
            partial = self._pending.pop(self._upto)
            start, end = self._range(self._upto)
            per_block = self.strategy.slices_per_block
            where = slice(start // per_block, (end - 1) // per_block + 1)
            part = Sum.of(partial, self.problem.dtype)
            if self.layout.tasks == 1:
                self._sum = part
            else:
                self._sum.merge(part, where)
            self._recorded.discard(self._upto)
            self._upto += 1
            moment, tasks_at, size = self._folded
            self._folded = moment, tasks_at, size + len(partial.total) + len(partial.compensation)
            if self._sum.total.size == 1:
                self._spread.add(part.value(), part.exponent or 0)
                self._change = _share(part, self._sum)

    def _fold(self) -> None:
        """Writes the prefix down, now and then: what it holds need not be kept apart.

        Not at the end: all is recorded then, and goes as soon as the result is there.
        """
        if self._upto == self.layout.tasks:
            return
        moment, tasks_at, size = self._folded
        due = (
            self._upto - tasks_at >= FOLD_TASKS
            or size >= fold_bytes(self._sum.total.nbytes)
            or (monotonic() - moment > FOLD_SECONDS and size >= self._sum.total.nbytes)
        )
        if due and self._upto > tasks_at:
            self.ledger.fold(self.job, Prefix(upto=self._upto, partial=self._sum.partial()))
            self._folded = monotonic(), self._upto, 0

    @property
    def _slices_done(self) -> int:
        done = self._upto + len(self._recorded)
        whole = done * self.layout.slices_per_task
        last = self.layout.tasks - 1
        if self._upto > last or last in self._recorded:
            whole -= self.layout.tasks * self.layout.slices_per_task - self.layout.slices
        return whole

    def _tell(self, *, force: bool = False) -> None:
        now = monotonic()
        if not force and now - self._told < TELL_SECONDS:
            return
        self._told = now
        done, of = self._slices_done, self.layout.slices
        eta = None
        if self._slices_now:
            eta = (now - self._begun) * 1000 * (of - done) / self._slices_now
        self.progress(
            Progress(
                progress=JobProgress(slices_done=done, slices=of, fraction=done / of, eta_ms=eta),
                partial=self._partial,
            )
        )

    def _shown(self) -> PartialValue | None:
        """The sum so far of a scalar, and how much it still moves."""
        if self._upto == 0 or self._sum.total.size != 1:
            return None
        raw = finished(self._sum.value(), self._sum.exponent or 0, self.problem.dtype)
        return PartialValue(
            value=as_pair(complex(raw.value.reshape(()))),
            log10_scale=raw.log10_scale,
            relative_change=self._change,
            standard_error=self._spread.standard_error(self.layout.tasks),
        )

    async def _finish(self, parcel: Delivery | None) -> Outcome:
        schedule = self.strategy.schedule
        ms = (monotonic() - self._begun) * 1000
        self._tell(force=True)

        def whole() -> tuple[RawResult, float]:
            raw = tasks.result_of(self._taken(), schedule, self.problem.dtype)
            return raw, largest_of(block for (block,) in blocks(raw.value))

        raw, largest = await asyncio.to_thread(whole)
        bound = await self._bound(parcel, raw, largest)
        return Outcome(
            array=raw.value,
            error_bound=bound,
            ms=ms,
            mul_adds=self.strategy.mul_adds,
            backend=self.layout.backend,
            log10_scale=raw.log10_scale,
        )

    def _taken(self) -> Sum:
        """The sum, which is not here any more: a large result needs no sum beside it."""
        taken, self._sum = self._sum, Sum((0,), self.problem.dtype)
        return taken

    async def _bound(self, parcel: Delivery | None, raw: RawResult, largest: float) -> float:
        """Bound on the error, measured where averages say little and that is quick.

        That of few inputs needs no worker; what is repeated takes as long as the job.
        """
        told = largest, raw.log10_scale
        if parcel is None or self.problem.input_elements <= FEW_INPUTS:
            bound, least = await asyncio.to_thread(tasks.bound, self.spec, *told)
        else:
            bound, least = await self.pool.deliver(tasks.bound_of, parcel, *told)
        calls = self.layout.slices * len(self.strategy.schedule.calls)
        if (
            bound <= MUCH_LOST * least
            or raw.value.nbytes > MEASURED_BYTES
            or not is_short(self.problem.dtype, self.strategy.mul_adds, calls)
        ):
            return bound
        if parcel is None:
            return await asyncio.to_thread(tasks.measured, self.spec, raw, bound, least)
        found: float = await self.pool.deliver(tasks.measured_of, parcel, raw, bound, least)
        return found


def _share(part: Sum, whole: Sum) -> float | None:
    """Magnitude of one number relative to another; ``None`` where that is no number."""
    reference = whole.value()
    largest = absmax(reference)
    own = frexp(largest)[1] if isfinite(largest) else 0
    apart = (part.exponent or 0) - (whole.exponent or 0)
    # Next to one: either may lie beyond what a float holds, and so may the magnitude of a complex.
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.abs(scaled(part.value(), apart - own)).max())
        of = float(np.abs(scaled(reference, -own)).max())
    found = size / of if of > 0 else inf
    return found if isfinite(found) else None


def is_small(strategy: Strategy, tasks: int) -> bool:
    """Whether a job in so many tasks is not worth a message to a worker."""
    calls = strategy.schedule.calls
    return (
        tasks == 1
        and strategy.main.n_slices * len(calls) <= SMALL_CALLS
        and strategy.mul_adds <= SMALL_MUL_ADDS
        and strategy.peak_elements <= SMALL_ELEMENTS
        and all(call.mul_adds <= SMALL_PRODUCT for call in calls)
    )


def blocks_of(strategy: Strategy) -> dict[str, list[int]]:
    """Where the sums of tasks lie in the result, for who shows it half done."""
    schedule = strategy.schedule
    return {
        "counts": list(schedule.radix[: schedule.block_axes]),
        "shape": list(schedule.block_shape),
        "order": list(schedule.output),
    }


def sum_so_far(ledger: Ledger, job: str) -> tuple[NDArray[Any], float] | None:
    """The sum of what is recorded of a job, and the log10 of what it is to be multiplied with."""
    layout = ledger.layout(job)
    if layout is None:
        return None
    blocks = layout.extra["blocks"]
    n_blocks = prod(blocks["counts"])
    total = Sum((n_blocks, *blocks["shape"]), layout.dtype)
    # Tasks first: one that is folded in between is then in both, and counted once below.
    found = ledger.tasks(job)
    prefix = ledger.prefix(job)
    if prefix is None and not found:
        return None
    if prefix is not None:
        total.merge(Sum.of(prefix.partial, layout.dtype))
    for task, partial in sorted(found.items()):
        if prefix is None or task >= prefix.upto:
            first = task * layout.slices_per_task * n_blocks // layout.slices
            part = Sum.of(partial, layout.dtype)
            total.merge(part, slice(first, first + len(part.total)))
    raw = finished(total.value(), total.exponent or 0, cast("DType", layout.dtype))
    shape = (*blocks["counts"], *blocks["shape"])
    array = raw.value.reshape(shape).transpose(blocks["order"]).astype(layout.dtype)
    return np.asarray(array, order="C"), raw.log10_scale


async def _some(flying: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those still under way when one at least has ended; its error, if it had one."""
    done, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()
    return flying
