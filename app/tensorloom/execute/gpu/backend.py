"""Programs on a GPU through WebGPU: one replay for the page's device and for a native one.

A ``GpuDevice`` holds buffers and pipelines and submits calls; this module keeps plans loaded, cuts
submissions so that progress and cancellation get a turn, recovers a lost device once, and turns
carried exponents into a number. Plans first run plain; only if a magnitude left the safe range they
run again with exponents taken out, slice by slice.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from tensorloom.assets import templates
from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute.backend import RawResult, SlicesDone
from tensorloom.execute.calibration import (
    Rates,
    calibrate,
    least_disturbed,
    no_pause,
    predict,
    step_times,
    whole_run,
)
from tensorloom.execute.gpu.device import GpuDevice
from tensorloom.execute.gpu.loaded import LoadedPlans
from tensorloom.execute.gpu.trial import Trial, try_kernel
from tensorloom.execute.scaling import (
    SliceSum,
    absmax,
    exponents_of,
    finished,
    scaled,
    shift_for,
)
from tensorloom.kernels.gpu.plan import gpu_plan, planned_bytes
from tensorloom.kernels.gpu.wgsl import SAFE_EXPONENT
from tensorloom.kernels.slices import result_axes, slices_of
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse
    from tensorloom.execute.calibration import Pause, SizeClass
    from tensorloom.execute.gpu.loaded import Loaded
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.plan import GpuCall, GpuPlan
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.slices import Slice
    from tensorloom.model.recipe import DType

__all__ = ["GpuDevice", "WebGpuBackend", "assumed_rates"]

SUBMIT_MS = 40.0
"""Predicted work of one submission: short enough to cancel, long enough to hide its latency."""

IN_A_ROW_MS, MOST_IN_A_ROW = 15.0, 64
"""One submission of a measurement: long beside its own latency [ms]."""

MOST_REMEMBERED = 256
"""Programs known to leave the safe range."""


def assumed_rates(*, software: bool) -> Rates:
    """Rates before anything was measured: a modest integrated GPU, or one that is simulated."""
    speed = (
        {"matrix": 1e6, "thin": 3e5, "stream": 5e4}
        if software
        else {"matrix": 1e8, "thin": 2e7, "stream": 5e6}
    )
    return Rates(
        run_ms=4.0,
        dispatch_ms=0.2 if software else 0.02,
        bytes_per_ms=5e5,
        mul_adds_per_ms=tuple(("float32", kind, rate) for kind, rate in _classes(speed)),
    )


def _classes(speed: dict[str, float]) -> tuple[tuple[SizeClass, float], ...]:
    return ("matrix", speed["matrix"]), ("thin", speed["thin"]), ("stream", speed["stream"])


class Measured(Protocol):
    """Knows how long kernels take."""

    @property
    def revision(self) -> int:
        """Grows whenever the answers may change."""

    def known_ms(self, spec: KernelSpec, backend: Literal["webgpu"], /) -> float | None:
        """One call of a kernel's best candidate; ``None`` where none was measured [ms]."""


class WebGpuBackend:
    """Replays programs in float32 and complex64.

    Args:
        device: Where.
        rates: What predicts durations there.
        choose: The candidate for a kernel, from a tuner; ``None`` where the default is meant.

    Attributes:
        tuner: Who measured kernels here; ``execute.tuning.Tuner`` does.
    """

    name: BackendName = "webgpu"
    dtypes: tuple[DType, ...] = ("float32", "complex64")

    def __init__(
        self,
        device: GpuDevice,
        rates: Rates,
        choose: Callable[[KernelSpec], GpuCandidate | None] | None = None,
    ) -> None:
        self.device = device
        self.rates = rates
        self._found: list[Rates] = []
        self.choose = choose
        self.tuner: Measured | None = None
        self.limit_bytes = device.limit_bytes
        self.loaded = LoadedPlans(device.limit_bytes // 2)
        self._out_of_range: set[Program] = set()
        # Of the program that ran last; who drags a value runs the same one again and again.
        self._step_ms: tuple[object, list[float]] | None = None
        # Plans have one set of buffers: who waits in a pause must find its own there afterwards.
        self._turn = asyncio.Lock()

    @property
    def revision(self) -> object:
        """Changes whenever kernels may be others than before."""
        return None if self.tuner is None else self.tuner.revision

    def known_ms(self, spec: KernelSpec) -> float | None:
        """One call of a kernel's best candidate, where it was measured [ms]."""
        return None if self.tuner is None else self.tuner.known_ms(spec, "webgpu")

    @property
    def detail(self) -> str:
        """The device in a few words."""
        simulated = ", simulated on the CPU" if self.is_software else ""
        return f"{self.device.description}{simulated}."

    @property
    def is_software(self) -> bool:
        """Whether the adapter computes on the CPU."""
        return self.device.is_software

    def peak_bytes(self, program: Program) -> int:
        """All buffers of its plan, and the one that results come back through [bytes]."""
        return planned_bytes(program, self.device.limits, self.choose)

    def predicted_ms(self, program: Program) -> float:
        """Expected duration, upload and readback included [ms]."""
        return predict(program, self.rates, self.known_ms)

    def step_ms(self, program: Program) -> list[float]:
        """What each dispatch of a slice should take [ms]."""
        known = program, self.rates, self.revision
        if self._step_ms is None or self._step_ms[0] != known:
            self._step_ms = known, step_times(program, self.rates, self.known_ms)
        return self._step_ms[1]

    async def measure(
        self, clock: Callable[[], float] = perf_counter, pause: Pause = no_pause
    ) -> None:
        """Replace the assumed rates by measured ones; compiles and runs a few small programs."""

        async def in_a_row(program: Program, arrays: Sequence[NDArray[Any]]) -> float:
            once = await self.repeat(program, arrays, 1)
            times = max(1, min(MOST_IN_A_ROW, round(IN_A_ROW_MS / max(once, 1e-3))))
            return await self.repeat(program, arrays, times)

        users = self.loaded.keys()
        try:
            found = await calibrate(whole_run(self), self.dtypes, clock, pause, in_a_row=in_a_row)
        finally:
            # Nobody runs these again; their buffers are megabytes.
            for key in self.loaded.keys() - users:
                self.loaded.drop(self.device, key)
        self._found.append(found)
        self.rates = least_disturbed(self._found)

    async def try_kernel(
        self,
        spec: KernelSpec,
        candidate: GpuCandidate,
        arrays: Sequence[NDArray[Any]] = (),
        *,
        half: bool = False,
    ) -> Trial:
        """How fast one candidate is, and what it computes; see ``trial.try_kernel``."""
        return await try_kernel(self.device, spec, candidate, arrays, half=half)

    async def repeat(self, program: Program, arrays: Sequence[NDArray[Any]], times: int) -> float:
        """Duration of one of many runs in a row, the result left on the device [ms].

        Args:
            program: Not sliced.
            arrays: As for ``run``.
            times: How often, in one submission.
        """
        loaded = await self._ready(program, [np.ascontiguousarray(a) for a in arrays], scaled=False)
        return await self.device.repeat(loaded.handle, times) / times

    def release(self) -> None:
        """Free everything on the device."""
        self.loaded.clear(self.device)

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        async with self._turn:
            try:
                return await self._run(program, arrays, pulse)
            except DeviceLost:
                self.loaded.forget()
                await self._renew()
                return await self._run(program, arrays, pulse)

    async def _renew(self) -> None:
        """Asks for the device again after it was lost."""
        try:
            await self.device.renew()
        except UnsupportedKernel as error:
            raise DeviceLost(
                "device-lost",
                "The GPU went away and did not come back.",
                "Run it on the CPU; load the page again to look for the GPU anew.",
            ) from error

    async def _run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        shifts = [shift_for(absmax(array), program.dtype) for array in arrays]
        safe = [scaled(array, -shift) for array, shift in zip(arrays, shifts, strict=True)]
        if program not in self._out_of_range:
            plain = await self._plain(program, safe, shifts, pulse)
            if plain is not None:
                return plain
            if len(self._out_of_range) >= MOST_REMEMBERED:
                self._out_of_range.clear()
            self._out_of_range.add(program)
        return await self._carried(program, safe, shifts, pulse)

    async def _ready(
        self, program: Program, arrays: Sequence[NDArray[Any]], *, scaled: bool
    ) -> Loaded:
        """The program's plan on the device with these inputs."""
        chosen = tuple(self.choose(spec) for spec in program.kernels) if self.choose else ()
        key = (program, chosen, scaled)
        loaded = self.loaded.get(key)
        if loaded is None:
            by_spec = dict(zip(program.kernels, chosen, strict=True)) if chosen else {}
            plan = gpu_plan(
                program, templates(), self.device.limits, choose=by_spec.get, scaled=scaled
            )
            self._check_sizes(plan)
            loaded = await self.loaded.add(self.device, key, plan)
            if not program.slices:
                starts = [(0, 0)] * len(program.dispatches)
                self.device.constants(loaded.handle, plan.constants(starts))
        loaded.upload(self.device, arrays)
        return loaded

    def _check_sizes(self, plan: GpuPlan) -> None:
        largest = max(plan.places.buffer_bytes)
        if largest > self.device.max_buffer_bytes:
            raise UnsupportedKernel(
                "gpu-buffer-too-big",
                f"One tensor needs {largest} bytes; this GPU's kernels read at most "
                f"{self.device.max_buffer_bytes} at once.",
                "Slice an index, make a dimension smaller, or run it on the CPU.",
                values={"bytes": largest, "most": self.device.max_buffer_bytes},
            )

    async def _plain(
        self,
        program: Program,
        arrays: Sequence[NDArray[Any]],
        shifts: Sequence[int],
        pulse: Pulse,
    ) -> RawResult | None:
        """The result, slices added up on the device; ``None`` if a number left the safe range."""
        loaded = await self._ready(program, arrays, scaled=False)
        self.device.begin(loaded.handle)
        work = _Work(self, program, pulse)
        exponents = exponents_of(program, dict(enumerate(shifts)))

        async def so_far() -> RawResult | None:
            outs, largest = await self._read(loaded, program)
            if largest[-1] or any(_taken(int(bits)) for bits in largest[1:-1]):
                return None
            return _result(program, outs, exponents)

        if program.slices:
            once = _calls_once(loaded.plan, program)
            for number, piece in enumerate(slices_of(program)):
                packed = loaded.plan.constants(_starts(program, piece), piece.out)
                self.device.constants(loaded.handle, packed)
                work.slices = SlicesDone(done=number, of=program.n_slices, so_far=so_far)
                last_one = number == program.n_slices - 1
                await work.submit(loaded, last_one=last_one, first=once if number else 0)
        else:
            await work.submit(loaded, last_one=True)
        return await so_far()

    async def _carried(
        self,
        program: Program,
        arrays: Sequence[NDArray[Any]],
        shifts: Sequence[int],
        pulse: Pulse,
    ) -> RawResult:
        """The result with exponents taken out of every intermediate; slices are added up here."""
        loaded = await self._ready(program, arrays, scaled=True)
        total = SliceSum(program.shape, program.dtype)
        axes = result_axes(program)
        work = _Work(self, program, pulse)

        async def so_far() -> RawResult:
            return finished(total.value, total.exponent or 0, program.dtype)

        for number, piece in enumerate(slices_of(program)):
            if program.slices:
                packed = loaded.plan.constants(_starts(program, piece))
                self.device.constants(loaded.handle, packed)
                work.slices = SlicesDone(done=number, of=program.n_slices, so_far=so_far)
            self.device.begin(loaded.handle)
            await work.submit(loaded, last_one=True)
            outs, largest = await self._read(loaded, program)
            exponents = _exponents(program, shifts, largest)
            if not program.slices:
                return _result(program, outs, exponents)
            total.add(piece.out, axes, outs[0], exponents[program.result])
        return finished(total.result(), total.exponent or 0, program.dtype)

    async def _read(
        self, loaded: Loaded, program: Program
    ) -> tuple[list[NDArray[Any]], NDArray[np.uint32]]:
        """What the plan gives back, flat, and the largest magnitudes."""
        item = ITEM_BYTES[program.dtype]
        reads = loaded.plan.places.reads
        outs = [np.empty(size // item, program.dtype) for _, size in reads]
        wanted = [(buffer, out) for (buffer, _), out in zip(reads, outs, strict=True)]
        largest = await self.device.read(loaded.handle, wanted)
        if loaded.plan.places.excess is None:
            return outs, largest
        whole, excess = outs
        # Beyond the range sums are infinite, and nothing is left over of them.
        return [np.where(np.isfinite(excess), whole + excess, whole)], largest


def _result(
    program: Program, outs: Sequence[NDArray[Any]], exponents: Mapping[int, int]
) -> RawResult:
    """The value and what is kept beside it, each with an exponent of its own."""
    value, *kept = outs
    raw = finished(value.reshape(program.shape), exponents[program.result], program.dtype)
    found = [
        finished(array, exponents[number], program.dtype)
        for number, array in zip(program.kept, kept, strict=True)
    ]
    return replace(raw, kept=tuple(found))


class _Work:
    """Submissions of one run: cut where they get long, with a pulse after each wait."""

    def __init__(self, backend: WebGpuBackend, program: Program, pulse: Pulse) -> None:
        self.device = backend.device
        self.pulse = pulse
        self.rates = backend.rates
        self.dtype = program.dtype
        self.step_ms = backend.step_ms(program)
        self.pending_ms = 0.0
        self.done = 0
        self.slices: SlicesDone | None = None

    async def submit(self, loaded: Loaded, *, last_one: bool, first: int = 0) -> None:
        """The calls of a slice, from ``first`` on; reading waits for the last one's end."""
        calls = loaded.plan.calls
        for number in range(first, len(calls)):
            call = calls[number]
            self.pending_ms += self._ms(call)
            self.done += call.mul_adds if call.dispatch is not None else 0
            at_end = number == len(calls) - 1
            full = self.pending_ms >= SUBMIT_MS
            if full or at_end:
                wait = full and not (at_end and last_one)
                await self.device.submit(loaded.handle, first, number + 1, wait=wait)
                first = number + 1
            if call.whole and self.slices is not None:
                # This call adds the slice to the others.
                self.slices = replace(self.slices, done=self.slices.done + 1)
            if full:
                self.pending_ms = 0.0
                await self.pulse(self.done, self.slices)
        if last_one and self.pending_ms:
            await self.pulse(self.done, self.slices)

    def _ms(self, call: GpuCall) -> float:
        """What a call should take; those that the plan adds only move numbers [ms]."""
        if call.dispatch is not None:
            return self.step_ms[call.dispatch]
        return self.rates.dispatch_ms + call.mul_adds / self.rates.rate(self.dtype, "stream")


def _calls_once(plan: GpuPlan, program: Program) -> int:
    """How many calls come first that are the same in every slice."""
    return next(
        number
        for number, call in enumerate(plan.calls)
        if call.dispatch is not None and call.dispatch >= program.prologue
    )


def _starts(program: Program, piece: Slice) -> list[tuple[int, int]]:
    """First elements of the operands of each dispatch."""
    starts = piece.starts
    return [
        (starts[call.left], 0 if call.right is None else starts[call.right])
        for call in program.dispatches
    ]


def _exponents(
    program: Program, shifts: Sequence[int], largest: NDArray[np.uint32]
) -> Mapping[int, int]:
    """Exponent of each buffer: what every reader on the way took out of its operands."""
    exponents = dict(enumerate(shifts))
    taken = dict.fromkeys(exponents, 0)
    for number, dispatch in enumerate(program.dispatches):
        operands = [dispatch.left] if dispatch.right is None else [dispatch.left, dispatch.right]
        exponents[dispatch.out] = sum(exponents[name] + taken[name] for name in operands)
        taken[dispatch.out] = _taken(int(largest[number + 1]))
    return exponents


def _taken(bits: int) -> int:
    """The exponent that the shader's ``unscale`` takes out of this magnitude."""
    exponent = (bits >> 23) & 0xFF
    e = min(exponent - 126, 126)
    if bits == 0 or exponent == 0xFF or abs(e) <= SAFE_EXPONENT:  # noqa: PLR2004  # infinities
        return 0
    return e
