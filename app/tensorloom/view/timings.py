"""Programs timed on each backend for ``bench``: warm, tuned, outside Python where there is more.

Kernels and threads are those that runs would take: the page's tuner is asked, and what it does not
know it finds out first. WASM runs in the page's own engine and the result stays in its memory; a
GPU repeats a plan within one submission and keeps the result; numpy replays kernels one after the
other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import available, numpy_backend
from tensorloom.execute.gpu.backend import WebGpuBackend
from tensorloom.execute.gpu.half import HalfGpuBackend
from tensorloom.execute.numpy_kernels import run_kernel
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.execute.wasm.page_engine import PageEngine
from tensorloom.kernels.gpu.space import default_candidate
from tensorloom.kernels.wasm.compiled import compiled
from tensorloom.kernels.wasm.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.tuning import Tuner
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.program import KernelSpec, Program

__all__ = ["Timed", "timed_on"]

_WARMUP_MS = 40.0
"""Longest wait for optimised code of kernels whose trials have mostly brought it [ms]."""

_WINDOW_MS, _GPU_WINDOW_MS = 4.0, 50.0
"""The latter is long beside the latency of a submission, short beside what watchdogs allow."""

_MOST_TIMES = 1024
_LEAST_WINDOWS = 3
_MOST_RUNS_MS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What a backend found.

    Args:
        ms: Duration of a run [ms].
        kernel: The kernel with the most work.
        tune_ms: What tuning, comparing threads, compiling and warming took; what was known from
            before is not tuned again [ms].
        device_ms: What measuring the device took, once, before that [ms].
        threads: Threads used.
        value: The result.
        log10_scale: Its power of ten.
    """

    ms: float
    kernel: str
    tune_ms: float
    threads: int
    value: NDArray[Any]
    log10_scale: float
    device_ms: float = 0.0


async def timed_on(
    name: str,
    program: Program,
    operands: list[NDArray[Any]],
    *,
    tuner: Tuner | None,
    threads: int,
    min_ms: float,
) -> Timed:
    """How fast a program with at least one dispatch runs.

    Args:
        name: ``numpy``, ``webgpu``, ``webgpu-f16``, or WASM for anything else.
        program: Not sliced.
        operands: Its inputs.
        tuner: The page's; nobody else has it meanwhile. ``None`` without WASM: numpy alone is left.
        threads: At most so many, where the page is isolated.
        min_ms: How long all windows last together [ms].

    Raises:
        UnsupportedKernel: ``no-gpu``, ``no-f16``, or what the backend refuses.
    """
    if name == "numpy":
        return await _on_numpy(program, operands, min_ms)
    here = await available()
    found = here.backends.get("webgpu")
    is_on_gpu = name in {"webgpu", "webgpu-f16"}
    if is_on_gpu and not isinstance(found, WebGpuBackend):
        why = here.missing.get("webgpu", "This page has no GPU.")
        raise UnsupportedKernel("no-gpu", why, "Ask for another backend.")
    start = perf_counter()
    if tuner is not None:
        await tuner.measured(_no_pause)
    device_ms = 1e3 * (perf_counter() - start)
    if is_on_gpu:
        assert isinstance(found, WebGpuBackend)
        if name == "webgpu-f16":
            found, tuner = HalfGpuBackend(found), None
        timed = await _on_gpu(program, operands, found, tuner, min_ms)
    elif tuner is not None:
        timed = await _on_wasm(program, operands, tuner, threads, min_ms)
    else:
        why = here.missing.get("wasm", "This page has no WebAssembly SIMD.")
        raise UnsupportedKernel("wasm-no-simd", why, "Ask for numpy.")
    return replace(timed, device_ms=device_ms)


def _heaviest(program: Program) -> list[int]:
    """Numbers of the kernels, the most work first."""
    numbers = range(len(program.kernels))
    return sorted(numbers, key=lambda number: -program.kernels[number].mul_adds)


# --- numpy ----------------------------------------------------------------------------------------


async def _on_numpy(program: Program, operands: list[NDArray[Any]], least: float) -> Timed:
    """The kernels alone, into buffers that are there; magnitudes are not looked at."""
    start = perf_counter()
    raw = await numpy_backend().run(program, operands, no_pulse)
    buffers = [
        np.ascontiguousarray(operands[buffer.source], program.dtype).reshape(-1)
        if buffer.source is not None
        else np.empty(buffer.elements, program.dtype)
        for buffer in program.buffers
    ]

    def window(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            _replay(program, buffers)
        return 1e3 * (perf_counter() - began) / times

    # Browsers round their clocks: a window is long beside that.
    count = 1
    while window(count) * count < _WINDOW_MS:
        count *= 2
    tune_ms = 1e3 * (perf_counter() - start)
    windows: list[float] = []
    while _goes_on(windows, count, least):
        windows.append(window(count))
    return Timed(
        ms=float(np.median(windows)),
        kernel="numpy",
        tune_ms=tune_ms,
        threads=1,
        value=raw.value,
        log10_scale=raw.log10_scale,
    )


def _goes_on(windows: Sequence[float], times: int, least: float) -> bool:
    """Whether more windows of so many runs each are wanted."""
    spent = times * sum(windows)
    if spent > _MOST_RUNS_MS:
        return not windows
    return spent < least or len(windows) < _LEAST_WINDOWS


def _replay(program: Program, buffers: Sequence[NDArray[Any]]) -> None:
    for call in program.dispatches:
        spec = program.kernels[call.kernel]
        right = None if call.right is None else buffers[call.right]
        for _ in run_kernel(spec, buffers[call.left], right, buffers[call.out]):
            pass


# --- WebGPU ---------------------------------------------------------------------------------------


async def _on_gpu(
    program: Program,
    operands: list[NDArray[Any]],
    found: WebGpuBackend,
    tuner: Tuner | None,
    least: float,
) -> Timed:
    """Many runs in each submission; inputs and result stay on the device."""
    start = perf_counter()
    chosen: dict[str, GpuCandidate | None] = {}
    # What a GPU cannot compute in is refused below; trying it would count as kernels thrown out.
    if tuner is not None and program.dtype in found.dtypes:
        await tuner.settle(program, _no_pause, "webgpu")
        chosen = {spec.name: tuner.candidate_for(spec) for spec in program.kernels}
    # A backend of its own: the page's plans and choices stay as they are.
    backend = WebGpuBackend(found.device, found.rates, lambda spec: chosen.get(spec.name))
    if found.half:
        backend = HalfGpuBackend(backend)
    try:
        raw = await backend.run(program, operands, no_pulse)
        # The numbers are there: repetitions send none.
        again = partial(backend.repeat, program, ())
        each = max(1e-3, await again(1))
        times = _times(each)
        each = max(1e-3, await again(times))
        times = _times(each)
        tune_ms = 1e3 * (perf_counter() - start)
        windows: list[float] = []
        while _goes_on(windows, times, least):
            windows.append(await again(times))
    finally:
        backend.release()
    spec = program.kernels[_heaviest(program)[0]]
    return Timed(
        ms=float(np.median(windows)),
        kernel="reduce" if spec.unary else _gpu_way(spec, found, chosen.get).text,
        tune_ms=tune_ms,
        threads=1,
        value=raw.value,
        log10_scale=raw.log10_scale,
    )


def _times(each: float) -> int:
    """Runs of a window."""
    return min(_MOST_TIMES, max(1, round(_GPU_WINDOW_MS / each)))


def _gpu_way(
    spec: KernelSpec, on: WebGpuBackend, chosen: Callable[[str], GpuCandidate | None]
) -> GpuCandidate:
    return chosen(spec.name) or default_candidate(spec, on.device.limits, half=on.half)


async def _no_pause() -> None:
    """Nobody else has a turn while a benchmark runs."""


# --- WASM -----------------------------------------------------------------------------------------


async def _on_wasm(
    program: Program, operands: list[NDArray[Any]], tuner: Tuner, threads: int, least: float
) -> Timed:
    engine, features = PageEngine(), BrowserHost().features
    start = perf_counter()
    threads = max(1, min(threads, engine.most_threads))
    await tuner.settle(program, _no_pause, threads=threads)
    plans = tuner.plans_for(program, least=1) or [
        schedule(spec, relaxed=features.relaxed_simd) for spec in program.kernels
    ]
    made = compiled(program, features, plans)
    if threads > 1 and tuner.pays(program, threads):
        many = compiled(program, features, plans, threads=threads)
        if any(shared for _, _, shared, _ in many.groups):
            made = many
    loaded = await engine.load(made)
    try:
        for number, array in enumerate(operands):
            loaded.write(number, array)
        loaded.time(min_ms=0, warmup_ms=_WARMUP_MS)
        tune_ms = 1e3 * (perf_counter() - start)
        found = loaded.time(min_ms=least)
        value, scale = loaded.read()
    finally:
        loaded.release()
    return Timed(
        ms=found.ms,
        kernel=plans[_heaviest(program)[0]].kernel.name,
        tune_ms=tune_ms,
        threads=loaded.compiled.threads,
        value=value,
        log10_scale=scale,
    )
