"""``window.tensorloom.bench``: how fast a contraction runs here, warm and tuned.

The result stays in the engine's memory and the clock runs outside Python, in windows; tuning and
the check against a reference are told apart from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.engine import backend_choice, planned
from tensorloom.errors import NetworkError, UnsupportedKernel
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import available, numpy_backend
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.execute.wasm.page_engine import LoadedProgram, PageEngine
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.compiled import compiled, lone_step
from tensorloom.kernels.wasm.jit import WasmDevice, jit_candidates
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.model.document import check_dtype
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.compiled import Compiled
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.schedule import Schedule
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = ["bench"]

_SHAPE_MS = 300.0
"""What tuning one shape may take [ms]."""

_NETWORK_MS = 3000.0
"""What tuning a whole network may take [ms]."""

_TRY_MS = 12.0
_TRY_WARMUP_MS = 40.0
"""A candidate's windows, and the wait for optimised code before them [ms]."""

_NUMPY_MUL_ADDS = 200_000_000
"""Beyond this numpy takes seconds here, and WASM in float64 is the reference."""

_MOST_RUNS_MS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """What a backend found.

    Args:
        ms: Duration of a run [ms].
        kernel: The kernels, the most work first.
        tune_ms: What tuning took [ms].
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


async def bench(given: dict[str, Any], buffers: Sequence[bytes]) -> dict[str, Any]:
    """The record that the call resolves with.

    Args:
        given: ``equation``, ``shapes``, ``dtype``, ``backend``, ``threads``, ``minMs``, and whether
            there are ``inputs`` and an ``expect``.
        buffers: Bytes of the inputs, then of the expected result.

    Raises:
        TensorloomError: As ``contract``; ``bad-array`` where bytes and shape do not agree.
    """
    dtype: DType = given["dtype"]
    check_dtype(dtype)
    shapes = _shapes(given["shapes"])
    arrays = _inputs(shapes, dtype, buffers if given["inputs"] else ())
    plan, operands = planned(str(given["equation"]), arrays)
    program = lower(plan, dtype)
    if not program.dispatches:
        raise NetworkError(
            "nothing-to-time",
            "This contraction needs no work.",
            "Give at least two operands, or sum or permute one.",
        )
    name = backend_choice(str(given["backend"]))
    timed = await _timed(program, operands, name, given)
    flop = program.mul_adds * (8 if dtype.startswith("complex") else 2)
    expected, reference = await _expected(given, plan, operands, buffers, dtype)
    return {
        "gflops": flop / timed.ms / 1e6,
        "ms": timed.ms,
        "maxErr": _error(timed, expected),
        "kernel": timed.kernel,
        "tuneMs": timed.tune_ms,
        "backend": "wasm" if name == "auto" else name,
        "threads": timed.threads,
        "reference": reference,
        "mulAdds": program.mul_adds,
    }


def _shapes(given: object) -> list[tuple[int, ...]]:
    if not isinstance(given, list):
        raise _bad_array("The shapes are no list.", "Give one list of whole numbers per operand.")
    for number, shape in enumerate(given):
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise _bad_array(
                f"The shape of operand {number} is {str(shape)[:60]}.",
                "Give a list of whole numbers of at least 1.",
            )
    return [tuple(shape) for shape in given]


def _inputs(
    shapes: Sequence[tuple[int, ...]], dtype: DType, buffers: Sequence[bytes]
) -> list[NDArray[Any]]:
    """The given numbers, or random ones between -1 and 1."""
    if buffers:
        return [_array(buffers[n], shape, dtype, f"Input {n}") for n, shape in enumerate(shapes)]
    random = np.random.default_rng(1)
    made = [random.uniform(-1, 1, shape) for shape in shapes]
    if dtype.startswith("complex"):
        made = [array + 1j * random.uniform(-1, 1, array.shape) for array in made]
    return [array.astype(dtype) for array in made]


def _array(data: bytes, shape: tuple[int, ...], dtype: DType, label: str) -> NDArray[Any]:
    wanted = int(np.prod(shape, dtype=object)) * ITEM_BYTES[dtype]
    if len(data) != wanted:
        raise _bad_array(
            f"{label} has {len(data)} bytes; {wanted} belong to shape {list(shape)} in {dtype}.",
            "Give raw little-endian numbers in C order, complex ones as re, im, re, im.",
        )
    return np.frombuffer(data, dtype).reshape(shape)


def _bad_array(message: str, hint: str) -> NetworkError:
    return NetworkError("bad-array", message, hint)


async def _timed(
    program: Program, operands: list[NDArray[Any]], name: str, given: dict[str, Any]
) -> _Timed:
    least = float(given["minMs"])
    if name == "numpy":
        return await _on_backend(program, operands, numpy_backend(), least)
    if name == "webgpu":
        here = await available()
        if "webgpu" not in here.backends:
            raise UnsupportedKernel("no-webgpu", here.missing["webgpu"], "Ask for another backend.")
        return await _on_backend(program, operands, here.backends["webgpu"], least)
    return await _on_wasm(program, operands, int(given["threads"]), least)


async def _on_backend(
    program: Program,
    operands: list[NDArray[Any]],
    backend: Backend,
    least: float,
) -> _Timed:
    """Runs with the copy out, as this backend's memory is not the engine's."""
    start = perf_counter()
    raw = await backend.run(program, operands, no_pulse)
    first_ms = 1e3 * (perf_counter() - start)
    times: list[float] = []
    while sum(times) < least or len(times) < 3:  # noqa: PLR2004 - a median of at least three
        start = perf_counter()
        raw = await backend.run(program, operands, no_pulse)
        times.append(1e3 * (perf_counter() - start))
        if sum(times) > _MOST_RUNS_MS:
            break
    ms = float(np.median(times))
    return _Timed(
        ms=ms,
        kernel=backend.name,
        tune_ms=max(0.0, first_ms - ms),
        threads=1,
        value=raw.value,
        log10_scale=raw.log10_scale,
    )


async def _on_wasm(
    program: Program, operands: list[NDArray[Any]], threads: int, least: float
) -> _Timed:
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
    heavy = max(range(len(plans)), key=lambda number: program.kernels[number].mul_adds)
    return _Timed(
        ms=found.ms,
        kernel=plans[heavy].kernel.name,
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
    times = [loaded.time(min_ms=_TRY_MS, warmup_ms=100).ms for loaded in (alone, together)]
    kept, left = (together, alone) if times[1] < times[0] else (alone, together)
    left.release()
    return kept


def _tuned(program: Program, features: WasmFeatures, engine: PageEngine) -> list[Schedule]:
    """The fastest way found for each kernel, the heaviest first while the budget lasts."""
    plans = [schedule(spec, relaxed=features.relaxed_simd) for spec in program.kernels]
    order = sorted(range(len(plans)), key=lambda number: -program.kernels[number].mul_adds)
    start = perf_counter()
    for number in order:
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
        ms = engine.measure(made, min_ms=_TRY_MS, warmup_ms=_TRY_WARMUP_MS).best_ms
        if ms < best_ms:
            best, best_ms = way, ms
        if 1e3 * (perf_counter() - start) > _SHAPE_MS:
            break
    return best


async def _expected(
    given: dict[str, Any],
    plan: Plan,
    operands: list[NDArray[Any]],
    buffers: Sequence[bytes],
    dtype: DType,
) -> tuple[NDArray[Any] | None, str]:
    """The right answer and where it comes from."""
    wide: DType = "complex128" if dtype.startswith("complex") else "float64"
    program = lower(plan, wide)
    if given["expect"]:
        return _array(buffers[-1], program.shape, dtype, "The expected result"), "given"
    arrays = [np.ascontiguousarray(array, wide) for array in operands]
    if program.mul_adds <= _NUMPY_MUL_ADDS:
        raw = await numpy_backend().run(program, arrays, no_pulse)
        return raw.value, f"numpy {wide}"
    here = await available()
    raw = await here.backends.get("wasm", here.backends["numpy"]).run(program, arrays, no_pulse)
    return raw.value, f"wasm {wide}"


def _error(timed: _Timed, expected: NDArray[Any] | None) -> float | None:
    """Largest difference beside the largest magnitude; ``None`` where a number has no place."""
    if expected is None or timed.log10_scale or not np.isfinite(timed.value).all():
        return None
    largest = float(np.abs(expected).max())
    wrong = float(np.abs(timed.value.reshape(expected.shape) - expected).max())
    return wrong / largest if largest else wrong
