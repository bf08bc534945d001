"""Tuning while nobody waits: the device is measured once, then the shapes that were run, in turn.

    tuner.observe(program)         after a result: its shapes wait for their turn, heaviest first
    await tuner.step(pause)        at most about 20 ms of work; False when there is nothing to do
    tuner.plans_for(program)       the best known kernels, for the next run
    await tuner.settle(program, …) what is not known of a program's kernels, found out now

What an earlier visit has found out is looked at once, when nothing is left to search for. What was
measured of a shape counts before what is known of its class. A better kernel replaces the old one
in the next run; one whose numbers differ from the reference is thrown out, and ``report`` says so.
Where the page has threads, each winner is run on all of them too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.compared_kernels import MOST_SHAPES, ComparedKernels
from tensorloom.execute.doubts import MOST_TIMES, is_doubted, lacks_gain
from tensorloom.execute.known_kernels import LEAST_MUL_ADDS, flop
from tensorloom.execute.renewal import is_far_off, is_own, makes_a_difference, renewed, speed
from tensorloom.execute.tuned_shape import (
    Place,
    Shape,
    is_done,
    joined,
    left_behind,
    second_best,
    without_best,
)
from tensorloom.execute.turn import Turn, Turns
from tensorloom.execute.wasm.team_trials import LEAST_FLOP
from tensorloom.execute.wasm.trials import WasmTrials
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.tune.database import Entry
from tensorloom.tune.recheck import Recheck
from tensorloom.tune.search import Search

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.kernel_store import KernelStore
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.execute.wasm.team_trials import TeamTrials
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.schedule import Schedule
    from tensorloom.tune.database import Key
    from tensorloom.tune.device import DeviceRecord

    Pause = Callable[[], Awaitable[None]]

__all__ = ["BUDGET_MS", "LEAST_SHARE", "Tuner"]

BUDGET_MS = 300.0
"""Time to find the best kernel of one shape on the CPU, threads included [ms]."""

THREADS_MS = 90.0
"""Part of it for comparing threads, where there are any [ms]."""

NETWORK_MS = 3000.0
"""No other shape of a program is begun after this by who waits for it [ms]."""

GPU_BUDGET_MS, GPU_NETWORK_MS = 1000.0, 2800.0
"""The same for a GPU, and for all shapes of a network there: 3 s with a last one that takes longer
than it should [ms]."""

LEAST_SHARE = 0.01
"""Shapes with less of a program's work are not worth their time."""

MOST_WAITING = 24


class Tuner(ComparedKernels):
    """Tunes the kernels of one engine and its GPU.

    Args:
        kernels: The WASM engine.
        gpu: The GPU's device, where there is one.
        team: What measures threads, where the page has any.
        store: Where results are kept.
        engine: Browser engine and its major version.
        clock: Seconds.

    Attributes:
        revision: Grows whenever ``plans_for`` may answer differently.
        record: What was measured of the device, once it was.
        report: Kernels that computed wrongly, in words.
    """

    def __init__(
        self,
        kernels: WasmKernels,
        *,
        store: KernelStore,
        engine: str,
        clock: Callable[[], float],
        gpu: GpuDevice | None = None,
        team: TeamTrials | None = None,
    ) -> None:
        super().__init__(kernels, store=store, engine=engine, clock=clock, gpu=gpu, team=team)
        self._kernels = kernels
        self._gpu_left_ms = GPU_NETWORK_MS
        self._gpu_pace = 1.0
        self._turns = Turns(kernels, gpu, clock)
        self._searches: Counter[tuple[Place, str]] = Counter()
        self._waiting: list[tuple[Place, KernelSpec]] = []
        self._unsure: list[tuple[Place, KernelSpec]] = []
        self._seen: set[tuple[Key, bool]] = set()
        self._again: set[Key] = set()
        self._current: Turn | None = None

    # --- what happens while nobody waits --------------------------------------------------------

    def observe(self, program: Program, backend: Place = "wasm") -> None:
        """Puts a program's shapes in line, heaviest first."""
        self._gpu_left_ms = GPU_NETWORK_MS
        work: Counter[int] = Counter()
        for dispatch in program.dispatches:
            work[dispatch.kernel] += program.kernels[dispatch.kernel].mul_adds
        total = sum(work.values())
        heavy = [
            program.kernels[number]
            for number, share in work.most_common(MOST_WAITING)
            if share >= LEAST_SHARE * total
        ]
        self._waiting = [(backend, spec) for spec in heavy if self._is_open(backend, spec)]
        self._unsure = [(backend, spec) for spec in heavy if self._is_unsure(backend, spec)]

    def _is_new(self, backend: Place, spec: KernelSpec) -> bool:
        """Whether a shape is worth tuning, and was not tuned on this visit."""
        if spec.unary or spec.mul_adds < LEAST_MUL_ADDS or (backend, spec.name) in self._shapes:
            return False
        return backend == "wasm" or self._gpu is not None

    def _is_open(self, backend: Place, spec: KernelSpec) -> bool:
        """Whether there is something to search for."""
        if not self._is_new(backend, spec) or (backend == "webgpu" and self._gpu_left_ms <= 0):
            return False
        if self.record is None:
            return True
        key = self.key(spec, backend)
        entry = self.database.get(key)
        if entry is None or not entry.trusted or key in self._again:
            return True
        return is_doubted(entry, backend)

    def _is_unsure(self, backend: Place, spec: KernelSpec) -> bool:
        """Whether what is known is of an earlier visit, and was not looked at on this one."""
        if self.record is None or not self._is_new(backend, spec) or self._is_open(backend, spec):
            return False
        key = self.key(spec, backend)
        entry = self.database.get(key)
        if entry is None or not entry.trusted:
            return False
        return (key, is_own(entry, spec)) not in self._seen

    @property
    def on_gpu(self) -> bool:
        """Whether what is at work is on the GPU."""
        if self._current is None:
            return self._measuring.on_gpu
        return self._current.backend == "webgpu"

    @property
    def running(self) -> bool:
        """Whether there is anything left to do."""
        unmeasured = self._loaded and (self.record is None or self._is_due or self._wants_gpu)
        return bool(self._waiting or self._unsure or self._current or unmeasured)

    @property
    def _is_due(self) -> bool:
        """Whether the processor is to be measured again."""
        return self.record is not None and self._age.is_due(self.record)

    @property
    def _wants_gpu(self) -> bool:
        """Whether the GPU's part of the record is missing and may be had."""
        return self.record is not None and self._measuring.wants_gpu(self.record)

    async def step(self, pause: Pause) -> bool:
        """Does the next piece of work; whether there was any.

        Args:
            pause: Lets others have their turn; called within longer pieces. If it raises
                ``Cancelled``, so does this, and the next step begins that piece again.
        """
        if not self._loaded:
            await self._load()
            return True
        if self._unsaved:
            await self._save()
        if self.record is None:
            self._measure_on()
            return True
        if self._current is None and not self._begin():
            if not self._is_due:
                return await self._measure_gpu_on()
            self._measure_on()
            return True
        await self._go_on(pause)
        return True

    async def measured(self, pause: Pause) -> None:
        """The device record, measured now if it is not known."""
        if not self._loaded:
            await self._load()
        while self.record is None:
            self._measure_on()
            await pause()

    async def settle(
        self, program: Program, pause: Pause, backend: Place = "wasm", *, threads: int = 1
    ) -> None:
        """Tunes the kernels of a program now, heaviest first, as long as ``NETWORK_MS`` last.

        Args:
            program: The program.
            pause: As for ``step``.
            backend: Where.
            threads: How many there may be; their gain is measured too.
        """
        await self.measured(pause)
        self._gpu_left_ms = GPU_NETWORK_MS
        start = self._clock()
        for spec in sorted(program.kernels, key=lambda spec: -spec.mul_adds):
            if not spec.unary and 1e3 * (self._clock() - start) < NETWORK_MS:
                await self.best(spec, pause, backend, threads=threads)

    async def best(
        self, spec: KernelSpec, pause: Pause, backend: Place = "wasm", *, threads: int = 1
    ) -> Shape:
        """Tunes one shape now, whatever else waits; what is known of it is not tuned again.

        Args:
            spec: The kernel; not unary.
            pause: As for ``step``.
            backend: Where.
            threads: How many there may be.
        """
        await self.measured(pause)
        name = backend, spec.name
        if not self._is_settled(spec, backend):
            self._put_off(backend)
            current = self._made(backend, spec, threads=threads)
            while current.search.request is not None:
                await self._answer(current, pause)
                await pause()
            await self._finish(current, pause, threads)
        elif backend == "wasm" and self._is_doubtful(spec, threads):
            way = self.schedule_for(spec, least=0) or schedule(spec, relaxed=self._relaxed)
            await self._compare(spec, way, pause, threads)
            await self._keep(spec)
        return self._shapes.get(name) or Shape(
            spec=spec, backend=backend, trials=(), message="Known from an earlier visit."
        )

    def _is_settled(self, spec: KernelSpec, backend: Place) -> bool:
        """Whether looking for a better kernel once more would bring nothing."""
        shape = self._shapes.get((backend, spec.name))
        if shape is None:
            entry = self.database.get(self.key(spec, backend))
            return entry is not None and entry.trusted and entry.spec == spec.name
        return is_done(shape) or self._searches[backend, spec.name] >= MOST_TIMES

    def _put_off(self, backend: Place) -> None:
        """Whose turn it is on a backend begins again later: trials share a slot and a device."""
        current = self._current
        if current is not None and current.backend == backend:
            self._current = None
            self._waiting.insert(0, (backend, current.spec))

    def shape(self, spec: KernelSpec, backend: Place = "wasm") -> Shape | None:
        """What is known of a shape, also while it is tuned."""
        current = self._current
        if current is not None and (current.spec, current.backend) == (spec, backend):
            return current.seen()
        return self._shapes.get((backend, spec.name))

    @property
    def message(self) -> str:
        """What goes on, in words."""
        if self._current is not None:
            extents = "x".join(str(size) for size in self._current.spec.extents[1:])
            is_look = isinstance(self._current.search, Recheck)
            return f"{'Timing' if is_look else 'Trying'} kernels for {extents}"
        if self.record is None and self._loaded:
            return "Measuring this device"
        count = len(self._waiting) + len(self._unsure)
        if count:
            return "1 shape waits" if count == 1 else f"{count} shapes wait"
        if self._is_due:
            return "Measuring this device again"
        return "Measuring the GPU" if self._wants_gpu else "All shapes are tuned"

    @property
    def thrown_out(self) -> list[str]:
        """Kernels that computed wrongly or stopped half way, in trials and in runs, in words."""
        return [*self.report, *self._kernels.report]

    async def cleared(self) -> None:
        """As for ``ComparedKernels``; everything may be searched for again."""
        self._searches.clear()
        self._seen.clear()
        self._again.clear()
        await super().cleared()

    # --- inside -----------------------------------------------------------------------------------

    def _measure_on(self) -> None:
        """The next step of the device record."""
        start = self._clock()
        record = self._measuring.cpu_step()
        if record is not None:
            self._take_up(record)
        self.spent_ms += 1e3 * (self._clock() - start)

    def _take_up(self, measured: DeviceRecord) -> None:
        """The processor was measured, perhaps not for the first time."""
        old = self.record
        self.record = measured if old is None else self._age.judged(old, measured)
        if old is not None and old.cpu_key != self.record.cpu_key:
            self.database.rename(old.cpu_key, self.record.cpu_key)
        self._unsaved = old is not None
        self._changed()

    async def _measure_gpu_on(self) -> bool:
        """The next step of the GPU's part, last of all: kernels can be tried without it."""
        if not self._wants_gpu:
            return False
        assert self.record is not None
        start = self._clock()
        found = await self._measuring.gpu_step(self.record)
        self.spent_ms += 1e3 * (self._clock() - start)
        if found is not None:
            self.record = found.record
            self._changed()
            self._reported(found.report)
            await self._save()
        return True

    def _begin(self) -> bool:
        while self._waiting:
            backend, spec = self._waiting.pop(0)
            if self._is_open(backend, spec):
                # Every shape gets its share, and what others left.
                others = sum(place == "webgpu" for place, _ in self._waiting)
                self._current = self._made(backend, spec, threads=self.threads, others=others)
                return True
            self._unsure.append((backend, spec))
        while self._unsure:
            backend, spec = self._unsure.pop(0)
            key = self.key(spec, backend)
            entry = self.database.get(key)
            if entry is not None and self._is_unsure(backend, spec):
                self._current = self._turns.look(spec, backend, self.device, entry)
                if self._current is not None:
                    return True
                self._saw(key, own=is_own(entry, spec))
        return False

    def _saw(self, key: Key, *, own: bool = True) -> None:
        """A class was looked at: one shape stands for all but the one it was measured of."""
        self._seen |= {(key, False), (key, own)}

    def _made(self, backend: Place, spec: KernelSpec, *, threads: int, others: int = 0) -> Turn:
        entry = self.database.get(self.key(spec, backend))
        if backend == "webgpu":
            budget = min(GPU_BUDGET_MS, self._gpu_left_ms / (1 + others))
            return self._turns.on_gpu(spec, entry=entry, budget_ms=budget, pace=self._gpu_pace)
        budget = BUDGET_MS - THREADS_MS * (threads > 1 and flop(spec) >= LEAST_FLOP)
        seen = self._shapes.get((backend, spec.name))
        return self._turns.on_wasm(spec, self.device, entry=entry, seen=seen, budget_ms=budget)

    async def _go_on(self, pause: Pause) -> None:
        current = self._current
        assert current is not None
        if current.search.request is not None:
            await self._answer(current, pause)
        if current.search.request is None:
            if isinstance(current.search, Recheck):
                await self._renew(current, current.search, pause)
            else:
                await self._finish(current, pause, self.threads)
            if self._current is current:
                self._current = None

    async def _answer(self, current: Turn, pause: Pause) -> None:
        """The next step."""
        spent = await current.step(pause)
        self.spent_ms += spent
        if current.backend == "webgpu" and isinstance(current.search, Search):
            self._gpu_left_ms -= spent
            self._gpu_pace = current.search.pace

    async def _finish(self, current: Turn, pause: Pause, threads: int) -> None:
        """The search has ended: its winner is proved and shared out, and kept."""
        spec, shape = current.spec, current.seen()
        assert shape is not None
        earlier = self._shapes.get((current.backend, spec.name))
        if earlier is not None:
            shape = joined(earlier, shape)
        self._searches[current.backend, spec.name] += 1
        if isinstance(current.trials, WasmTrials) and shape.best is not None:
            way = current.trials.way(shape.best.option.text)
            if self._is_ready(way):
                await self._compare(spec, way, pause, threads)
            else:
                shape = without_best(shape)
        if len(self._shapes) >= MOST_SHAPES:
            del self._shapes[next(iter(self._shapes))]
        self._shapes[shape.backend, spec.name] = shape
        failed = (trial for trial in shape.trials if trial.state == "failed")
        self._reported(f"{trial.option.text}: {trial.reason}." for trial in failed)
        await self._keep(spec, shape.backend)

    async def _keep(self, spec: KernelSpec, backend: Place = "wasm") -> None:
        """What is known of a shape goes into the database."""
        key, found = self.key(spec, backend), self._found(spec, backend)
        shape = self._shapes.get((backend, spec.name))
        if found is None or (shape is not None and shape.best is None):
            self.database.forget(key)
        else:
            threads, gain = self._gain_to_keep(spec, backend, candidate=found[0])
            before = self.database.get(key)
            entry = Entry(
                candidate=found[0],
                gflops=flop(spec) / found[1] / 1e6,
                spec=spec.name,
                threads=threads,
                gain=gain,
                second=second_best(shape, before, candidate=found[0]),
            )
            if shape is not None and not is_done(shape):
                # What is not settled is looked for again on the next visit, among the others.
                earlier = () if before is None else before.tried
                entry = replace(entry, spec="", tried=left_behind(shape, earlier))
            self.database.put(key, entry)
            if backend == "wasm":
                self._age.saw(entry.gflops, spec.dtype)
        self._saw(key)
        self._again.discard(key)
        self._changed()
        await self._save()

    async def _renew(self, current: Turn, look: Recheck, pause: Pause) -> None:
        """A look has ended: the better one is kept, with what it takes now."""
        spec, backend, finding = current.spec, current.backend, look.finding
        key = self.key(spec, backend)
        before = self.database.get(key)
        own = before is None or is_own(before, spec)
        self._saw(key, own=own)
        if before is None or before.candidate not in (look.chosen, finding.best):
            return  # It was thrown out in a run meanwhile.
        if not finding.best:
            self.database.forget(key)
            self._waiting.append((backend, spec))
        else:
            if finding.failed and finding.failed not in before.tried:
                self._reported([f"{finding.failed}: {finding.reason}."])
            after = used = renewed(before, spec, finding)
            self.database.put(key, after)
            if backend == "wasm":
                self._age.saw(after.gflops if own else speed(spec, finding), spec.dtype)
            if after.candidate != before.candidate:
                self._forget_gains(spec)
                self._changed()
            if is_far_off(before, spec, finding):
                self._again.add(key)
                self._waiting.append((backend, spec))
            elif backend == "wasm" and lacks_gain(spec, after, threads=self.threads):
                used = await self._with_gain(spec, after, pause)
                self.database.put(key, used if own else after)
            if not makes_a_difference(before, used):
                await self._save()
                return
        self._changed()
        await self._save()

    def _is_ready(self, way: Schedule) -> bool:
        """Compiles and proves the winner now, so that no run has to wait for it."""
        try:
            self._kernels.slot(way.kernel)
        except UnsupportedKernel:
            return False
        self._kernels.release([way.kernel])
        return True
