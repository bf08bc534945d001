"""How fast this device is: a few small programs, timed once, predict all others.

    duration = run_ms + bytes in and out / bytes_per_ms
               + per slice and kernel call: dispatch_ms + multiply-adds / rate of its class
                 + numbers of its result / made_per_ms

A run is all that a user waits for, Python's part included. A kernel that was tuned brings its
measured time instead of its class's rate.

Kernels fall in three classes, as what limits them differs: matrices (arithmetic), thin ones
(strides and loads), streams (memory alone). A backend that has other ways to compute brings its own
classes, with a sample of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, inf
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tensorloom.execute.backend import no_pulse
from tensorloom.execute.casting import cast_arrays
from tensorloom.kernels.lower import lower
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.tree import ContractionTree

SizeClass = Literal["matrix", "thin", "stream", "dots", "few"]
"""The last two are ways of numpy's: dot products along rows, and many tiny matrices."""

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, RawResult
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.model.recipe import DType

    Clock = Callable[[], float]
    Replay = Callable[[Program, Sequence[NDArray[Any]]], Awaitable[object]]
    Pause = Callable[[], Awaitable[None]]
    InARow = Callable[[Program, Sequence[NDArray[Any]]], Awaitable[float]]
    KnownMs = Callable[[KernelSpec], float | None]
    SizeOf = Callable[[KernelSpec], SizeClass]
    Samples = Mapping[SizeClass, tuple[Callable[[int], ContractionTree], int, int]]

__all__ = [
    "SAMPLES",
    "Rates",
    "SizeClass",
    "apart_ms",
    "batched",
    "calibrate",
    "in_turn_ms",
    "least_disturbed",
    "matrix_chain",
    "no_pause",
    "predict",
    "size_class",
    "step_times",
    "whole_run",
]

MATRIX_SIDE = 8
"""Rows, columns and contraction length from which a kernel counts as a matrix product."""

BUDGET_MS = 300.0
"""Time after which only the first type is measured, compiling apart; the rest is estimated [ms]."""

SIGNIFICANT_MS = 1.0
"""Samples grow until they take this long, and as long as an empty run: what is left of the
difference of two runs must be more than their noise [ms]."""

FILLED_MS = 8.0
"""The same for kernels in a row: small ones leave most of a GPU idle, five times slower [ms]."""

WINDOW_MS, WINDOWS = 1.5, 3
"""A window is at least so long, as browsers round clocks to 0.1 ms; of a few the best counts, of
runs that are short beside the clock's tick the middle one [ms]."""

LEAST_LEFT = 1 / 16
"""What is taken off a sample's duration may have been disturbed more than that was: so much of it
is left, or its rate would be anything. Predictions of the sample itself are no further off."""

APART = 12
"""Short runs in a window, each after a pause: whoever waits for one has done something else before,
and finds the caches cold. In a row Python's part seems four times faster than it is (Pyodide)."""

CHAIN = 33
"""Matrices in the sample that counts kernel calls."""

RELATIVE_SPEED: Mapping[DType, float] = {
    "float64": 1.0,
    "float32": 2.0,
    "complex128": 0.25,
    "complex64": 0.5,
}
"""Multiply-adds per time against float64, for types that were not measured."""

INSTEAD: Mapping[SizeClass, SizeClass] = {"dots": "matrix", "few": "thin"}
"""Whose rate counts for a class that was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What predicts a duration.

    Args:
        run_ms: Every run [ms].
        dispatch_ms: Every kernel call [ms].
        bytes_per_ms: Arrays in and result out [bytes/ms].
        mul_adds_per_ms: Multiply-adds per millisecond by type and class of kernel.
        made_per_ms: Numbers of a result that are put in their places and looked at beside the
            work, where that takes time of its own [elements/ms].
    """

    run_ms: float
    dispatch_ms: float
    bytes_per_ms: float
    mul_adds_per_ms: tuple[tuple[DType, SizeClass, float], ...]
    made_per_ms: float = inf

    def rate(self, dtype: DType, size: SizeClass) -> float:
        """Multiply-adds per millisecond; from another type of the same class if need be."""
        found = {name: rate for name, kind, rate in self.mul_adds_per_ms if kind == size}
        if not found:
            return self.rate(dtype, INSTEAD[size])
        if dtype in found:
            return found[dtype]
        name, rate = next(iter(found.items()))
        return rate * RELATIVE_SPEED[dtype] / RELATIVE_SPEED[name]


def least_disturbed(found: Sequence[Rates]) -> Rates:
    """The best of some measurements in each figure: what disturbs only makes slower.

    Differences of short durations it makes slower or faster: there the middle one counts, so that
    one measurement on a busy machine does not stay.
    """
    best: dict[tuple[DType, SizeClass], float] = {}
    for dtype, size, rate in (rate for one in found for rate in one.mul_adds_per_ms):
        best[dtype, size] = max(rate, best.get((dtype, size), 0.0))
    making = median(1 / one.made_per_ms for one in found)
    return Rates(
        run_ms=min(one.run_ms for one in found),
        dispatch_ms=median(one.dispatch_ms for one in found),
        bytes_per_ms=1 / median(1 / one.bytes_per_ms for one in found),
        mul_adds_per_ms=tuple((*kind, rate) for kind, rate in best.items()),
        made_per_ms=1 / making if making else inf,
    )


def size_class(spec: KernelSpec) -> SizeClass:
    """What limits a kernel."""
    _, m, n, k = spec.extents
    if spec.unary or k == 1:
        return "stream"
    return "matrix" if min(m, n, k) >= MATRIX_SIDE else "thin"


def step_times(
    program: Program,
    rates: Rates,
    known_ms: KnownMs = lambda _spec: None,
    size_of: SizeOf = size_class,
) -> list[float]:
    """Expected duration of each dispatch, without the start of a run and transfers [ms].

    Args:
        program: What runs.
        rates: How fast.
        known_ms: One call of a kernel where it was measured, within a row of others.
        size_of: The class of a kernel there.
    """

    def of(spec: KernelSpec) -> float:
        known = known_ms(spec)
        if known is not None:
            return max(known, rates.dispatch_ms)
        size = size_of(spec)
        batch, m, n, _ = spec.extents
        # The rate of streams has it in it: they do little else.
        making = 0.0 if size == "stream" else batch * m * n / rates.made_per_ms
        return rates.dispatch_ms + making + spec.mul_adds / rates.rate(program.dtype, size)

    times = [of(spec) for spec in program.kernels]
    return [times[dispatch.kernel] for dispatch in program.dispatches]


def predict(
    program: Program,
    rates: Rates,
    known_ms: KnownMs = lambda _spec: None,
    size_of: SizeOf = size_class,
) -> float:
    """Expected duration of a program [ms]; arguments as for ``step_times``."""
    steps = step_times(program, rates, known_ms, size_of)
    once, one_slice = sum(steps[: program.prologue]), sum(steps[program.prologue :])
    moved_ms = _moved_bytes(program) / rates.bytes_per_ms
    return rates.run_ms + moved_ms + once + program.n_slices * one_slice


async def no_pause() -> None:
    """Nobody else wants a turn."""


def whole_run(backend: Backend) -> Replay:
    """Runs programs as ``execute.run`` does: what it spends on the arrays is a part of a run."""

    async def replay(program: Program, arrays: Sequence[NDArray[Any]]) -> RawResult:
        cast, _ = cast_arrays(arrays, program.dtype)
        return await backend.run(program, cast, no_pulse)

    return replay


async def calibrate(
    replay: Replay,
    dtypes: tuple[DType, ...],
    clock: Clock,
    pause: Pause = no_pause,
    *,
    in_a_row: InARow | None = None,
    samples: Samples | None = None,
) -> Rates:
    """Rates measured by running small programs, within about half a second.

    Args:
        replay: Runs a program with its arrays, as ``Backend.run`` does.
        dtypes: Element types to measure, the most important one first.
        clock: Seconds.
        pause: Lets others have their turn; called before each run.
        in_a_row: Duration of one of many runs, inputs and result left where they are, if the device
            can; else the start of a run is taken off [ms].
        samples: How to make a sample of each class, its first side and its last, for a backend that
            has its own; results take time of their own there.
    """
    bench = _Bench(replay, clock, pause, in_a_row, samples or SAMPLES)
    first = dtypes[0]
    short = await bench.best_ms(matrix_chain(2), first)
    long = await bench.best_ms(matrix_chain(CHAIN), first)
    side = 512
    moving = await bench.best_ms(_diagonal(side), first)
    if moving - short < max(SIGNIFICANT_MS, short):
        side = 1024
        moving = await bench.best_ms(_diagonal(side), first)
    # From everything that follows it is taken off: who held up the first look may have gone.
    short = min(short, await bench.best_ms(matrix_chain(2), first))
    dispatch_ms = max(1e-4, (long - short) / (CHAIN - 2))
    bytes_per_ms = _moved_bytes(lower(_diagonal(side), first)) / max(1e-3, _left(moving, short))
    rates = [
        (dtype, size, await bench.rate(size, dtype, short, bytes_per_ms))
        for dtype in dtypes
        for size in bench.samples
        if bench.spent_ms < BUDGET_MS or dtype == first
    ]
    found = Rates(
        run_ms=max(0.0, short - dispatch_ms),
        dispatch_ms=dispatch_ms,
        bytes_per_ms=bytes_per_ms,
        mul_adds_per_ms=tuple(rates),
    )
    return found if samples is None else await _with_made(found, bench, first)


async def _with_made(rates: Rates, bench: _Bench, dtype: DType) -> Rates:
    """The rates with that of results, on one whose numbers lie across the product's."""
    tree = _pair("ij", "jk", "ki", {"i": _ACROSS, "j": 2, "k": _ACROSS})
    rest = await bench.best_ms(tree, dtype) - predict(lower(tree, dtype), rates)
    return replace(rates, made_per_ms=_ACROSS**2 / rest) if rest > 0 else rates


_ACROSS = 512


_ELSEWHERE = 1 << 19
"""Numbers that are looked at before a run: half of them are more than the second cache holds."""


async def apart_ms(
    work: Callable[[], Awaitable[object]], clock: Clock, pause: Pause, times: int = APART
) -> float:
    """Mean of some runs, each after a pause and a look at something else [ms]."""
    spent = 0.0
    elsewhere = np.ones(_ELSEWHERE)
    for number in range(times):
        await pause()
        # Of ever more: timers end with a tick of the clock, and all runs would begin with one.
        elsewhere[: _ELSEWHERE // 2 + _ELSEWHERE * number // (2 * times)].sum()
        start = clock()
        await work()
        spent += clock() - start
    return 1e3 * spent / times


async def in_turn_ms(
    works: Sequence[Callable[[], Awaitable[object]]], clock: Clock, pause: Pause
) -> list[float]:
    """Durations of several runs, each after a pause; the middle one of a few windows [ms].

    They take turns, so that what disturbs the machine for a while disturbs all alike.
    """
    for work in works:
        # What the first runs compile is not counted: kernels, then groups of small steps.
        for _ in range(_WARMING):
            await work()
    found: list[list[float]] = [[] for _ in works]
    for _ in range(_TURNS):
        for times, work in zip(found, works, strict=True):
            times.append(await apart_ms(work, clock, pause, _EACH))
    # The least of means of a few ticks would mostly be luck.
    return [median(times) for times in found]


_WARMING, _TURNS, _EACH = 3, 4, 5


class _Bench:
    """Times programs and keeps account of the time that took."""

    def __init__(
        self,
        replay: Replay,
        clock: Clock,
        pause: Pause,
        in_a_row: InARow | None,
        samples: Samples,
    ) -> None:
        self.in_a_row = in_a_row
        self.samples = samples
        self.replay = replay
        self.clock = clock
        self.pause = pause
        self.spent_ms = 0.0

    async def best_ms(self, tree: ContractionTree, dtype: DType) -> float:
        """One run in the best of a few windows; what the first ones compile is not counted."""
        arrays = _ones(tree, dtype)
        program = lower(tree, dtype)
        await self.pause()
        await self.replay(program, arrays)
        each = await self._window(program, arrays, 1)
        repeats = min(APART, ceil(WINDOW_MS / max(each, 1e-3)))
        found = [await self._window(program, arrays, repeats) for _ in range(WINDOWS)]
        # The least of means of a few ticks would mostly be luck.
        return min(found) if repeats == 1 else median(found)

    async def _window(
        self, program: Program, arrays: Sequence[NDArray[Any]], repeats: int
    ) -> float:
        spent = await apart_ms(
            lambda: self.replay(program, arrays), self.clock, self.pause, repeats
        )
        self.spent_ms += spent * repeats
        return spent

    async def _work_ms(self, tree: ContractionTree, program: Program, in_a_row: InARow) -> float:
        """Kernels alone, the best of a few windows [ms]."""
        arrays = _ones(tree, program.dtype)
        found = []
        for _ in range(WINDOWS):
            await self.pause()
            start = self.clock()
            found.append(await in_a_row(program, arrays))
            self.spent_ms += 1e3 * (self.clock() - start)
        return min(found)

    async def rate(
        self, size: SizeClass, dtype: DType, base_ms: float, bytes_per_ms: float
    ) -> float:
        """Multiply-adds per millisecond of one class, on a sample large enough to be timed."""
        make, side, most = self.samples[size]
        while True:
            tree = make(side)
            program = lower(tree, dtype)
            if self.in_a_row is not None:
                elapsed = await self._work_ms(tree, program, self.in_a_row)
                if elapsed >= FILLED_MS or side >= most:
                    return program.mul_adds / max(1e-3, elapsed)
                side *= 2
                continue
            apart = base_ms + _moved_bytes(program) / bytes_per_ms
            whole = await self.best_ms(tree, dtype)
            if whole - apart >= max(SIGNIFICANT_MS, base_ms) or side >= most:
                return program.mul_adds / max(0.02, _left(whole, apart))
            side *= 2


def _left(whole_ms: float, apart_ms: float) -> float:
    """A duration without a part that was measured at another time [ms]."""
    return max(whole_ms - apart_ms, LEAST_LEFT * whole_ms)


def _ones(tree: ContractionTree, dtype: DType) -> list[NDArray[Any]]:
    sizes = dict(tree.dimensions)
    return [np.ones([sizes[name] for name in names], dtype) for names in tree.inputs]


def _moved_bytes(program: Program) -> int:
    """Bytes of all inputs and of the result of one slice."""
    moved = sum(buffer.elements for buffer in program.buffers if buffer.source is not None)
    moved += program.buffers[program.result].elements
    return moved * ITEM_BYTES[program.dtype]


def matrix_chain(n: int, side: int = 2) -> ContractionTree:
    """``n`` square matrices from left to right: nothing but kernel calls if they are small."""
    names = [f"i{number}" for number in range(n + 1)]
    path = [(0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))]
    return ContractionTree(
        inputs=tuple(pairwise(names)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, side) for name in names),
        path=tuple(path),
    )


def _matrices(side: int) -> ContractionTree:
    return _pair("ij", "jk", "ik", {"i": side, "j": side, "k": side})


def _vector(side: int) -> ContractionTree:
    return _pair("ij", "j", "i", {"i": side, "j": side})


def _outer(side: int) -> ContractionTree:
    return _pair("i", "k", "ik", {"i": side, "k": side})


def _diagonal(side: int) -> ContractionTree:
    """Much to move, little to do."""
    return ContractionTree(inputs=(("i", "i"),), output=("i",), dimensions=(("i", side),), path=())


def batched(side: int) -> Callable[[int], ContractionTree]:
    """Makes samples of many products of such matrices."""

    def sample(batch: int) -> ContractionTree:
        sizes = {"b": batch, "i": side, "j": side, "k": side}
        return _pair("bij", "bjk", "bik", sizes)

    return sample


def _pair(left: str, right: str, out: str, sizes: dict[str, int]) -> ContractionTree:
    return ContractionTree(
        inputs=(tuple(left), tuple(right)),
        output=tuple(out),
        dimensions=tuple(sizes.items()),
        path=((0, 1),),
    )


SAMPLES: Mapping[SizeClass, tuple[Callable[[int], ContractionTree], int, int]] = {
    "matrix": (_matrices, 64, 1024),
    "thin": (_vector, 256, 1024),
    "stream": (_outer, 256, 1024),
}
"""How to make a sample of a class, its first side and its last."""
