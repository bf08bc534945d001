"""How long a strategy takes: rates measured on the workers, and a sum over its calls.

A multiplication of matrices takes as long as its multiply-adds at the rate of its shape; what is
read, written and moved takes as long as its bytes; each call has a price of its own. Rates are
measured once per type, on a worker that has nothing else to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log2
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom_worker.execution.schedule import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom_worker.execution.schedule import Call
    from tensorloom_worker.execution.strategy import Strategy

__all__ = ["TYPICAL", "Rates", "measured", "seconds_of"]

_ROWS = (1, 4, 16, 64, 256)
_SUMMED = (2, 8, 64, 256)
"""Sizes at which multiplications are timed; between them the logarithm of the rate is straight."""

_WINDOW = 0.003
"""Time for one size [s]."""

MOST_PRODUCTS = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one thread of a worker does in one number type.

    Args:
        call_s: Price of a call [s].
        move_s: Moving one element to another place, runs of one element [s].
        mul_add_s: One multiply-add, by ``(rows, summed, columns)`` of ``_ROWS`` and ``_SUMMED``
            [s].
        outer_s: One element of an outer product [s].
    """

    call_s: float
    move_s: float
    outer_s: float
    mul_add_s: Mapping[tuple[int, int, int], float]


def _typical() -> Rates:
    table = {
        (m, k, n): 1e-10 * (1 + 8 / m) * (1 + 8 / n) * (1 + 8 / k)
        for m in _ROWS
        for k in _SUMMED
        for n in _ROWS
    }
    return Rates(call_s=4e-6, move_s=4e-9, outer_s=1e-9, mul_add_s=table)


TYPICAL = _typical()
"""A core of the last ten years, for before anything is measured."""


def measured(dtype: str) -> Rates:
    """The rates of this thread, in about half a second."""
    generator = np.random.default_rng(0)

    def array(*shape: int) -> Any:  # noqa: ANN401  # of the type asked for
        found = generator.standard_normal(shape)
        return (found + 1j * found if dtype.startswith("complex") else found).astype(dtype)

    table = {}
    for m in _ROWS:
        for k in _SUMMED:
            for n in _ROWS:
                x, y = array(m, k), array(k, n)
                took = _timed(lambda x=x, y=y: np.matmul(x, y))
                table[m, k, n] = took / (m * k * n)
    small = array(1, 1)
    call = _timed(lambda: np.matmul(small, small).reshape((1, 1)).swapaxes(-1, -2))
    table = {key: max(1e-12, value - call / _products(key)) for key, value in table.items()}
    side = array(*(2,) * 18)
    order = tuple(range(1, 18, 2)) + tuple(range(0, 18, 2))
    move = _timed(lambda: np.ascontiguousarray(side.transpose(order)), 4 * _WINDOW)
    left, right = array(512, 1), array(1, 512)
    outer = _timed(lambda: np.multiply(left, right))
    return Rates(
        call_s=call,
        move_s=move / side.size,
        outer_s=max(1e-12, (outer - call) / (512 * 512)),
        mul_add_s=table,
    )


def _products(key: tuple[int, int, int]) -> int:
    return key[0] * key[1] * key[2]


def _timed(function: Any, window: float = _WINDOW) -> float:  # noqa: ANN401  # any call
    """Time of a call: the median of several, after one that warms up [s]."""
    function()
    times = []
    end = perf_counter() + window
    while True:
        begin = perf_counter()
        function()
        now = perf_counter()
        times.append(now - begin)
        if now > end or len(times) >= 200:  # noqa: PLR2004  # enough for a median
            return float(np.median(times))


def seconds_of(strategy: Strategy, rates: Rates) -> tuple[float, float]:
    """``(once per worker, all slices)`` in one thread [s]."""
    once = 0.0
    for table in strategy.tables:
        plain = type(strategy).of(table.tree)
        once += sum(_call_s(call, rates) for call in compiled(plain.main, plain.levels).calls)
    schedule = compiled(strategy.main, strategy.levels)
    times = [1]
    for size in schedule.radix:
        times.append(times[-1] * size)
    loop = sum(_call_s(call, rates) * times[call.level] for call in schedule.calls)
    looks = sum(times[leaf.level] for leaf in schedule.leaves if leaf.level)
    per_slice = 6 * rates.call_s
    return once, loop + (looks * rates.call_s / 4) + per_slice * schedule.n_slices


def _call_s(call: Call, rates: Rates) -> float:
    batch, rows, summed, columns = call.extents
    took = rates.call_s
    if call.kind == "outer":
        took += call.elements * rates.outer_s
    elif call.kind == "matmul":
        took += batch * (rates.call_s / 8 if batch > 1 else 0)
        took += call.mul_adds * _mul_add_s(rows, summed, columns, rates)
    else:
        took += call.mul_adds * rates.outer_s * 1.5
    if call.natural:
        run = call.natural[-1] if call.order[-1] == len(call.order) - 1 else 1
        took += 2 * rates.call_s + call.elements * rates.move_s * (1 + 6 / run) / 7
    return took


def _mul_add_s(rows: int, summed: int, columns: int, rates: Rates) -> float:
    """The rate of a shape, between those that were measured."""
    places = (
        _between(rows, _ROWS),
        _between(summed, _SUMMED),
        _between(columns, _ROWS),
    )
    total = 0.0
    for m, share_m in places[0]:
        for k, share_k in places[1]:
            for n, share_n in places[2]:
                total += share_m * share_k * share_n * log2(rates.mul_add_s[m, k, n])
    return float(2**total)


def _between(size: int, grid: tuple[int, ...]) -> list[tuple[int, float]]:
    if size <= grid[0]:
        return [(grid[0], 1.0)]
    for low, high in pairwise(grid):
        if size <= high:
            share = log2(size / low) / log2(high / low)
            return [(low, 1 - share), (high, share)]
    return [(grid[-1], 1.0)]
