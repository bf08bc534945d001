"""Programs timed on each backend for ``bench``: warm, tuned, outside Python where there is more.

WASM runs in the page's own engine and the result stays in its memory; a GPU repeats a plan within
one submission and keeps the result; numpy replays kernels one after the other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import available, numpy_backend
from tensorloom.execute.gpu.backend import WebGpuBackend
from tensorloom.execute.gpu.trials import SEEDS, GpuTrials
from tensorloom.execute.numpy_backend import run_kernel
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.execute.wasm.page_engine import LoadedProgram, PageEngine
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.space import default_candidate
from tensorloom.kernels.lone import lone_step
from tensorloom.kernels.wasm.compiled import compiled
from tensorloom.kernels.wasm.jit import WasmDevice, jit_candidates
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.tune.search import Search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.compiled import Compiled
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.schedule import Schedule

__all__ = ["Timed", "timed_on"]

_SHAPE_MS, _GPU_SHAPE_MS = 300.0, 1000.0
"""What tuning one shape may take [ms]."""

_NETWORK_MS = 3000.0
"""What tuning a whole network may take [ms]."""

_TRY_MS = 12.0
_TRY_WARMUP_MS = 40.0
"""A candidate's windows, and the wait for optimised code before them [ms]."""

_TURNS, _TURN_MS = 4, 8.0
"""How often one thread and all of them are compared, and the windows of each turn [ms]."""

_MORE_TURNS, _APART_S = 8, 0.03
"""While threads gain less than a free processor gives, it may have been taken: look again."""

_GAIN = 0.8
"""Of one thread's time: what is faster than that needs no other look."""

_TIE = 1.05
"""While others hold the second core both are alike; threads gain as soon as it is free again."""

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
        tune_ms: What tuning, compiling and warming took [ms].
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


async def timed_on(
    name: str, program: Program, operands: list[NDArray[Any]], *, threads: int, min_ms: float
) -> Timed:
    """How fast a program with at least one dispatch runs.

    Args:
        name: ``numpy``, ``webgpu``, or WASM for anything else.
        program: Not sliced.
        operands: Its inputs.
        threads: At most so many, where the page is isolated.
        min_ms: How long all windows last together [ms].

    Raises:
        UnsupportedKernel: ``no-gpu``, or what the backend refuses.
    """
    if name == "numpy":
        return await _on_numpy(program, operands, min_ms)
    if name != "webgpu":
        return await _on_wasm(program, operands, threads, min_ms)
    here = await available()
    found = here.backends.get("webgpu")
    if not isinstance(found, WebGpuBackend):
        why = here.missing.get("webgpu", "This page has no GPU.")
        raise UnsupportedKernel("no-gpu", why, "Ask for another backend.")
    return await _on_gpu(program, operands, found, min_ms)


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
    program: Program, operands: list[NDArray[Any]], found: WebGpuBackend, least: float
) -> Timed:
    """Many runs in each submission; inputs and result stay on the device."""
    start = perf_counter()
    chosen = await _gpu_tuned(program, found.device)
    # A backend of its own: the page's plans and choices stay as they are.
    backend = WebGpuBackend(found.device, found.rates, lambda spec: chosen.get(spec.name))
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
        kernel="reduce" if spec.unary else _gpu_way(spec, found.device, chosen.get).text,
        tune_ms=tune_ms,
        threads=1,
        value=raw.value,
        log10_scale=raw.log10_scale,
    )


def _times(each: float) -> int:
    """Runs of a window."""
    return min(_MOST_TIMES, max(1, round(_GPU_WINDOW_MS / each)))


def _gpu_way(
    spec: KernelSpec, device: GpuDevice, chosen: Callable[[str], GpuCandidate | None]
) -> GpuCandidate:
    return chosen(spec.name) or default_candidate(spec, device.limits)


async def _gpu_tuned(program: Program, device: GpuDevice) -> dict[str, GpuCandidate]:
    """The fastest right candidate of each kernel, the heaviest first while the budget lasts."""
    found: dict[str, GpuCandidate] = {}
    left = _NETWORK_MS
    for number in _heaviest(program):
        spec = program.kernels[number]
        if spec.unary or left <= 0:
            continue
        trials = GpuTrials(spec, device, perf_counter)
        search = Search(trials.options, budget_ms=min(_GPU_SHAPE_MS, left), seeds=SEEDS)
        while search.request is not None:
            search.take(await trials.answer(search.request, _no_pause))
        left -= search.spent_ms
        if search.best is not None:
            found[spec.name] = GpuCandidate.parse(search.best.option.text)
    return found


async def _no_pause() -> None:
    """Nobody else has a turn while a benchmark runs."""


# --- WASM -----------------------------------------------------------------------------------------


async def _on_wasm(
    program: Program, operands: list[NDArray[Any]], threads: int, least: float
) -> Timed:
    engine, features = PageEngine(), BrowserHost().features
    start = perf_counter()
    plans = _tuned(program, features, engine)
    threads = max(1, min(threads, engine.most_threads))
    loaded = await _fastest(program, features, plans, threads, engine, operands)
    tune_ms = 1e3 * (perf_counter() - start)
    try:
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


async def _fastest(
    program: Program,
    features: WasmFeatures,
    plans: Sequence[Schedule],
    threads: int,
    engine: PageEngine,
    operands: list[NDArray[Any]],
) -> LoadedProgram:
    """The program loaded, with all threads or with one, whichever is faster."""

    async def ready(made: Compiled) -> LoadedProgram:
        loaded = await engine.load(made)
        for number, array in enumerate(operands):
            loaded.write(number, array)
        loaded.run()
        return loaded

    alone = await ready(compiled(program, features, plans))
    if threads == 1:
        return alone
    many = compiled(program, features, plans, threads=threads)
    if not any(shared for _, _, shared, _ in many.groups):
        return alone
    together = await ready(many)
    # In turns, and by the best: who else works meanwhile must not decide for all later runs.
    times: tuple[list[float], list[float]] = [], []
    for turn in range(_TURNS + _MORE_TURNS):
        if turn >= _TURNS:
            if min(times[1]) < _GAIN * min(times[0]):
                break
            await asyncio.sleep(_APART_S)
        for loaded, found in zip((alone, together), times, strict=True):
            warmup_ms = 0 if turn else 100
            found.append(loaded.time(min_ms=_TURN_MS, warmup_ms=warmup_ms).best_ms)
    threads_pay = min(times[1]) <= _TIE * min(times[0])
    kept, left = (together, alone) if threads_pay else (alone, together)
    left.release()
    return kept


def _tuned(program: Program, features: WasmFeatures, engine: PageEngine) -> list[Schedule]:
    """The fastest way found for each kernel, the heaviest first while the budget lasts."""
    plans = [schedule(spec, relaxed=features.relaxed_simd) for spec in program.kernels]
    start = perf_counter()
    for number in _heaviest(program):
        if 1e3 * (perf_counter() - start) < _NETWORK_MS:
            plans[number] = _best(program.kernels[number], plans[number], features, engine)
    return plans


def _best(
    spec: KernelSpec, ready: Schedule, features: WasmFeatures, engine: PageEngine
) -> Schedule:
    """The fastest of the ready kernel and the generated ones."""
    device = WasmDevice.typical(relaxed_simd=features.relaxed_simd)
    step = lone_step(spec)
    best, best_ms = ready, float("inf")
    start = perf_counter()
    for way in (*jit_candidates(spec, device), ready):
        made = compiled(step, features, [way])
        try:
            ms = engine.measure(made, min_ms=_TRY_MS, warmup_ms=_TRY_WARMUP_MS).best_ms
        except UnsupportedKernel:
            continue
        if ms < best_ms:
            best, best_ms = way, ms
        if 1e3 * (perf_counter() - start) > _SHAPE_MS:
            break
    return best
