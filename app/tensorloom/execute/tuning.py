"""Tuning while nobody waits: the device is measured once, then the shapes that were run, in turn.

    tuner.observe(program)         after a result: its shapes wait for their turn, heaviest first
    await tuner.step(pause)        at most about 20 ms of work; False when there is nothing to do
    tuner.plans_for(program)       the best known kernels, for the next run

A better kernel replaces the old one in the next run; one whose
numbers differ from the reference is thrown out, and ``report`` says so.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tensorloom.errors import InputError, TensorloomError, UnsupportedKernel
from tensorloom.execute.gpu.microbench import measured_gpu
from tensorloom.execute.gpu.trials import SEEDS, GpuTrials
from tensorloom.execute.known_device import is_measured, wasm_device, with_gpu
from tensorloom.execute.microbench import measured_cpu
from tensorloom.execute.wasm.rates import CYCLES_PER_MS
from tensorloom.execute.wasm.trials import WasmTrials, wasm_ways
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.space import why_not
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, jit_schedule
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.tune.database import Database, Entry, Key, read_entries, shape_class
from tensorloom.tune.device import DeviceRecord, device_from_json, device_to_json
from tensorloom.tune.search import Search, Trial

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.gpu.microbench import Found as GpuFound
    from tensorloom.execute.kernel_store import KernelStore
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.tune.device import CpuFacts, Curve

    Pause = Callable[[], Awaitable[None]]
    Place = Literal["wasm", "webgpu"]

__all__ = ["BUDGET_MS", "Shape", "Tuner", "flop"]

BUDGET_MS = 300.0
"""Time to find the best kernel of one shape on the CPU [ms]."""

GPU_BUDGET_MS, GPU_NETWORK_MS = 1000.0, 2800.0
"""The same for a GPU, and for all shapes of a network there: 3 s with a last one that takes longer
than it should [ms]."""

LEAST_TRIED = 3
"""Of a shape's candidates on the CPU."""

LEAST_MUL_ADDS = 4096
"""Smaller kernels cost what a call costs, whatever they are."""

LEAST_SHARE = 0.01
"""Shapes with less of a program's work are not worth their time."""

MOST_WAITING = 24
MOST_SHAPES = 200
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A shape that was tuned, or is being tuned.

    Args:
        spec: The kernel.
        backend: Where it runs.
        trials: What is known of its candidates.
        history: ``(ms since its tuning began, ms of a run)`` at each gain.
        spent_ms: Time spent on it [ms].
        message: Why its tuning ended, or nothing yet.
    """

    spec: KernelSpec
    backend: Place
    trials: tuple[Trial, ...]
    history: tuple[tuple[float, float], ...] = ()
    spent_ms: float = 0.0
    message: str = ""

    @property
    def best(self) -> Trial | None:
        """The fastest candidate that passed its check."""
        return next((trial for trial in self.trials if trial.state == "best"), None)


class Tuner:
    """Tunes the kernels of one engine and its GPU.

    Args:
        kernels: The WASM engine.
        gpu: The GPU's device, where there is one.
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
    ) -> None:
        self._kernels = kernels
        self._gpu = gpu
        self._gpu_left_ms = GPU_NETWORK_MS
        self._gpu_pace = 1.0
        self._store = store
        self._engine = engine
        self._clock = clock
        self.database = Database()
        self.revision = 0
        self.record: DeviceRecord | None = None
        self.report: list[str] = []
        self.spent_ms = 0.0
        self._shapes: dict[tuple[Place, str], Shape] = {}
        self._waiting: list[tuple[Place, KernelSpec]] = []
        self._current: _Current | None = None
        self._measuring: Generator[None, None, tuple[CpuFacts, tuple[Curve, ...]]] | None = None
        self._measuring_gpu: AsyncGenerator[GpuFound | None, None] | None = None
        self._gpu_refused = False
        self._loaded = False
        self._unsaved = False
        self._known: dict[str, tuple[int, Schedule | None]] = {}

    # --- what runs ask --------------------------------------------------------------------------

    def plans_for(self, program: Program) -> tuple[Schedule, ...] | None:
        """How to run each kernel of a program; ``None`` where nothing better is known."""
        found = [self.schedule_for(spec) for spec in program.kernels]
        if not any(found):
            return None
        relaxed = self._kernels.relaxed
        return tuple(
            way or schedule(spec, relaxed=relaxed)
            for way, spec in zip(found, program.kernels, strict=True)
        )

    def schedule_for(self, spec: KernelSpec) -> Schedule | None:
        """The best known way to run a kernel, measured on this device for shapes like it."""
        if spec.unary or spec.mul_adds < LEAST_MUL_ADDS or self.record is None:
            return None
        known = self._known.get(spec.name)
        if known is None or known[0] != self.revision:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self.revision, self._stored(spec)
            self._known[spec.name] = known
        return known[1]

    def _stored(self, spec: KernelSpec) -> Schedule | None:
        entry = self.database.get(self.key(spec, "wasm"))
        if entry is None or not entry.trusted:
            return None
        try:
            candidate = Candidate.parse(entry.candidate)
        except ValueError:
            return None
        # Measured here, so predictions need no model of it.
        ms = flop(spec) / entry.gflops / 1e6
        return replace(jit_schedule(spec, candidate, self.device), cycles=CYCLES_PER_MS * ms)

    def candidate_for(self, spec: KernelSpec) -> GpuCandidate | None:
        """The same for the GPU."""
        if self.record is None or spec.unary:
            return None
        entry = self.database.get(self.key(spec, "webgpu"))
        if entry is None or not entry.trusted:
            return None
        try:
            candidate = GpuCandidate.parse(entry.candidate)
        except InputError:
            return None
        # A class holds other sizes too, and what fits one may break a limit for another.
        limited = self._gpu is None or why_not(spec, candidate, self._gpu.limits)
        return None if limited else candidate

    def known_ms(self, spec: KernelSpec, backend: Place = "wasm") -> float | None:
        """One call of a kernel's best candidate, measured here; ``None`` where none was [ms].

        A shape that was tuned itself counts before its class, whose other members may be smaller.
        """
        shape = self._shapes.get((backend, spec.name))
        if shape is not None and shape.best is not None:
            return shape.best.ms
        if self.record is None or spec.unary:
            return None
        entry = self.database.get(self.key(spec, backend))
        return flop(spec) / entry.gflops / 1e6 if entry is not None and entry.trusted else None

    def key(self, spec: KernelSpec, backend: Place) -> Key:
        """Where the database keeps a shape."""
        device = "unknown"
        if self.record is not None:
            device = self.record.cpu_key if backend == "wasm" else self.record.gpu_key
        return Key(
            device=device,
            engine=self._engine,
            backend=backend,
            dtype=spec.dtype,
            shape=shape_class(spec),
        )

    @property
    def device(self) -> WasmDevice:
        """What candidates are proposed for."""
        return wasm_device(self.record, relaxed=self._kernels.relaxed)

    def without(self, kernel: Kernel) -> None:
        """A kernel was thrown out: the next best of its shape takes its place, if one is known."""
        spec, candidate = kernel.spec, kernel.candidate
        if spec is None or candidate is None:
            return
        key = self.key(spec, "wasm")
        entry = self.database.get(key)
        if entry is None or entry.candidate != candidate.text:
            return
        shape = self._shapes.pop(("wasm", spec.name), None)
        rest = None if shape is None else without_best(shape)
        if rest is None or rest.best is None or rest.best.ms is None:
            self.database.forget(key)
        else:
            gflops = flop(spec) / rest.best.ms / 1e6
            self.database.put(key, Entry(candidate=rest.best.option.text, gflops=gflops))
            self._shapes["wasm", spec.name] = rest
        self._changed()
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
        return entry is None or not entry.trusted

    @property
    def on_gpu(self) -> bool:
        """Whether what is at work is on the GPU."""
        if self._current is None:
            return self._measuring_gpu is not None
        return self._current.backend == "webgpu"

    @property
    def running(self) -> bool:
        """Whether there is anything left to do."""
        unmeasured = self._loaded and (self.record is None or self._wants_gpu)
        return bool(self._waiting or self._current or unmeasured)

    @property
    def _wants_gpu(self) -> bool:
        """Whether the GPU's part of the record is missing and may be had."""
        if self._gpu is None or self.record is None or self._gpu_refused:
            return False
        return not is_measured(self.record.gpu)

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

    async def best(self, spec: KernelSpec, pause: Pause, backend: Place = "wasm") -> Shape:
        """Tunes one shape now, whatever else waits.

        Args:
            spec: The kernel; not unary.
            pause: As for ``step``.
            backend: Where.
        """
        if not self._loaded:
            await self._load()
        while self.record is None:
            self._measure_on()
            await pause()
        name = backend, spec.name
        entry = self.database.get(self.key(spec, backend))
        if name not in self._shapes and (entry is None or not entry.trusted):
            self._start(backend, spec)
            while self._current is not None:
                await self._go_on(pause)
                await pause()
        return self._shapes.get(name) or Shape(
            spec=spec, backend=backend, trials=(), message="Known from an earlier visit."
        )

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
        """Forgets all kernels; the device record stays."""
        self.database.clear()
        self._shapes.clear()
        self._changed()
        await self._save()

    # --- inside -----------------------------------------------------------------------------------

    def _measure_on(self) -> None:
        """The next step of the device record."""
        if self._measuring is None:
            self._measuring = measured_cpu(self._kernels, self._clock)
        start = self._clock()
        try:
            next(self._measuring)
        except StopIteration as done:
            facts, curves = done.value
            record = DeviceRecord(name="measured here", origin="measured", cpu=facts, curves=curves)
            self.record = with_gpu(record, self._gpu)
            self._measuring = None
            self._changed()
        self.spent_ms += 1e3 * (self._clock() - start)

    async def _measure_gpu_on(self) -> bool:
        """The next step of the GPU's part, last of all: nothing is chosen by it."""
        if not self._wants_gpu:
            return False
        assert self._gpu is not None
        assert self.record is not None
        if self._measuring_gpu is None:
            self._measuring_gpu = measured_gpu(self._gpu, self._clock)
        start = self._clock()
        try:
            found = await anext(self._measuring_gpu)
        except TensorloomError as error:
            # What costs the device once is not tried again on this visit.
            self._measuring_gpu, self._gpu_refused = None, True
            self.report.append(f"The GPU was not measured: {error.message}")
            with suppress(TensorloomError):
                await self._gpu.renew()
            return True
        self.spent_ms += 1e3 * (self._clock() - start)
        if found is not None:
            facts, curves = found
            self._measuring_gpu = None
            self.record = replace(self.record, gpu=facts, curves=(*self.record.curves, *curves))
            self._gpu_refused = not is_measured(facts)
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
        entry = self.database.get(self.key(spec, backend))
        known = entry.candidate if entry else None
        trials: WasmTrials | GpuTrials
        if backend == "wasm":
            trials = WasmTrials(spec, self._kernels, self.device, self._clock)
            search = Search(trials.options, budget_ms=BUDGET_MS, known=known, least=LEAST_TRIED)
        else:
            assert self._gpu is not None
            # Every shape gets its share, and what others left.
            others = sum(place == "webgpu" for place, _ in self._waiting)
            budget = min(GPU_BUDGET_MS, self._gpu_left_ms / (1 + others))
            trials = GpuTrials(spec, self._gpu, self._clock)
            search = Search(
                trials.options, budget_ms=budget, known=known, seeds=SEEDS, pace=self._gpu_pace
            )
        self._current = _Current(backend=backend, spec=spec, trials=trials, search=search)

    async def _go_on(self, pause: Pause) -> None:
        current = self._current
        assert current is not None
        search = current.search
        if search.request is not None:
            before = search.spent_ms
            search.take(await current.trials.answer(search.request, pause))
            spent = search.spent_ms - before
            self.spent_ms += spent
            if current.backend == "webgpu":
                self._gpu_left_ms -= spent
                self._gpu_pace = search.pace
        if search.request is None:
            self._current = None
            await self._finish(current.seen())

    async def _finish(self, shape: Shape) -> None:
        spec = shape.spec
        if len(self._shapes) >= MOST_SHAPES:
            del self._shapes[next(iter(self._shapes))]
        self._shapes[shape.backend, spec.name] = shape
        self.report += [
            f"{trial.option.text}: {trial.reason}."
            for trial in shape.trials
            if trial.state == "failed"
        ]
        del self.report[:-_MOST_REPORTED]
        key, best = self.key(spec, shape.backend), shape.best
        if best is None or best.ms is None or not self._is_ready(spec, shape):
            self.database.forget(key)
        else:
            gflops = flop(spec) / best.ms / 1e6
            self.database.put(key, Entry(candidate=best.option.text, gflops=gflops))
        self._changed()
        await self._save()

    def _is_ready(self, spec: KernelSpec, shape: Shape) -> bool:
        """Compiles and proves the winner now, so that no run has to wait for it."""
        if shape.backend != "wasm" or shape.best is None:
            return True
        way = wasm_ways(spec, self.device)[shape.best.option.text]
        try:
            self._kernels.slot(way.kernel)
        except UnsupportedKernel:
            return False
        self._kernels.release([way.kernel])
        return True

    def _changed(self) -> None:
        self.revision += 1

    async def _load(self) -> None:
        self._loaded = True
        text = await self._store.load()
        try:
            kept: Any = json.loads(text) if text else {}
            # Another engine may keep other numbers in registers: all is measured anew.
            if isinstance(kept, dict) and kept.get("engine") == self._engine:
                self.record = with_gpu(device_from_json(kept.get("device")), self._gpu)
                self.database = Database(read_entries(json.dumps(kept.get("kernels"))))
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
        }
        await self._store.save(json.dumps(kept, separators=(",", ":")))


def without_best(shape: Shape) -> Shape:
    """The shape with its best candidate failed, and the fastest of the others in its place."""
    others = [one for one in shape.trials if one.state == "measured" and one.ms is not None]
    second = min(others, key=lambda one: one.ms or 0.0, default=None)

    def seen(trial: Trial) -> Trial:
        if trial is second:
            return replace(trial, state="best")
        if trial.state == "best":
            return replace(trial, state="failed", reason="thrown out in a run")
        return trial

    return replace(shape, trials=tuple(seen(trial) for trial in shape.trials))


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


_MOST_KNOWN = 4096
_MOST_REPORTED = 20


def flop(spec: KernelSpec) -> int:
    """Floating-point operations of a kernel: 2 per real multiply-add, 8 per complex one."""
    return spec.mul_adds * (8 if spec.dtype.startswith("complex") else 2)
