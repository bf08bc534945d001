"""Replaying a loaded plan for some slices: constants, submissions, magnitudes, and what comes back.

Pieces of a run without its decisions: whether exponents are carried, and what becomes of the sum,
is up to ``backend`` and ``slice_sums``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.backend import SlicesDone
from tensorloom.execute.scaling import SliceSum
from tensorloom.kernels.gpu.wgsl import SAFE_EXPONENT, SAFE_EXPONENTS
from tensorloom.kernels.slices import result_axes, slices_of
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse, RawResult
    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.gpu.loaded import Loaded
    from tensorloom.kernels.gpu.plan import GpuCall, GpuPlan
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.slices import Slice

    SoFar = Callable[[], Awaitable[RawResult | None]]

__all__ = ["Work", "add_up", "carried_sum", "in_range", "made_exponents", "read", "summed"]

SUBMIT_MS = 40.0
"""Predicted work of one submission: short enough to cancel, long enough to hide its latency."""


class Work:
    """Submissions of one run: cut where they get long, with a pulse after each wait.

    Args:
        backend: Where, and how long calls take there.
        program: What is run.
        pulse: Progress and cancellation.
    """

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


async def add_up(
    loaded: Loaded, program: Program, slices: range, work: Work, so_far: SoFar | None = None
) -> None:
    """Runs some slices of a plain plan, which the device adds up from zero.

    Args:
        loaded: The plan, its inputs in place.
        program: What it was made of.
        slices: Their numbers, at least one.
        work: Submits them.
        so_far: The sum of those that were run, for whoever hears of progress.
    """
    work.device.begin(loaded.handle)
    if not program.slices:
        await work.submit(loaded, last_one=True)
        return
    once = _calls_once(loaded.plan, program)
    pieces = slices_of(program, slices.start, slices.stop)
    for number, piece in zip(slices, pieces, strict=True):
        packed = loaded.plan.constants(_starts(program, piece), piece.out)
        work.device.constants(loaded.handle, packed)
        if so_far is not None:
            done = number - slices.start
            work.slices = SlicesDone(done=done, of=len(slices), so_far=so_far)
        first = 0 if number == slices.start else once
        await work.submit(loaded, last_one=number == slices[-1], first=first)


async def carried_sum(
    loaded: Loaded, program: Program, slices: range, shifts: Sequence[int], work: Work
) -> SliceSum:
    """The sum of some slices of a scaled plan, each read and added up here.

    Args:
        loaded: The plan, its inputs in place.
        program: What it was made of.
        slices: Their numbers.
        shifts: Exponent that was taken out of each input.
        work: Submits them.
    """
    total = SliceSum(program.shape, program.dtype)
    axes = result_axes(program)

    async def so_far() -> RawResult:
        return total.raw()

    pieces = slices_of(program, slices.start, slices.stop)
    for number, piece in zip(slices, pieces, strict=True):
        if program.slices:
            packed = loaded.plan.constants(_starts(program, piece))
            work.device.constants(loaded.handle, packed)
            done = number - slices.start
            work.slices = SlicesDone(done=done, of=len(slices), so_far=so_far)
        work.device.begin(loaded.handle)
        await work.submit(loaded, last_one=True)
        outs, largest = await read(work.device, loaded, program)
        exponents = made_exponents(program, shifts, largest)
        total.add(piece.out, axes, outs[0], exponents[program.result])
    return total


async def read(
    device: GpuDevice, loaded: Loaded, program: Program
) -> tuple[list[NDArray[Any]], NDArray[np.uint32]]:
    """What the plan gives back, flat, and the largest magnitudes."""
    item = ITEM_BYTES[program.dtype]
    reads = loaded.plan.places.reads
    outs = [np.empty(size // item, program.dtype) for _, size in reads]
    wanted = [(buffer, out) for (buffer, _), out in zip(reads, outs, strict=True)]
    return outs, await device.read(loaded.handle, wanted)


def summed(
    loaded: Loaded, outs: Sequence[NDArray[Any]], dtype: str | None = None
) -> list[NDArray[Any]]:
    """What was read, the sum of slices made one with what its additions had rounded away.

    Args:
        loaded: The plan.
        outs: From ``read``.
        dtype: Type of the sum; that of the plan by default.
    """
    if loaded.plan.places.excess is None:
        return [out.astype(dtype or out.dtype, copy=False) for out in outs]
    whole, excess = (out.astype(dtype or out.dtype, copy=False) for out in outs)
    # Beyond the range sums are infinite, and nothing is left over of them.
    return [np.where(np.isfinite(excess), whole + excess, whole)]


def in_range(largest: NDArray[np.uint32], *, half: bool = False) -> bool:
    """Whether no magnitude of a plain plan has left the safe range.

    Args:
        largest: From ``read``.
        half: Whether its arrays hold 16-bit numbers.
    """
    low, high = SAFE_EXPONENTS[half]
    magnitudes = largest[1:-1]
    exponents = ((magnitudes >> 23) & 0xFF).astype(np.int64)
    known = (magnitudes != 0) & (exponents != 0xFF)  # noqa: PLR2004  # infinities
    outside = (exponents - 126 < low) | (exponents - 126 > high)
    return not largest[-1] and not np.any(known & outside)


def made_exponents(
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
