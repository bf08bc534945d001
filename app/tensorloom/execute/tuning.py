"""Tuning while nobody waits: the device is measured once, then the shapes that were run, in turn.

    tuner.observe(program)         after a result: its shapes wait for their turn, heaviest first
    await tuner.step(pause)        at most about 20 ms of work; False when there is nothing to do
    tuner.plans_for(program)       the best known kernels, for the next run
    await tuner.settle(program, …) what is not known of a program's kernels, found out now

What was measured of a shape counts before what is known of its class. A better kernel replaces the
old one in the next run; one whose numbers differ from the reference is thrown out, and ``report``
says so. Where the page has threads, each winner is run on all of them too.

Above 500 lines, as everything here is turns at one engine and one device.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tensorloom.errors import InputError, UnsupportedKernel
from tensorloom.execute.device_measuring import DeviceMeasuring
from tensorloom.execute.gpu.trials import SEEDS, GpuTrials
from tensorloom.execute.known_device import with_gpu
from tensorloom.execute.known_kernels import LEAST_MUL_ADDS, KnownKernels, flop
from tensorloom.execute.tuned_shape import (
    Place,
    Shape,
    is_done,
    joined,
    unseen_first,
    without_best,
)
from tensorloom.execute.wasm.rates import CYCLES_PER_MS
from tensorloom.execute.wasm.team_trials import LEAST_FLOP, MOST_MS, fits
from tensorloom.execute.wasm.trials import WasmTrials
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.tune.database import Database, Entry, read_entries
from tensorloom.tune.device import device_from_json, device_to_json
from tensorloom.tune.search import Search

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.kernel_store import KernelStore
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.execute.wasm.team_trials import TeamTrials
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule

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

LEAST_TRIED = 3
"""Of a shape's candidates on the CPU."""

MOST_TIMES = 3
"""Searches for a shape and looks at its threads within a visit, by who waits for the best: a busy
machine hides it by times that do not settle, candidates not reached, threads without a gain."""

CLEAR_GAIN = 1.2
"""Threads that gain less may have had no processor."""

LEAST_SHARE = 0.01
"""Shapes with less of a program's work are not worth their time."""

MOST_WAITING = 24
MOST_SHAPES = 200
FORMAT = 1


class Tuner(KnownKernels):
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
        threads = 1 if team is None else team.count
        super().__init__(relaxed=kernels.relaxed, engine=engine, gpu=gpu, threads=threads)
        self._kernels = kernels
        self._team = team
        self._gpu_left_ms = GPU_NETWORK_MS
        self._gpu_pace = 1.0
        self._store = store
        self._clock = clock
        self.report: list[str] = []
        self.spent_ms = 0.0
        self._searches: Counter[tuple[Place, str]] = Counter()
        self._looks: Counter[tuple[str, int]] = Counter()
        self._waiting: list[tuple[Place, KernelSpec]] = []
        self._current: _Current | None = None
        self._measuring = DeviceMeasuring(kernels, gpu, clock)
        self._loaded = False
        self._unsaved = False

    def without(self, kernel: Kernel) -> None:
        """As for ``KnownKernels``; the next step writes it down."""
        super().without(kernel)
        self._unsaved = True

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

    def _is_open(self, backend: Place, spec: KernelSpec) -> bool:
        if spec.unary or spec.mul_adds < LEAST_MUL_ADDS or (backend, spec.name) in self._shapes:
            return False
        if backend == "webgpu" and (self._gpu is None or self._gpu_left_ms <= 0):
            return False
        if self.record is None:
            return True
        entry = self.database.get(self.key(spec, backend))
        return entry is None or not entry.trusted or self._is_doubted(backend, spec, entry)

    def _is_doubted(self, backend: Place, spec: KernelSpec, entry: Entry) -> bool:
        """Whether an earlier visit did not come to an end with a shape, as on a busy machine.

        Not on a GPU: what a network's time does not do for there, it will not do for again.
        """
        return backend == "wasm" and (not entry.spec or self._lacks_gain(spec, entry))

    def _lacks_gain(self, spec: KernelSpec, entry: Entry) -> bool:
        """Whether a shape was tuned without the threads that there are now, or without their gain.

        A gain of exactly 1 is that of a kernel which is not shared out.
        """
        if self._team is None or flop(spec) < LEAST_FLOP or not fits(spec):
            return False
        if entry.threads == self.threads and (entry.gain == 1 or entry.gain >= CLEAR_GAIN):
            return False
        return flop(spec) / entry.gflops / 1e6 <= MOST_MS

    @property
    def on_gpu(self) -> bool:
        """Whether what is at work is on the GPU."""
        if self._current is None:
            return self._measuring.on_gpu
        return self._current.backend == "webgpu"

    @property
    def running(self) -> bool:
        """Whether there is anything left to do."""
        unmeasured = self._loaded and (self.record is None or self._wants_gpu)
        return bool(self._waiting or self._current or unmeasured)

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
            return await self._measure_gpu_on()
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

    def _is_doubtful(self, spec: KernelSpec, threads: int) -> bool:
        """Whether threads are to be compared, or compared again."""
        gain = self.gain(spec, threads)
        if gain is not None and gain >= CLEAR_GAIN:
            return False
        return self._looks[spec.name, threads] < (1 if gain == 1 else MOST_TIMES)

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
            return f"Trying kernels for {extents}"
        if self.record is None and self._loaded:
            return "Measuring this device"
        if self._waiting:
            count = len(self._waiting)
            return "1 shape waits" if count == 1 else f"{count} shapes wait"
        return "Measuring the GPU" if self._wants_gpu else "All shapes are tuned"

    @property
    def thrown_out(self) -> list[str]:
        """Kernels that computed wrongly or stopped half way, in trials and in runs, in words."""
        return [*self.report, *self._kernels.report]

    # --- the database ---------------------------------------------------------------------------

    def exported(self) -> str:
        """The database as text: parameters and speeds, no code."""
        return self.database.to_text()

    async def imported(self, text: str) -> int:
        """Takes entries from elsewhere; each is tried here before it is used. How many.

        Raises:
            DocumentError: What ``read_entries`` refuses.
        """
        taken = self.database.merge(read_entries(text))
        if taken:
            self._changed()
            await self._save()
        return taken

    async def cleared(self) -> None:
        """Forgets all kernels; the device record stays. A GPU that was refused is tried again."""
        self._measuring.refused = ""
        self.database.clear()
        self._shapes.clear()
        self._gains.clear()
        self._searches.clear()
        self._looks.clear()
        self._changed()
        await self._save()

    # --- inside -----------------------------------------------------------------------------------

    def _measure_on(self) -> None:
        """The next step of the device record."""
        start = self._clock()
        record = self._measuring.cpu_step()
        if record is not None:
            self.record = record
            self._changed()
        self.spent_ms += 1e3 * (self._clock() - start)

    async def _measure_gpu_on(self) -> bool:
        """The next step of the GPU's part, last of all: nothing is chosen by it."""
        if not self._wants_gpu:
            return False
        assert self.record is not None
        start = self._clock()
        found = await self._measuring.gpu_step(self.record)
        self.spent_ms += 1e3 * (self._clock() - start)
        if found is not None:
            self.record = found.record
            self.report += found.report
            await self._save()
        return True

    def _begin(self) -> bool:
        while self._waiting:
            backend, spec = self._waiting.pop(0)
            if self._is_open(backend, spec):
                self._start(backend, spec)
                return True
        return False

    def _start(self, backend: Place, spec: KernelSpec) -> None:
        # Every shape gets its share, and what others left.
        others = sum(place == "webgpu" for place, _ in self._waiting)
        self._current = self._made(backend, spec, threads=self.threads, others=others)

    def _made(self, backend: Place, spec: KernelSpec, *, threads: int, others: int = 0) -> _Current:
        entry = self.database.get(self.key(spec, backend))
        known = entry.candidate if entry else None
        trials: WasmTrials | GpuTrials
        if backend == "wasm":
            trials = WasmTrials(spec, self._kernels, self.device, self._clock)
            seen = self._shapes.get((backend, spec.name))
            options = trials.options if seen is None else unseen_first(trials.options, seen)
            known = known if seen is None or seen.best is None else seen.best.option.text
            budget = BUDGET_MS - THREADS_MS * (threads > 1 and flop(spec) >= LEAST_FLOP)
            search = Search(options, budget_ms=budget, known=known, least=LEAST_TRIED)
        else:
            assert self._gpu is not None
            budget = min(GPU_BUDGET_MS, self._gpu_left_ms / (1 + others))
            trials = GpuTrials(spec, self._gpu, self._clock)
            search = Search(
                trials.options, budget_ms=budget, known=known, seeds=SEEDS, pace=self._gpu_pace
            )
        return _Current(backend=backend, spec=spec, trials=trials, search=search)

    async def _go_on(self, pause: Pause) -> None:
        current = self._current
        assert current is not None
        if current.search.request is not None:
            await self._answer(current, pause)
        if current.search.request is None:
            await self._finish(current, pause, self.threads)
            if self._current is current:
                self._current = None

    async def _answer(self, current: _Current, pause: Pause) -> None:
        """The next step of a search."""
        search = current.search
        assert search.request is not None
        before = search.spent_ms
        search.take(await current.trials.answer(search.request, pause))
        spent = search.spent_ms - before
        self.spent_ms += spent
        if current.backend == "webgpu":
            self._gpu_left_ms -= spent
            self._gpu_pace = search.pace

    async def _finish(self, current: _Current, pause: Pause, threads: int) -> None:
        """The search has ended: its winner is proved and shared out, and kept."""
        spec, shape = current.spec, current.seen()
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
        self.report += [
            f"{trial.option.text}: {trial.reason}."
            for trial in shape.trials
            if trial.state == "failed"
        ]
        del self.report[:-_MOST_REPORTED]
        await self._keep(spec, shape.backend)

    async def _keep(self, spec: KernelSpec, backend: Place = "wasm") -> None:
        """What is known of a shape goes into the database."""
        key, found = self.key(spec, backend), self._found(spec, backend)
        shape = self._shapes.get((backend, spec.name))
        if found is None or (shape is not None and shape.best is None):
            self.database.forget(key)
        else:
            threads, gain = self._gain_to_keep(spec, backend, candidate=found[0])
            entry = Entry(
                candidate=found[0],
                gflops=flop(spec) / found[1] / 1e6,
                # What is not settled is looked for again on the next visit.
                spec=spec.name if shape is None or is_done(shape) else "",
                threads=threads,
                gain=gain,
            )
            self.database.put(key, entry)
        self._changed()
        await self._save()

    def _gain_to_keep(
        self, spec: KernelSpec, backend: Place, *, candidate: str
    ) -> tuple[int, float]:
        """Threads and their gain; a page without any leaves what is known of the candidate."""
        gain = None if backend == "webgpu" else self.gain(spec, self.threads)
        if gain is not None:
            return self.threads, gain
        entry = self.database.get(self.key(spec, backend))
        if self._team is None and entry is not None and entry.candidate == candidate:
            return entry.threads, entry.gain
        return 1, 1.0

    def _is_ready(self, way: Schedule) -> bool:
        """Compiles and proves the winner now, so that no run has to wait for it."""
        try:
            self._kernels.slot(way.kernel)
        except UnsupportedKernel:
            return False
        self._kernels.release([way.kernel])
        return True

    async def _compare(self, spec: KernelSpec, way: Schedule, pause: Pause, threads: int) -> None:
        """Measures what threads gain, where there may be any doubt."""
        if self._team is None or threads == 1 or flop(spec) < LEAST_FLOP or not fits(spec):
            return
        if way.cycles > CYCLES_PER_MS * MOST_MS:
            return
        start = self._clock()
        try:
            gain = await self._team.gain(spec, way, pause, threads)
        except UnsupportedKernel as error:
            self.report.append(f"Threads were not compared: {error.message}")
            self._team, self.threads = None, 1
        else:
            if len(self._gains) >= MOST_SHAPES:
                del self._gains[next(iter(self._gains))]
            # Who else works on the machine can hide a gain, not make one.
            self._gains[spec.name, threads] = max(gain, self.gain(spec, threads) or 0.0)
            self._looks[spec.name, threads] += 1
        self.spent_ms += 1e3 * (self._clock() - start)

    async def _load(self) -> None:
        self._loaded = True
        text = await self._store.load()
        try:
            kept: Any = json.loads(text) if text else {}
            # Another engine may keep other numbers in registers: all is measured anew.
            if isinstance(kept, dict) and kept.get("engine") == self._engine:
                self.record = with_gpu(device_from_json(kept.get("device")), self._gpu)
                self.database = Database(read_entries(json.dumps(kept.get("kernels"))))
                self._measuring.refused = str(kept.get("gpu-refused", ""))
        except (ValueError, InputError):
            self.record, self.database = None, Database()
        self._changed()

    async def _save(self) -> None:
        self._unsaved = False
        if self.record is None:
            return
        kept = {
            "tensorloom-tuning": FORMAT,
            "engine": self._engine,
            "device": device_to_json(self.record),
            "kernels": json.loads(self.database.to_text()),
            "gpu-refused": self._measuring.refused,
        }
        await self._store.save(json.dumps(kept, separators=(",", ":")))


@dataclass(slots=True, kw_only=True)
class _Current:
    """The shape whose turn it is."""

    backend: Place
    spec: KernelSpec
    trials: WasmTrials | GpuTrials
    search: Search

    def seen(self) -> Shape:
        return Shape(
            spec=self.spec,
            backend=self.backend,
            trials=self.search.trials,
            history=tuple(self.search.history),
            spent_ms=self.search.spent_ms,
            message=self.search.message,
        )


_MOST_REPORTED = 20
