"""How long WASM takes here: the schedules' model of cycles, scaled by measured rates.

    duration = run and inputs + bytes of inputs / looked_bytes_per_ms
               + cycles of each kernel / rate of its form and type

A run is all that a user waits for, Python's part included; every input's magnitudes are looked at.
The model knows each kernel's form and what it moves; how fast a form runs in this engine is
measured, in a moment when nobody waits. A kernel that was tuned brings its measured time instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.execute.calibration import apart_ms, matrix_chain, no_pause
from tensorloom.execute.microbench import clock_tick_ms
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.schedule import Kernel
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tensorloom.execute.calibration import Pause, Replay
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import FusedKernel
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.kernels.wasm.schedule import Form
    from tensorloom.model.recipe import DType

__all__ = ["CYCLES_PER_MS", "TYPICAL_RATES", "WasmRates", "least_disturbed", "measured_rates"]

CYCLES_PER_MS = 3e6
"""What the model's cycles are nominally: a tuned kernel's are its time times this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmRates:
    """What turns modelled cycles into time.

    Args:
        run_ms: Every run [ms].
        input_ms: Every array given to a run [ms].
        bound_input_ms: An array given to a program that is a single call, see ``bound`` [ms].
        cycles_per_ms: Cycles of the model per millisecond, of kernels that were not measured.
        looked_bytes_per_ms: Bytes of inputs whose magnitudes are looked at [bytes/ms].
        measured: The same as ``cycles_per_ms`` for forms of kernels and types that were.
    """

    run_ms: float
    input_ms: float
    cycles_per_ms: float
    bound_input_ms: float = 0.006
    looked_bytes_per_ms: float = 2e7
    measured: tuple[tuple[Form, DType, float], ...] = ()

    def rate(self, kernel: Kernel | FusedKernel) -> float:
        """Cycles per millisecond; of another type of the same form if need be."""
        if not isinstance(kernel, Kernel):
            return self.cycles_per_ms
        if kernel.form == "jit":
            return CYCLES_PER_MS
        form = {dtype: rate for name, dtype, rate in self.measured if name == kernel.form}
        return form.get(kernel.dtype) or (median(form.values()) if form else self.cycles_per_ms)

    def predict(self, program: Program, sheet: RecordSheet, *, bound: bool = False) -> float:
        """Expected duration of a program [ms].

        Args:
            program: What runs.
            sheet: Its records.
            bound: Whether it is a single call.
        """
        inputs = [buffer.elements for buffer in program.buffers if buffer.source is not None]
        looked_ms = sum(inputs) * ITEM_BYTES[program.dtype] / self.looked_bytes_per_ms
        one_slice = sum(
            cycles / self.rate(kernel)
            for kernel, cycles in zip(sheet.kernels, sheet.kernel_cycles, strict=True)
        )
        once = sheet.cycles_once / max(1.0, sheet.cycles)
        slices = program.n_slices - (program.n_slices - 1) * once
        input_ms = self.bound_input_ms if bound else self.input_ms
        return self.run_ms + len(inputs) * input_ms + looked_ms + slices * one_slice


def least_disturbed(one: WasmRates, other: WasmRates) -> WasmRates:
    """The better of two measurements in each figure: what disturbs only makes slower."""
    both = {(form, dtype): rate for form, dtype, rate in one.measured}
    for form, dtype, rate in other.measured:
        both[form, dtype] = max(rate, both.get((form, dtype), 0.0))
    return WasmRates(
        run_ms=min(one.run_ms, other.run_ms),
        input_ms=min(one.input_ms, other.input_ms),
        bound_input_ms=min(one.bound_input_ms, other.bound_input_ms),
        cycles_per_ms=max(one.cycles_per_ms, other.cycles_per_ms),
        looked_bytes_per_ms=max(one.looked_bytes_per_ms, other.looked_bytes_per_ms),
        measured=tuple((*kind, rate) for kind, rate in both.items()),
    )


TYPICAL_RATES = WasmRates(run_ms=0.15, input_ms=0.015, cycles_per_ms=2.8e6)
"""One core: Zen 4, Chromium 156."""

WARM_MS = 8.0
"""Engines need up to this long to put their better translation in place (Chromium 156)."""

WINDOW_MS, TICKS = 1.5, 10
"""A window is at least so long, and so many ticks of the clock [ms]."""

COARSE_TICK_MS = 0.5
"""Clocks that tick slower (Firefox, WebKit: 1 ms) made runs of 10 us look like 1 ms, and numpy like
the faster backend; there the typical rates are the better guess [ms]."""

WINDOWS = 5
"""Others work on this machine too: the best of so many counts, with a pause before each."""

TRUSTED = 2.0
"""Forms and types differ from their median by at most this factor; what is beyond was disturbed."""

_LONG = 34

_NOT_FUSED = 26
"""Side of matrices whose product is no small step (``kernels.arena``): they run one by one."""

_LEAST_MS = 5e-4

_SIDE = 1024

_DIAGONAL = ContractionTree(
    inputs=(("i", "i"),), output=("i",), dimensions=(("i", _SIDE),), path=()
)
"""Much to look at, little to do."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What surrounds kernels: two arrays and one step, and what one more of each adds."""

    in_a_row_ms: float
    short_ms: float
    each_ms: float
    short_cycles: float
    each_cycles: float

    def input_ms(self, cycles_per_ms: float) -> float:
        """An array given to a run [ms]."""
        return max(_LEAST_MS, self.each_ms - self.each_cycles / cycles_per_ms)

    def run_ms(self, cycles_per_ms: float) -> float:
        """A run without any [ms]."""
        work_ms = self.short_cycles / cycles_per_ms
        return max(_LEAST_MS, self.short_ms - 2 * self.input_ms(cycles_per_ms) - work_ms)


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
        return await _best_ms(lambda: replay(program, arrays), clock, tick_ms, pause)

    async def both_ms(program: Program, shapes: list[tuple[int, ...]]) -> tuple[float, float]:
        """In a row, and with pauses between."""
        arrays = [np.ones(shape, program.dtype) for shape in shapes]

        async def work() -> None:
            await replay(program, arrays)

        in_a_row_ms = await _best_ms(work, clock, tick_ms, pause)
        found = [await apart_ms(work, clock, pause) for _ in range(WINDOWS)]
        # The least of means of a few ticks would mostly be luck.
        return in_a_row_ms, max(in_a_row_ms, median(found))

    async def around(side: int) -> _Around:
        short = lower(matrix_chain(2, side), "float64")
        chain = lower(matrix_chain(_LONG, side), "float64")
        in_a_row_ms, short_ms = await both_ms(short, [(side, side)] * 2)
        _, long_ms = await both_ms(chain, [(side, side)] * _LONG)
        return _Around(
            in_a_row_ms=in_a_row_ms,
            short_ms=short_ms,
            each_ms=(long_ms - short_ms) / (_LONG - 2),
            short_cycles=sheet_of(short).cycles,
            each_cycles=(sheet_of(chain).cycles - sheet_of(short).cycles) / (_LONG - 2),
        )

    bound, alone = await around(2), await around(_NOT_FUSED)
    rates: list[tuple[Form, DType, float]] = []
    for form, dtype, text, sizes in _SAMPLES:
        program, shapes = _product(text, sizes, dtype)
        work_ms = await best_ms(program, shapes) - alone.in_a_row_ms
        sheet = sheet_of(program)
        # Another engine may have chosen another form here: then the sample says nothing.
        if work_ms > 0 and {k.form for k in sheet.kernels if isinstance(k, Kernel)} == {form}:
            rates.append((form, dtype, (sheet.cycles - alone.short_cycles) / work_ms))
    overall = median(rate for _, _, rate in rates) if rates else TYPICAL_RATES.cycles_per_ms
    diagonal = lower(_DIAGONAL, "float32")
    looked_ms = await best_ms(diagonal, [(_SIDE, _SIDE)]) - alone.in_a_row_ms
    looked_ms -= sheet_of(diagonal).cycles / overall
    looked = 4 * _SIDE**2 / looked_ms if looked_ms > 0 else TYPICAL_RATES.looked_bytes_per_ms
    return WasmRates(
        run_ms=alone.run_ms(overall),
        input_ms=alone.input_ms(overall),
        bound_input_ms=bound.input_ms(overall),
        cycles_per_ms=overall,
        looked_bytes_per_ms=looked,
        measured=tuple(
            (form, dtype, min(max(rate, overall / TRUSTED), overall * TRUSTED))
            for form, dtype, rate in rates
        ),
    )


async def _best_ms(
    work: Callable[[], Awaitable[object]],
    clock: Callable[[], float],
    tick_ms: float,
    pause: Pause,
) -> float:
    """One call once the engine is warm: the best window of a few [ms]."""
    await pause()
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
        await pause()
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
