"""What is known of kernels on this device: what runs, predictions and benchmarks ask.

Pure but for the database, which whoever finds something out writes; see ``tuning``. What was
measured of a shape itself counts before what is known of its class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.errors import InputError
from tensorloom.execute.known_device import gpu_speeds, wasm_device
from tensorloom.execute.tuned_shape import without_best
from tensorloom.execute.wasm.rates import CYCLES_PER_MS
from tensorloom.execute.wasm.team_trials import LEAST_FLOP, TIE
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.space import why_not
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, can_make, jit_schedule
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.tune.database import Database, Entry, Key, shape_class

if TYPE_CHECKING:
    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.tuned_shape import Place, Shape
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.tune.device import DeviceRecord

__all__ = ["LEAST_MUL_ADDS", "KnownKernels", "flop"]

LEAST_MUL_ADDS = 4096
"""Smaller kernels cost what a call costs, whatever they are."""

_MOST_KNOWN = 4096


class KnownKernels:
    """The known kernels of one engine and its GPU.

    Args:
        relaxed: Whether the engine has fused multiply-add.
        engine: Browser engine and its major version.
        gpu: The GPU's device, where there is one.
        threads: Threads of the page.

    Attributes:
        database: What is kept between visits.
        record: What was measured of the device, once it was.
        revision: Grows whenever answers may differ.
        threads: Threads of the page, the calling one included.
    """

    def __init__(self, *, relaxed: bool, engine: str, gpu: GpuDevice | None, threads: int) -> None:
        self._relaxed = relaxed
        self._engine = engine
        self._gpu = gpu
        self.threads = threads
        self.database = Database()
        self.record: DeviceRecord | None = None
        self.revision = 0
        self._shapes: dict[tuple[Place, str], Shape] = {}
        self._gains: dict[tuple[str, int], float] = {}
        self._known: dict[str, tuple[int, Schedule | None]] = {}

    def plans_for(
        self, program: Program, *, least: int = LEAST_MUL_ADDS
    ) -> tuple[Schedule, ...] | None:
        """How to run each kernel of a program; ``None`` where nothing better is known.

        Args:
            program: The program.
            least: Multiply-adds below which the model's choice does.
        """
        found = [self.schedule_for(spec, least=least) for spec in program.kernels]
        if not any(found):
            return None
        return tuple(
            way or schedule(spec, relaxed=self._relaxed)
            for way, spec in zip(found, program.kernels, strict=True)
        )

    def schedule_for(self, spec: KernelSpec, *, least: int = LEAST_MUL_ADDS) -> Schedule | None:
        """The best known way to run a kernel, measured on this device for shapes like it."""
        if spec.unary or spec.mul_adds < least or self.record is None:
            return None
        known = self._known.get(spec.name)
        if known is None or known[0] != self.revision:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self.revision, self._way(spec)
            self._known[spec.name] = known
        return known[1]

    def _way(self, spec: KernelSpec) -> Schedule | None:
        found = self._found(spec, "wasm")
        if found is None:
            return None
        text, ms = found
        try:
            candidate = Candidate.parse(text)
        except ValueError:
            return None
        # Measured here, so predictions need no model of it.
        return replace(jit_schedule(spec, candidate, self.device), cycles=CYCLES_PER_MS * ms)

    def _found(self, spec: KernelSpec, backend: Place) -> tuple[str, float] | None:
        """The best candidate and what a call of it takes: of the shape, or else of its class."""
        shape = self._shapes.get((backend, spec.name))
        if shape is not None and shape.best is not None and shape.best.ms is not None:
            return shape.best.option.text, shape.best.ms
        if self.record is None or spec.unary:
            return None
        entry = self.database.get(self.key(spec, backend))
        if entry is None or not entry.trusted:
            return None
        if backend == "wasm" and not _is_for(spec, entry.candidate):
            return None
        return entry.candidate, flop(spec) / entry.gflops / 1e6

    def candidate_for(self, spec: KernelSpec) -> GpuCandidate | None:
        """The same for the GPU."""
        found = self._found(spec, "webgpu")
        if found is None:
            return None
        try:
            candidate = GpuCandidate.parse(found[0])
        except InputError:
            return None
        # A class holds other sizes too, and what fits one may break a limit for another.
        limited = self._gpu is None or why_not(spec, candidate, self._gpu.limits)
        return None if limited else candidate

    def known_ms(self, spec: KernelSpec, backend: Place = "wasm") -> float | None:
        """One call of a kernel's best candidate, measured here; ``None`` where none was [ms]."""
        found = self._found(spec, backend)
        return None if found is None else found[1]

    def gain(self, spec: KernelSpec, threads: int) -> float | None:
        """How many times as fast so many threads are; ``None`` where that was not measured."""
        found = self._gains.get((spec.name, threads))
        if found is not None or self.record is None or threads == 1:
            return found
        entry = self.database.get(self.key(spec, "wasm"))
        known = entry is not None and entry.trusted and entry.threads == threads
        return entry.gain if known and entry is not None else None

    def saved_ms(self, program: Program) -> float | None:
        """What all threads save of a program; ``None`` where a step was not measured [ms]."""
        saved = 0.0
        for spec, calls in _shareable(program):
            gain, ms = self.gain(spec, self.threads), self.known_ms(spec)
            if gain is None or ms is None:
                return None
            saved += calls * ms * (1 - 1 / gain)
        return saved

    def pays(self, program: Program, threads: int) -> bool:
        """Whether a program runs at least as fast on so many threads as on one.

        Steps too large to be compared are, and a tie is one only while others hold the processors.
        """
        alone = together = 0.0
        for spec, calls in _shareable(program):
            ms = calls * (self.known_ms(spec) or flop(spec) / 1e6)
            alone += ms
            together += ms / (self.gain(spec, threads) or threads)
        return alone > 0 and together <= TIE * alone

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
        return wasm_device(self.record, relaxed=self._relaxed)

    def without(self, kernel: Kernel) -> None:
        """A kernel was thrown out: the next best of its shape takes its place, if one is known."""
        spec, candidate = kernel.spec, kernel.candidate
        if spec is None or candidate is None:
            return
        key = self.key(spec, "wasm")
        place: tuple[Place, str] = "wasm", spec.name
        entry, shape = self.database.get(key), self._shapes.get(place)
        kept = entry is not None and entry.candidate == candidate.text
        best = None if shape is None else shape.best
        if not kept and (best is None or best.option.text != candidate.text):
            return
        self._shapes.pop(place, None)
        rest = None if shape is None else without_best(shape)
        if rest is not None and rest.best is not None and rest.best.ms is not None:
            gflops = flop(spec) / rest.best.ms / 1e6
            found = Entry(candidate=rest.best.option.text, gflops=gflops, spec=spec.name)
            self.database.put(key, found)
            self._shapes[place] = rest
        elif kept:
            self.database.forget(key)
        self._forget_gains(spec)
        self._changed()

    def _forget_gains(self, spec: KernelSpec) -> None:
        """Another kernel gains something else, on any number of threads."""
        for threads in range(2, self.threads + 1):
            self._gains.pop((spec.name, threads), None)

    def _changed(self) -> None:
        self.revision += 1
        if self._gpu is not None and self.record is not None and self.record.gpu is not None:
            speeds = gpu_speeds(self.record.gpu)
            self._gpu.limits = replace(self._gpu.limits, speeds=speeds)


def _shareable(program: Program) -> list[tuple[KernelSpec, int]]:
    """Kernels that may be shared out among threads, with their calls in all slices."""
    calls: Counter[int] = Counter()
    for place, dispatch in enumerate(program.dispatches):
        calls[dispatch.kernel] += 1 if place < program.prologue else program.n_slices
    found = [(program.kernels[number], count) for number, count in calls.items()]
    return [(spec, count) for spec, count in found if not spec.unary and flop(spec) >= LEAST_FLOP]


def _is_for(spec: KernelSpec, text: str) -> bool:
    """Whether a candidate of a kernel's class can be made for it; ready ones take any shape."""
    try:
        candidate = Candidate.parse(text)
    except ValueError:
        return True
    return can_make(spec, candidate)


def flop(spec: KernelSpec) -> int:
    """Floating-point operations of a kernel: 2 per real multiply-add, 8 per complex one."""
    return spec.mul_adds * (8 if spec.dtype.startswith("complex") else 2)
