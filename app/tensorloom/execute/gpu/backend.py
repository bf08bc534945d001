"""Programs on a GPU through WebGPU: one replay for the page's device and for a native one.

A ``GpuDevice`` holds buffers and pipelines and submits calls; this module cuts submissions so that
progress and cancellation get a turn, sums slices, recovers a lost device once, and turns carried
exponents into a number.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tensorloom.assets import templates
from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.calibration import Rates, calibrate, predict
from tensorloom.execute.scaling import SliceSum, absmax, finished, scaled, shift_for
from tensorloom.kernels.gpu.plan import GpuPlan, gpu_plan
from tensorloom.kernels.gpu.wgsl import SAFE_EXPONENT, GpuLimits
from tensorloom.kernels.slices import result_axes, slices_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import SizeClass
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.slices import Slice
    from tensorloom.model.recipe import DType

__all__ = ["GpuDevice", "WebGpuBackend", "assumed_rates"]

SUBMIT_MS = 40.0
"""Predicted work of one submission: short enough to cancel, long enough to hide its latency."""


def assumed_rates(*, software: bool) -> Rates:
    """Rates before anything was measured: a modest integrated GPU, or one that is simulated."""
    speed = (
        {"matrix": 2e5, "thin": 1e5, "stream": 5e4}
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


class GpuDevice(Protocol):
    """A WebGPU device that replays plans; one plan is loaded at a time.

    Every method raises ``DeviceLost`` once the device has gone, and ``UnsupportedKernel`` for what
    the device refuses.
    """

    @property
    def description(self) -> str:
        """Adapter in words."""

    @property
    def is_software(self) -> bool:
        """Whether the adapter computes on the CPU."""

    @property
    def limits(self) -> GpuLimits:
        """What matters for choosing kernels."""

    @property
    def limit_bytes(self) -> int:
        """Most bytes of all buffers together [bytes]."""

    @property
    def max_buffer_bytes(self) -> int:
        """Largest single buffer that a kernel can read [bytes]."""

    async def load(self, plan: GpuPlan, arrays: Sequence[NDArray[Any]]) -> None:
        """Make buffers and pipelines, upload the inputs."""

    async def begin(self, constants: bytes) -> None:
        """Start a slice: its constants, magnitudes cleared."""

    async def submit(self, first: int, last: int) -> None:
        """Run the calls from ``first`` up to ``last``, to the end."""

    async def read(self, out: NDArray[Any]) -> NDArray[np.uint32]:
        """Fill ``out`` with the result; give the largest magnitudes as float bits."""

    async def renew(self) -> None:
        """Ask for the device again after it was lost."""

    def release(self) -> None:
        """Free the loaded plan."""


class WebGpuBackend:
    """Replays programs in float32 and complex64.

    Args:
        device: Where.
        rates: What predicts durations there.
    """

    name: BackendName = "webgpu"
    dtypes: tuple[DType, ...] = ("float32", "complex64")

    def __init__(self, device: GpuDevice, rates: Rates) -> None:
        self.device = device
        self.rates = rates
        self.limit_bytes = device.limit_bytes

    @property
    def detail(self) -> str:
        """The device in a few words."""
        simulated = ", simulated on the CPU" if self.is_software else ""
        return f"{self.device.description}{simulated}."

    @property
    def is_software(self) -> bool:
        """Whether the adapter computes on the CPU."""
        return self.device.is_software

    def predicted_ms(self, program: Program) -> float:
        """Expected duration, upload and readback included [ms]."""
        return predict(program, self.rates)

    async def measure(self, clock: Callable[[], float] = perf_counter) -> None:
        """Replace the assumed rates by measured ones; compiles and runs a few small programs."""

        async def replay(program: Program, arrays: list[NDArray[Any]]) -> RawResult:
            return await self.run(program, arrays, no_pulse)

        self.rates = await calibrate(replay, self.dtypes, clock)

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        if program.kept:
            raise UnsupportedKernel(
                "gpu-one-result", "Gradients are several results; the GPU gives one back."
            )
        plan = gpu_plan(program, templates(), self.device.limits)
        self._check_sizes(plan)
        try:
            return await self._replay(program, plan, arrays, pulse)
        except DeviceLost:
            await self.device.renew()
            return await self._replay(program, plan, arrays, pulse)

    def _check_sizes(self, plan: GpuPlan) -> None:
        largest = max(plan.buffer_bytes)
        if largest > self.device.max_buffer_bytes:
            raise UnsupportedKernel(
                "gpu-buffer-too-big",
                f"One tensor needs {largest} bytes; this GPU's kernels read at most "
                f"{self.device.max_buffer_bytes} at once.",
                "Slice an index, make a dimension smaller, or run it on the CPU.",
                values={"bytes": largest, "most": self.device.max_buffer_bytes},
            )

    async def _replay(
        self,
        program: Program,
        plan: GpuPlan,
        arrays: Sequence[NDArray[Any]],
        pulse: Pulse,
    ) -> RawResult:
        shifts = [shift_for(absmax(array), program.dtype) for array in arrays]
        safe = [scaled(array, -shift) for array, shift in zip(arrays, shifts, strict=True)]
        try:
            await self.device.load(plan, safe)
            if not program.slices:
                value, exponent = await self._slice(program, plan, None, shifts, pulse, 0)
                return finished(value.reshape(program.shape), exponent, program.dtype)
            total = SliceSum(program.shape, program.dtype)
            axes = result_axes(program)
            per_slice = program.mul_adds // max(1, program.n_slices)
            for number, piece in enumerate(slices_of(program)):
                done = number * per_slice
                value, exponent = await self._slice(program, plan, piece, shifts, pulse, done)
                where = total.at(piece.out, axes)
                total.add(where, value.reshape(where.shape), exponent)
            return finished(total.value, total.exponent or 0, program.dtype)
        finally:
            self.device.release()

    async def _slice(  # one inner step of _replay
        self,
        program: Program,
        plan: GpuPlan,
        piece: Slice | None,
        shifts: Sequence[int],
        pulse: Pulse,
        done: int,
    ) -> tuple[NDArray[Any], int]:
        """The result of one slice and its exponent."""
        starts = [0] * len(program.buffers) if piece is None else piece.starts
        pairs = [
            (starts[dispatch.left], 0 if dispatch.right is None else starts[dispatch.right])
            for dispatch in program.dispatches
        ]
        await self.device.begin(plan.constants(pairs))
        first, work = 0, 0.0
        budget = SUBMIT_MS * self.rates.rate(program.dtype, "matrix")
        overhead = self.rates.dispatch_ms * self.rates.rate(program.dtype, "matrix")
        for number, call in enumerate(plan.calls):
            work += call.mul_adds + overhead
            done += call.mul_adds
            if work >= budget or number == len(plan.calls) - 1:
                await self.device.submit(first, number + 1)
                await pulse(done)
                first, work = number + 1, 0.0
        out = np.empty(program.buffers[program.result].elements, program.dtype)
        largest = await self.device.read(out)
        return out, _exponent(program, shifts, largest)


def _exponent(program: Program, shifts: Sequence[int], largest: NDArray[np.uint32]) -> int:
    """Exponent of the result: what every reader on the way took out of its operands."""
    exponents = dict(enumerate(shifts))
    taken = dict.fromkeys(exponents, 0)
    for number, dispatch in enumerate(program.dispatches):
        operands = [dispatch.left] if dispatch.right is None else [dispatch.left, dispatch.right]
        exponents[dispatch.out] = sum(exponents[name] + taken[name] for name in operands)
        taken[dispatch.out] = _taken(int(largest[number + 1]))
    return exponents[program.result]


def _taken(bits: int) -> int:
    """The exponent that the shader's ``unscale`` takes out of this magnitude."""
    exponent = (bits >> 23) & 0xFF
    e = min(exponent - 126, 126)
    if bits == 0 or exponent == 0xFF or abs(e) <= SAFE_EXPONENT:  # noqa: PLR2004  # infinities
        return 0
    return e
