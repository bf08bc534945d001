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
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from tensorloom.assets import templates
from tensorloom.errors import DeviceLost, UnsupportedKernel
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
from tensorloom.execute.gpu.replay import (
    Work,
    add_up,
    carried_sum,
    in_range,
    made_exponents,
    read,
    summed,
)
from tensorloom.execute.gpu.trial import Trial, try_kernel
from tensorloom.execute.scaling import absmax, exponents_of, finished, scaled, shift_for
from tensorloom.kernels.gpu.plan import gpu_plan, planned_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause, SizeClass
    from tensorloom.execute.gpu.loaded import Loaded
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.plan import GpuPlan
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.model.recipe import DType

__all__ = ["GpuDevice", "WebGpuBackend", "assumed_rates"]

_T = TypeVar("_T")

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
        half: Whether tensors are stored in 16 bits; see ``half``.
    """

    name: BackendName = "webgpu"
    dtypes: tuple[DType, ...] = ("float32", "complex64")
    half = False

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
        self,
        clock: Callable[[], float] = perf_counter,
        pause: Pause = no_pause,
        *,
        dtypes: tuple[DType, ...] | None = None,
    ) -> None:
        """Replace the assumed rates by measured ones; compiles and runs a few small programs.

        Args:
            clock: Seconds.
            pause: Called between pieces of it; what it raises ends the measurement.
            dtypes: Element types to measure, the most important one first; all by default.
        """

        async def in_a_row(program: Program, arrays: Sequence[NDArray[Any]]) -> float:
            once = await self.repeat(program, arrays, 1)
            times = max(1, min(MOST_IN_A_ROW, round(IN_A_ROW_MS / max(once, 1e-3))))
            return await self.repeat(program, arrays, times)

        users = self.loaded.keys()
        try:
            found = await calibrate(
                whole_run(self), dtypes or self.dtypes, clock, pause, in_a_row=in_a_row
            )
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
        return await self.in_turn(lambda: self._run(program, arrays, pulse))

    async def in_turn(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """What the work gives, when nobody else uses the device; done again if it was lost."""
        async with self._turn:
            try:
                return await work()
            except DeviceLost:
                self.loaded.forget()
                await self._renew()
                return await work()

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
        loaded = await self.loaded_plan(program, scaled=scaled)
        loaded.upload(self.device, arrays)
        return loaded

    async def loaded_plan(self, program: Program, *, scaled: bool) -> Loaded:
        """The program's plan on the device, with whatever inputs it had there.

        Args:
            program: What to replay.
            scaled: Whether it takes carried exponents out.

        Raises:
            UnsupportedKernel: The device cannot.
        """
        chosen = tuple(self.choose(spec) for spec in program.kernels) if self.choose else ()
        # Whoever measures the device changes its limits, and with them what the default is.
        key = (program, chosen, scaled, self.half, self.device.limits)
        loaded = self.loaded.get(key)
        if loaded is None:
            by_spec = dict(zip(program.kernels, chosen, strict=True)) if chosen else {}
            plan = gpu_plan(
                program,
                templates(),
                self.device.limits,
                choose=by_spec.get,
                scaled=scaled,
                half=self.half,
            )
            self._check_sizes(plan)
            loaded = await self.loaded.add(self.device, key, plan)
            if not program.slices:
                starts = [(0, 0)] * len(program.dispatches)
                self.device.constants(loaded.handle, plan.constants(starts))
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
        exponents = exponents_of(program, dict(enumerate(shifts)))

        async def so_far() -> RawResult | None:
            outs, largest = await read(self.device, loaded, program)
            if not in_range(largest, half=self.half):
                return None
            return _result(program, summed(loaded, outs), exponents)

        work = Work(self, program, pulse)
        await add_up(loaded, program, range(program.n_slices), work, so_far)
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
        work = Work(self, program, pulse)
        if not program.slices:
            self.device.begin(loaded.handle)
            await work.submit(loaded, last_one=True)
            outs, largest = await read(self.device, loaded, program)
            return _result(program, outs, made_exponents(program, shifts, largest))
        total = await carried_sum(loaded, program, range(program.n_slices), shifts, work)
        return finished(total.result(), total.exponent or 0, program.dtype)


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
