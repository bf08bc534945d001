"""One candidate for one kernel, timed and tried: what a tuner asks of a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.assets import templates
from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.gpu.plan import gpu_plan
from tensorloom.kernels.lone import lone_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.program import KernelSpec, Program

__all__ = ["Trial", "halved", "try_kernel"]

LEAST_MS = 4.0
"""A window this long drowns the latency of its submission."""

MOST_TIMES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was found.

    Args:
        ms: Duration of one call, latency of the submission taken off [ms].
        compile_ms: From text to pipeline, buffers included [ms].
        out: The flat result, elements that the kernel does not write included.
    """

    ms: float
    compile_ms: float
    out: NDArray[Any]


async def try_kernel(
    device: GpuDevice,
    spec: KernelSpec,
    candidate: GpuCandidate,
    arrays: Sequence[NDArray[Any]] = (),
    clock: Callable[[], float] = perf_counter,
    *,
    half: bool = False,
) -> Trial:
    """How fast a candidate is, and what it computes.

    Args:
        device: Where.
        spec: What to compute.
        candidate: How.
        arrays: The operands, flat; random ones by default.
        clock: Seconds.
        half: Whether the device stores 16-bit numbers, where it can (``shader-f16``); sums are
            made in 32 bits, and the result is stored in them.

    Raises:
        UnsupportedKernel: The device refuses the candidate; it scores as failed.
        DeviceLost: It went away over it.
    """
    if half and not device.limits.half:
        raise UnsupportedKernel("gpu-refused", "This GPU stores no 16-bit numbers.")
    program = lone_step(spec)
    given = arrays or _random(program)
    start = clock()
    plan = gpu_plan(program, templates(), device.limits, choose=lambda _: candidate, half=half)
    handle = await device.load(plan)
    try:
        compile_ms = 1e3 * (clock() - start)
        for number, array in enumerate(given):
            device.upload(handle, number, halved(array) if half else array)
        device.constants(handle, plan.constants([(0, 0)]))
        device.begin(handle)
        await device.timed(handle, 1)
        ms = await _steady_ms(device, handle)
        out = np.zeros(program.buffers[program.result].elements, spec.dtype)
        await device.read(handle, [(plan.places.result, out)])
        return Trial(ms=ms, compile_ms=compile_ms, out=out)
    finally:
        device.unload(handle)


async def _steady_ms(device: GpuDevice, handle: int) -> float:
    """Duration of one call: a long window less a short one, so what both cost drops out [ms]."""
    short = await device.timed(handle, 1)
    times = min(MOST_TIMES, max(2, round(LEAST_MS / max(short, 1e-3))))
    if short > LEAST_MS:
        return min(short, await device.timed(handle, 1))
    windows = [await device.timed(handle, times) for _ in range(3)]
    return max(1e-6, (min(windows) - min(short, await device.timed(handle, 1))) / (times - 1))


def halved(array: NDArray[Any]) -> NDArray[np.float16]:
    """As 16-bit numbers, complex interleaved; an even number of them, as copies move 4 bytes.

    Beyond 65,504 they are infinite.
    """
    numbers = np.ascontiguousarray(array).reshape(-1).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        return np.pad(numbers.astype(np.float16), (0, numbers.size % 2))


def _random(program: Program) -> list[NDArray[Any]]:
    """Numbers that no device flushes or finds special."""
    draw = np.random.default_rng(1)
    found = []
    for buffer in program.buffers:
        if buffer.source is not None:
            numbers = draw.standard_normal((2, buffer.elements)).astype(np.float32)
            made = numbers[0] + 1j * numbers[1] if program.dtype == "complex64" else numbers[0]
            found.append(np.ascontiguousarray(made, dtype=program.dtype))
    return found
