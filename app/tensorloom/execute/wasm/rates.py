"""How long WASM takes here: the schedules' model of cycles, scaled by measured rates.

    duration = run_ms + input_ms * inputs + cycles of each kernel / rate of its form and type

The model knows each kernel's form and what it moves; how fast a form runs in this engine is
measured, in a moment when nobody waits. A kernel that was tuned brings its measured time instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.calibration import matrix_chain
from tensorloom.execute.microbench import clock_tick_ms
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.schedule import Kernel
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import FusedKernel
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.kernels.wasm.schedule import Form
    from tensorloom.model.recipe import DType

    Replay = Callable[[Program, list[NDArray[Any]]], Awaitable[object]]
    Pause = Callable[[], Awaitable[None]]

__all__ = ["CYCLES_PER_MS", "TYPICAL_RATES", "WasmRates", "measured_rates", "no_pause"]

CYCLES_PER_MS = 3e6
"""What the model's cycles are nominally: a tuned kernel's are its time times this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmRates:
    """What turns modelled cycles into time.

    Args:
        run_ms: Every run [ms].
        input_ms: Every array given to a run [ms].
        cycles_per_ms: Cycles of the model per millisecond, of kernels that were not measured.
        measured: The same for forms of kernels and types that were.
    """

    run_ms: float
    input_ms: float
    cycles_per_ms: float
    measured: tuple[tuple[Form, DType, float], ...] = ()

    def rate(self, kernel: Kernel | FusedKernel) -> float:
        """Cycles per millisecond; of another type of the same form if need be."""
        if not isinstance(kernel, Kernel):
            return self.cycles_per_ms
        if kernel.form == "jit":
            return CYCLES_PER_MS
        form = {dtype: rate for name, dtype, rate in self.measured if name == kernel.form}
        return form.get(kernel.dtype) or (median(form.values()) if form else self.cycles_per_ms)

    def predict(self, program: Program, sheet: RecordSheet) -> float:
        """Expected duration of a program [ms]."""
        inputs = sum(buffer.source is not None for buffer in program.buffers)
        one_slice = sum(
            cycles / self.rate(kernel)
            for kernel, cycles in zip(sheet.kernels, sheet.kernel_cycles, strict=True)
        )
        once = sheet.cycles_once / max(1.0, sheet.cycles)
        slices = program.n_slices - (program.n_slices - 1) * once
        return self.run_ms + inputs * self.input_ms + slices * one_slice


TYPICAL_RATES = WasmRates(run_ms=0.01, input_ms=0.003, cycles_per_ms=2.8e6)
"""One core: Zen 4, Chromium 156."""

WARM_MS = 8.0
"""Engines need up to this long to put their better translation in place (Chromium 156)."""

WINDOW_MS, TICKS = 1.5, 10
"""A window is at least so long, and so many ticks of the clock [ms]."""

COARSE_TICK_MS = 0.5
"""Clocks that tick slower (Firefox, WebKit: 1 ms) made runs of 10 us look like 1 ms, and numpy like
the faster backend; there the typical rates are the better guess [ms]."""

WINDOWS = 3

_LONG = 34

_Sample = tuple["Form", "DType", str, tuple[int, ...]]

_SAMPLES: tuple[_Sample, ...] = (
    ("gemm", "float32", "ij,jk->ik", (128, 128, 128)),
    ("gemm", "float64", "ij,jk->ik", (128, 128, 128)),
    ("gemm", "complex64", "ij,jk->ik", (96, 96, 96)),
    ("gemm", "complex128", "ij,jk->ik", (96, 96, 96)),
    ("run", "float32", "ij,jk->ik", (4, 512, 512)),
    ("run", "complex64", "ij,jk->ik", (2, 256, 512)),
    ("sum", "float64", "ij,j->i", (512, 512)),
)
"""Form, type, and a product that takes this form, small enough for the caches."""


async def no_pause() -> None:
    """Nobody else wants a turn."""


async def measured_rates(
    replay: Replay,
    sheet_of: Callable[[Program], RecordSheet],
    clock: Callable[[], float],
    pause: Pause = no_pause,
) -> WasmRates:
    """Rates from a few small programs, within about 200 ms; about 20 ms between pauses.

    Args:
        replay: Runs a program with its arrays.
        sheet_of: The records of a program.
        clock: Seconds.
        pause: Lets others have their turn.
    """
    tick_ms = clock_tick_ms(clock)
    if tick_ms > COARSE_TICK_MS:
        return TYPICAL_RATES

    async def best_ms(program: Program, shapes: list[tuple[int, ...]]) -> float:
        arrays = [np.ones(shape, program.dtype) for shape in shapes]
        await pause()
        return await _best_ms(lambda: replay(program, arrays), clock, tick_ms)

    short = await best_ms(lower(matrix_chain(2), "float64"), [(2, 2)] * 2)
    chain = lower(matrix_chain(_LONG), "float64")
    long = await best_ms(chain, [(2, 2)] * _LONG)
    rates: list[tuple[Form, DType, float]] = []
    for form, dtype, text, sizes in _SAMPLES:
        program, shapes = _product(text, sizes, dtype)
        work_ms = await best_ms(program, shapes) - short
        sheet = sheet_of(program)
        # Another engine may have chosen another form here: then the sample says nothing.
        if work_ms > 0 and {k.form for k in sheet.kernels if isinstance(k, Kernel)} == {form}:
            rates.append((form, dtype, sheet.cycles / work_ms))
    overall = median(rate for _, _, rate in rates) if rates else TYPICAL_RATES.cycles_per_ms
    input_ms = (long - short) / (_LONG - 2) - sheet_of(chain).cycles / _LONG / overall
    return WasmRates(
        run_ms=short,
        input_ms=max(5e-4, input_ms),
        cycles_per_ms=overall,
        measured=tuple(rates),
    )


async def _best_ms(
    work: Callable[[], Awaitable[object]], clock: Callable[[], float], tick_ms: float
) -> float:
    """One call once the engine is warm: the best window of a few [ms]."""
    start = clock()
    calls = 0
    warm_ms = 0.0
    while warm_ms < WARM_MS:
        await work()
        calls += 1
        warm_ms = 1e3 * (clock() - start)
    window_ms = max(WINDOW_MS, TICKS * tick_ms)
    repeats = ceil(window_ms * calls / warm_ms)
    times = []
    for _ in range(WINDOWS):
        start = clock()
        for _ in range(repeats):
            await work()
        times.append(1e3 * (clock() - start) / repeats)
    return max(min(times), tick_ms / repeats)


def _product(
    text: str, sizes: tuple[int, ...], dtype: DType
) -> tuple[Program, list[tuple[int, ...]]]:
    """A product of two tensors, its indices' sizes in alphabetical order; and their shapes."""
    operands, out = text.split("->")
    left, right = operands.split(",")
    dimensions = tuple(zip("ijk", sizes, strict=False))
    tree = ContractionTree(
        inputs=(tuple(left), tuple(right)), output=tuple(out), dimensions=dimensions, path=((0, 1),)
    )
    size = dict(dimensions)
    return lower(tree, dtype), [tuple(size[name] for name in names) for names in (left, right)]
