"""How long a strategy takes: rates measured on the workers, and a sum over its calls.

A multiplication of matrices takes as long as its multiply-adds at the rate of its shape; what is
read, written and moved takes as long as its bytes; each call has a price of its own. Rates are
measured per type on a worker, in processor time: a machine that has other work meanwhile gives the
same ones. They are measured again now and then, and medians of the last few count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from math import ceil, log2, prod
from mmap import mmap
from operator import mul
from statistics import median
from time import get_clock_info, perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom_worker.execution.sums import Sum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom_worker.execution.schedule import Call, Schedule
    from tensorloom_worker.execution.strategy import Strategy

__all__ = [
    "TYPICAL",
    "Rates",
    "loading_seconds",
    "measured",
    "median_of",
    "processor_clock",
    "seconds_of",
    "wall_seconds",
]

_ROWS = (1, 4, 16, 64, 256)
_SUMMED = (2, 8, 64, 256)
"""Sizes at which multiplications are timed; between them the logarithm of the rate is straight."""

_WINDOW = 0.003
"""Time for one size [s]."""

_LEAST_TIMES = 3
"""A size is timed so often at least: a median of one is no median."""

_SHORT = 5e-5
"""What takes less is timed several times in a row [s]."""

_REPLAY_CALLS = 2.5
"""What a call takes in a runner's loop, in calls by themselves."""

_LOADING_CALLS = 110
_LOADING_PASSES = 5
"""What it takes to lay out an input's part of a job and to make it: in calls, and in passes over
its elements."""

_CACHED = 1 << 17
"""Results with more elements go to memory: they take as long as writing them, at least."""

_NEAR, _FAR = 1 << 18, 1 << 21
"""Sizes at which moving axes is timed: within what caches hold, and beyond it, where each element
comes from another page. Between them the logarithm of the rate is straight [elements]."""

_READ_BYTES = 48 << 20
"""A matrix that is read once, by a product with a vector: more than caches hold."""

_PAGE = 4096
_PAGES = 4096
"""Memory that a process touches for the first time is timed with so many pages of so many bytes. On
a virtual machine it may take four times as long where its host has to find it too, and nothing at
all where the process has had as much before: both stay within a factor of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one thread of a worker does in one number type.

    Args:
        call_s: Price of a call [s].
        move_s: Moving one element to another place in a cache, runs of one element [s].
        far_move_s: The same where no cache holds them [s].
        fresh_s: Memory for one element that the process never had before [s].
        mul_add_s: One multiply-add, by ``(rows, summed, columns)`` of ``_ROWS`` and ``_SUMMED``
            [s].
        outer_s: One element of an outer product [s].
        write_s: One element of a result that no cache holds [s].
        read_s: One element of an operand that no cache holds [s].
        add_s: Adding one element of a slice to the sum [s].
    """

    call_s: float
    move_s: float
    far_move_s: float
    fresh_s: float
    outer_s: float
    write_s: float
    read_s: float
    add_s: float
    mul_add_s: Mapping[tuple[int, int, int], float]


def _typical() -> Rates:
    table = {
        (m, k, n): 5e-11 * (1 + 8 / m) * (1 + 8 / n) * (1 + 8 / k)
        for m in _ROWS
        for k in _SUMMED
        for n in _ROWS
    }
    return Rates(
        call_s=1.5e-6,
        move_s=2e-9,
        far_move_s=1e-8,
        fresh_s=4e-9,
        outer_s=6e-10,
        write_s=1e-9,
        read_s=6e-10,
        add_s=4e-9,
        mul_add_s=table,
    )


TYPICAL = _typical()
"""A core of the last few years, for before anything is measured, and for what no clock may have a
say in."""


def measured(dtype: str) -> Rates:
    """The rates of this thread, in about half a second and 80 MB."""
    generator = np.random.default_rng(0)

    def array(*shape: int) -> Any:  # noqa: ANN401  # of the type asked for
        found = generator.standard_normal(shape)
        return (found + 1j * found if dtype.startswith("complex") else found).astype(dtype)

    table = {}
    for m in _ROWS:
        for k in _SUMMED:
            for n in _ROWS:
                x, y = array(m, k), array(k, n)
                table[m, k, n] = _timed(partial(np.matmul, x, y))
    small = array(1, 1)
    call = _timed(lambda: np.matmul(small, small).reshape((1, 1)).swapaxes(-1, -2))
    # What hardly takes longer than its call says nothing of a rate; none is beyond the fastest.
    fastest = min(took / _products(key) for key, took in table.items() if took > 2 * call)
    rates = {key: max(fastest, (took - call) / _products(key)) for key, took in table.items()}
    near = _move_s(np.ones(_NEAR, dtype), _LEAST_TIMES)
    far = _move_s(np.ones(_FAR, dtype), 1)
    left, right = array(512, 1), array(1, 512)
    outer = _timed(lambda: np.multiply(left, right))
    tall, wide = array(2048, 1), array(1, 512)
    written = _timed(lambda: np.multiply(tall, wide))
    return Rates(
        call_s=call,
        move_s=near,
        far_move_s=max(near, far),
        fresh_s=_fresh_byte_s() * np.dtype(dtype).itemsize,
        outer_s=max(1e-12, (outer - call) / (512 * 512)),
        write_s=max(1e-12, (written - call) / (2048 * 512)),
        read_s=_read_s(dtype),
        add_s=_add_s(dtype),
        mul_add_s=rates,
    )


def median_of(several: Sequence[Rates]) -> Rates:
    """Rates measured several times, as one: a time that was bad for one of them does not count."""
    return Rates(
        call_s=median(one.call_s for one in several),
        move_s=median(one.move_s for one in several),
        far_move_s=median(one.far_move_s for one in several),
        fresh_s=median(one.fresh_s for one in several),
        outer_s=median(one.outer_s for one in several),
        write_s=median(one.write_s for one in several),
        read_s=median(one.read_s for one in several),
        add_s=median(one.add_s for one in several),
        mul_add_s={
            key: median(one.mul_add_s[key] for one in several) for key in several[0].mul_add_s
        },
    )


def _move_s(line: NDArray[Any], times: int) -> float:
    """Moving one element of an array of two to a power: every second axis to the front [s]."""
    axes = line.size.bit_length() - 1
    side = line.reshape((2,) * axes)
    order = (*range(1, axes, 2), *range(0, axes, 2))
    return _timed(lambda: np.ascontiguousarray(side.transpose(order)), times=times) / line.size


def _read_s(dtype: str) -> float:
    """An element of a matrix that no cache holds, in a product with a vector [s]."""
    matrix = np.ones((_READ_BYTES // np.dtype(dtype).itemsize >> 10, 1 << 10), dtype)
    vector = np.ones((1 << 10, 1), dtype)
    return _timed(lambda: np.matmul(matrix, vector), times=1) / matrix.size


def _add_s(dtype: str) -> float:
    """An element of a slice that is added to the sum [s]."""
    total, part = Sum((_NEAR,), dtype), np.ones(_NEAR, dtype)
    return _timed(lambda: total.add(part, 0)) / _NEAR


def _fresh_byte_s() -> float:
    """A byte of memory that this process never had [s]."""

    def touch() -> None:
        with mmap(-1, _PAGES * _PAGE) as pages:
            np.frombuffer(pages, np.uint8)[::_PAGE].fill(1)

    return _timed(touch) / (_PAGES * _PAGE)


def _products(key: tuple[int, int, int]) -> int:
    return key[0] * key[1] * key[2]


def processor_clock() -> Callable[[], float]:
    """Time of this thread on its processor, where that is told finely enough [s]."""
    return thread_time if get_clock_info("thread_time").resolution < _SHORT / 10 else perf_counter


def _timed(
    function: Callable[[], object],
    window: float = _WINDOW,
    clock: Callable[[], float] | None = None,
    times: int = _LEAST_TIMES,
) -> float:
    """Time of a call: the median of so many at least, after one that warms up [s]."""
    clock = clock or processor_clock()
    function()
    begin = clock()
    function()
    in_a_row = max(1, int(_SHORT / max(clock() - begin, 1e-7)))
    took: list[float] = []
    spent = 0.0
    while len(took) < times or spent < window:
        begin = clock()
        for _ in range(in_a_row):
            function()
        lasted = clock() - begin
        # A clock that stands still must not keep this going.
        spent += max(lasted, window / 200)
        took.append(lasted / in_a_row)
    return median(took)


def seconds_of(strategy: Strategy, rates: Rates) -> tuple[float, float]:
    """``(tables, all slices)`` in one thread [s]."""
    once = 0.0
    for table in strategy.tables:
        plain = type(strategy).of(table.tree)
        once += sum(_call_s(call, rates) for call in plain.schedule.calls)
    schedule = strategy.schedule
    return once, _loop_seconds(schedule, rates, _times(schedule), schedule.n_slices)


def wall_seconds(strategy: Strategy, rates: Rates, slices_per_task: int, threads: int) -> float:
    """From the first task out to the last one in, on so many threads [s].

    What all slices share is made by every thread, what some share by every task that has such.
    """
    once, _ = seconds_of(strategy, rates)
    schedule = strategy.schedule
    slices = schedule.n_slices
    tasks = ceil(ceil(slices / slices_per_task) / threads)
    mine = min(slices, tasks * slices_per_task)
    times = [
        1 if level == 0 else min(whole, mine, ceil(mine * whole / slices) + tasks - 1)
        for level, whole in enumerate(_times(schedule))
    ]
    fresh = strategy.peak_elements * rates.fresh_s
    loop = _loop_seconds(schedule, rates, times, mine)
    return loading_seconds(strategy, rates) + fresh + once + loop


def _times(schedule: Schedule) -> list[int]:
    """How often what runs at each level is run for all slices."""
    return list(accumulate(schedule.radix, mul, initial=1))


def _loop_seconds(schedule: Schedule, rates: Rates, times: Sequence[int], slices: int) -> float:
    """So many slices of a thread, in which each level is run so often [s]."""
    loop = sum(_call_s(call, rates) * times[call.level] for call in schedule.calls)
    looks = sum(times[leaf.level] for leaf in schedule.leaves if leaf.level)
    adding = 6 * rates.call_s + prod(schedule.block_shape) * rates.add_s
    return loop + looks * rates.call_s / 4 + adding * slices


def loading_seconds(strategy: Strategy, rates: Rates) -> float:
    """What making and ordering the inputs takes each worker [s]."""
    trees = (strategy.main, *(table.tree for table in strategy.tables))
    sizes = dict(strategy.main.dimensions)
    for table in strategy.tables:
        sizes |= dict(table.tree.dimensions)
    inputs = [names for tree in trees for names in tree.inputs]
    elements = sum(prod(sizes[name] for name in names) for names in inputs)
    return len(inputs) * _LOADING_CALLS * rates.call_s + elements * _LOADING_PASSES * rates.write_s


def _call_s(call: Call, rates: Rates) -> float:
    batch, rows, summed, columns = call.extents
    operands = batch * summed * (rows + columns)
    reading = operands * rates.read_s if operands > _FAR else 0.0
    took = _REPLAY_CALLS * rates.call_s
    writing = call.elements * rates.write_s if call.elements > _CACHED else 0.0
    if call.kind == "outer":
        took += max(call.elements * rates.outer_s, writing)
    elif call.kind == "matmul":
        took += batch * (rates.call_s / 8 if batch > 1 else 0)
        took += max(call.mul_adds * _mul_add_s(rows, summed, columns, rates), writing, reading)
    else:
        took += call.mul_adds * rates.outer_s * 1.5
    if call.natural:
        run = call.natural[-1] if call.order[-1] == len(call.order) - 1 else 1
        moving = call.elements * _move_rate(call.elements, rates)
        took += 2 * rates.call_s + moving * (1 + 6 / run) / 7
    return took


def _move_rate(elements: int, rates: Rates) -> float:
    """The rate of a move of so many elements, of one each [s]."""
    places = _between(elements, (_NEAR, _FAR))
    found = {_NEAR: rates.move_s, _FAR: rates.far_move_s}
    return float(prod(found[size] ** share for size, share in places))


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
