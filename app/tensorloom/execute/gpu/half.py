"""The same device with inputs and intermediates in 16 bits: half the memory, three digits.

Sums are made in 32 bits, and the result is stored in them. 16-bit numbers end at 65,504 and lose
digits below 2^-14. So inputs are scaled by powers of two, which is exact, such that what is made of
them should stay near 1; the largest magnitude of every intermediate is watched, and a run in which
one leaves the range ends with an error. Each stored number then differs from the one that was
computed by at most 2^-11 of the largest one of its tensor.
"""

from __future__ import annotations

from math import frexp, inf, isfinite, log2, sqrt
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tensorloom.errors import ExecutionError, UnsupportedKernel
from tensorloom.execute.blocks import square_sum
from tensorloom.execute.calibration import no_pause
from tensorloom.execute.gpu.backend import WebGpuBackend
from tensorloom.execute.gpu.trial import halved
from tensorloom.execute.scaling import absmax, scaled
from tensorloom.kernels.gpu.plan import planned_bytes
from tensorloom.kernels.gpu.wgsl import SAFE_EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause
    from tensorloom.execute.gpu.loaded import Loaded
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

__all__ = ["HalfGpuBackend", "balanced"]

MOST_MOVED = 12
"""Exponents by which an input's largest number may leave 1/2 .. 1; 2^-13 still has all digits."""


class HalfGpuBackend(WebGpuBackend):
    """Replays programs with 16-bit storage, by default kernels.

    Args:
        wide: The backend of the same device in 32 bits.

    Raises:
        UnsupportedKernel: ``no-f16``: the device does not store such numbers.
    """

    name: BackendName = "webgpu-f16"
    half = True

    def __init__(self, wide: WebGpuBackend) -> None:
        if not wide.device.limits.half:
            raise UnsupportedKernel(
                "no-f16",
                "This GPU does not store 16-bit numbers: it lacks shader-f16.",
                "Choose WebGPU, which stores 32 bits, or the CPU.",
            )
        super().__init__(wide.device, wide.rates)
        self._wide = wide
        # They share the device's memory, and take turns in it.
        self.loaded, self._turn = wide.loaded, wide._turn  # noqa: SLF001  # of the same family

    def peak_bytes(self, program: Program) -> int:
        """As of its fellow: all buffers, half as large but for the result [bytes]."""
        return planned_bytes(program, self.device.limits, half=True)

    async def measure(
        self,
        clock: Callable[[], float] = perf_counter,
        pause: Pause = no_pause,
        *,
        dtypes: tuple[DType, ...] | None = None,
    ) -> None:
        """Takes the rates of its fellow, measured anew: both do the same sums."""
        await self._wide.measure(clock, pause, dtypes=dtypes)
        self.rates = self._wide.rates

    async def _run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        if program.kept:
            raise UnsupportedKernel(
                "no-f16", "Gradients are not made of 16-bit numbers.", "Choose WebGPU."
            )
        shifts = balanced(program, arrays)
        small = [scaled(array, -shift) for array, shift in zip(arrays, shifts, strict=True)]
        found = await self._plain(program, small, shifts, pulse)
        if found is None:
            low, high = SAFE_EXPONENTS[True]
            raise ExecutionError(
                "f16-range",
                f"A tensor on the way left the range of 16-bit numbers, {2.0 ** (low - 1):.0e} to "
                f"{2**high:,} here.",
                "Choose WebGPU, which stores 32 bits, or the CPU.",
            )
        return found

    async def _ready(
        self, program: Program, arrays: Sequence[NDArray[Any]], *, scaled: bool
    ) -> Loaded:
        return await super()._ready(program, [halved(array) for array in arrays], scaled=scaled)


def balanced(program: Program, arrays: Sequence[NDArray[Any]]) -> list[int]:
    """The exponent to take out of each input, so that typical magnitudes stay near 1 on the way.

    An input's largest number comes between 1/2 and 1. The first step that reads it then moves it,
    within what 16 bits hold, by a power of two that brings what the step makes to its aim.

    What a step makes has the typical magnitude ``left * right * gain``; ``gain`` is how many
    products add up where nothing is negative, else the root of that. The aim of an intermediate is
    1, or less where two of them meet: no input is left there to make up for the gain.

    Args:
        program: What reads them.
        arrays: Its inputs.
    """
    shifts = [_exponent(absmax(array)) for array in arrays]
    levels = [_level(scaled(array, -shift)) for array, shift in zip(arrays, shifts, strict=True)]
    made = dict(enumerate(level for level, _ in levels))
    positive = dict(enumerate(is_positive for _, is_positive in levels))
    steps = []
    for call in program.dispatches:
        operands = [call.left] if call.right is None else [call.left, call.right]
        positive[call.out] = all(positive[number] for number in operands)
        gain = log2(program.kernels[call.kernel].extents[3]) / (1 if positive[call.out] else 2)
        steps.append((operands, call.out, gain))
    aims: dict[int, float] = {}
    for operands, out, gain in reversed(steps):
        if not any(number in made for number in operands):
            aims |= dict.fromkeys(operands, (aims.get(out, 0.0) - gain) / len(operands))
    free = set(made)
    for operands, out, gain in steps:
        made[out] = sum(made[number] for number in operands) + gain
        moved = next((number for number in operands if number in free), None)
        if moved is not None and isfinite(made[out]):
            by = round(aims.get(out, 0.0) - made[out])
            by = max(-MOST_MOVED, min(MOST_MOVED, by))
            shifts[moved] -= by
            made[out] += by
        free -= set(operands)
    return shifts


def _level(array: NDArray[Any]) -> tuple[float, bool]:
    """Logarithm of a tensor's typical magnitude, and whether nothing in it is negative."""
    is_positive = array.dtype.kind != "c" and bool(array.min() >= 0)
    typical = float(array.mean()) if is_positive else sqrt(square_sum(array) / array.size)
    return (log2(typical) if typical > 0 else -inf), is_positive


def _exponent(largest: float) -> int:
    """The exponent that takes a tensor's largest number between 1/2 and 1."""
    return frexp(largest)[1] if isfinite(largest) else 0
