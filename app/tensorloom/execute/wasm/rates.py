"""How long WASM takes here: the schedule's model of cycles, scaled by two measured numbers.

Finer than classes of kernels, as the form of each kernel is known and nothing is copied in or out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.records import RecordSheet

    Replay = Callable[[Program, list[NDArray[Any]]], Awaitable[object]]

__all__ = ["TYPICAL_RATES", "WasmRates", "measured_rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmRates:
    """What turns modelled cycles into time.

    Args:
        run_ms: Every run [ms].
        input_ms: Every array given to a run [ms].
        cycles_per_ms: Cycles of the model per millisecond.
    """

    run_ms: float
    input_ms: float
    cycles_per_ms: float

    def predict(self, program: Program, sheet: RecordSheet) -> float:
        """Expected duration of a program [ms]."""
        inputs = sum(buffer.source is not None for buffer in program.buffers)
        slices = program.n_slices * (sheet.cycles / self.cycles_per_ms)
        return self.run_ms + inputs * self.input_ms + slices


TYPICAL_RATES = WasmRates(run_ms=0.05, input_ms=0.003, cycles_per_ms=3e6)
"""One core: Zen 4, Chromium 156."""


async def measured_rates(
    replay: Replay, sheet_of: Callable[[Program], RecordSheet], clock: Callable[[], float]
) -> WasmRates:
    """Rates from three small programs, within about 100 ms.

    Args:
        replay: Runs a program with its arrays.
        sheet_of: The records of a program.
        clock: Seconds.
    """

    async def best_ms(program: Program, sizes: list[tuple[int, ...]]) -> float:
        arrays = [np.ones(size) for size in sizes]
        times = []
        for _ in range(_TIMES):
            start = clock()
            for _ in range(_REPEATS):
                await replay(program, arrays)
            times.append(1e3 * (clock() - start) / _REPEATS)
        return min(times)

    pair, chain, product = _chain(2, 2), _chain(_LONG, 2), _chain(2, _SIDE)
    short = await best_ms(pair, [(2, 2)] * 2)
    long = await best_ms(chain, [(2, 2)] * _LONG)
    heavy = await best_ms(product, [(_SIDE, _SIDE)] * 2)
    # Browsers round their clocks to 0.1 ms: nothing measured here is trusted below that.
    work_ms = max(0.1 / _REPEATS, heavy - short)
    cycles_per_ms = sheet_of(product).cycles / work_ms
    input_ms = (long - short) / (_LONG - 2) - sheet_of(chain).cycles / _LONG / cycles_per_ms
    return WasmRates(run_ms=short, input_ms=max(5e-4, input_ms), cycles_per_ms=cycles_per_ms)


_TIMES, _REPEATS = 3, 4
_LONG = 34
_SIDE = 128


def _chain(n: int, side: int) -> Program:
    """A product of ``n`` square matrices, from left to right."""
    names = [f"i{number}" for number in range(n + 1)]
    path = [(0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))]
    tree = ContractionTree(
        inputs=tuple(pairwise(names)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, side) for name in names),
        path=tuple(path),
    )
    return lower(tree, "float64")
