"""The processor's part of the device record, measured through the WASM engine in small steps.

    steps = measured_cpu(kernels, clock)
    try:
        while True: next(steps)          # at most about 20 ms each
    except StopIteration as done: facts, curves = done.value

Nothing is read off the browser's name: caches come from how long reads take, registers from how
fast register tiles of growing need are, peak and bandwidth from loops that do nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.kernels.wasm import micro
from tensorloom.kernels.wasm.driver import TABLE_SIZE
from tensorloom.kernels.wasm.layout import RECORD_BYTES, RECORD_FIELDS
from tensorloom.tune.device import CpuFacts, Curve
from tensorloom.tune.inference import cache_knees, copy_rate, register_cliff

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.wasm.kernels import WasmKernels

__all__ = ["MICRO_SLOT", "clock_tick_ms", "measured_cpu"]

MICRO_SLOT = TABLE_SIZE - 1
"""Slot of the driver's table for micro-benchmarks, one after another; kernels never get it."""

TILES = (
    (8, 1), (4, 2), (5, 2), (6, 2), (7, 2), (8, 2), (3, 3), (4, 3), (2, 4), (3, 4), (4, 4),
    (2, 6), (6, 4), (8, 3),
)  # fmt: skip
"""Rows and vectors of register tiles; needs grow from 10 to 29 registers."""

KIB = 1024
LATENCY_KIB = (
    4, 6, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024,
    1536, 2048, 3072, 4096, 8192,
)  # fmt: skip
LATENCY_BYTES = tuple(KIB * size for size in LATENCY_KIB)
COPY_BYTES = tuple(KIB * n for n in (64, 256, 1024, 4096, 16_384))
LINE = 64

FAR_BYTES = 64 << 20
"""Twice the last cache of most processors: what is read in turn is not there any more.

Not more, because a page's memory never shrinks."""

FAR_PART_BYTES = 4 << 20
"""Read or copied at a time: a millisecond or less."""

WINDOW_MS = 1.0
"""Long beside a clock that ticks in 0.1 ms."""

TICKS = 20
"""A window is at least this many ticks of the clock: it is read to 5 %."""

WARM_MS = 8.0
"""Engines need up to this long to put their better translation in place (Chromium 156)."""

WINDOWS = 3

_MOST_TIMES = 1 << 20
"""Beyond this a clock does not move at all."""

_WORDS = RECORD_BYTES // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What a micro-benchmark works on: addresses and bytes to copy."""

    left: int
    right: int
    out: int
    size: int = 0


def clock_tick_ms(clock: Callable[[], float]) -> float:
    """The smallest step of a clock, at least; from a few thousand looks [ms]."""
    found = [clock() for _ in range(2000)]
    steps = [after - before for before, after in pairwise(found)]
    moved = [step for step in steps if step > 0]
    # A clock that stood still for all of them ticks more slowly than they took.
    return 1e3 * min(moved) if moved else 1.0


def measured_cpu(
    kernels: WasmKernels, clock: Callable[[], float]
) -> Generator[None, None, tuple[CpuFacts, tuple[Curve, ...]]]:
    """Facts and curves, step by step.

    Args:
        kernels: The engine; its driver is started if it is not.
        clock: Seconds.

    Raises:
        UnsupportedKernel: The engine has no SIMD.
    """
    bench = _Bench(kernels, clock)
    fused = kernels.relaxed
    arena = kernels.host.empty(2 * COPY_BYTES[-1] + LINE)
    tiles = yield from _tiles(bench, arena, fused=fused)
    peak = yield from _peak(bench, arena, fused=fused)
    latencies = yield from _latencies(bench, arena)
    copies = yield from _copies(bench, arena)
    reading, copying = yield from _far(bench)
    needs = [
        (micro.registers_needed(rows, vectors, fused=fused), rate) for rows, vectors, rate in tiles
    ]
    registers = register_cliff(needs)
    first, second = cache_knees(latencies)
    facts = CpuFacts(
        vector_registers=_whole(registers.at),
        l1_bytes=_whole(first.at),
        l2_bytes=_whole(second.at),
        peak_gflops=max(peak, *(rate for _, _, rate in tiles)),
        bytes_per_ms=max(reading, copying) or None,
        cached_bytes_per_ms=copy_rate(copies),
        relaxed_simd=fused,
        tiles=tuple(sorted(((r, 4 * v, g) for r, v, g in tiles), key=lambda tile: -tile[2])),
    )
    by_need = sorted({need: max(g for n, g in needs if n == need) for need, _ in needs}.items())
    curves = (
        Curve(
            name="registers",
            x="vector registers needed",
            y="GFLOP/s",
            points=tuple((float(need), rate) for need, rate in by_need),
            knee=registers.at,
            confidence=registers.confidence,
        ),
        Curve(
            name="latency",
            x="bytes",
            y="ns per read",
            points=tuple(latencies),
            knee=first.at,
            confidence=first.confidence,
        ),
        Curve(
            name="bandwidth",
            x="bytes",
            y="bytes/ms",
            points=(*copies, *([(FAR_BYTES / 2, copying)] if copying else [])),
        ),
    )
    return facts, curves


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _tiles(
    bench: _Bench, arena: NDArray[np.uint8], *, fused: bool
) -> Generator[None, None, list[tuple[int, int, float]]]:
    """``(rows, vectors, GFLOP/s)`` of each register tile."""
    # Zeros would do for speed on most processors; ones are nobody's special case.
    arena[: 64 * KIB].view(np.float32)[:] = 1.0
    base = bench.kernels.host.address(arena)
    task = _Task(left=base, right=base + 16 * KIB, out=base + 48 * KIB)
    found = []
    for rows, vectors in TILES:
        bench.load(micro.tile_module(rows, vectors, fused=fused))
        each_ms = yield from bench.best_ms(task)
        flop = 2 * 4 * rows * vectors * micro.TILE_DEPTH
        found.append((rows, vectors, flop / each_ms / 1e6))
    return found


def _peak(bench: _Bench, arena: NDArray[np.uint8], *, fused: bool) -> Generator[None, None, float]:
    """GFLOP/s between registers."""
    arena[:KIB].view(np.float32)[:] = 0.5
    base = bench.kernels.host.address(arena)
    bench.load(micro.peak_module(fused=fused))
    each_ms = yield from bench.best_ms(_Task(left=base, right=base, out=base + KIB))
    return micro.PEAK_FLOP / each_ms / 1e6


def _latencies(
    bench: _Bench, arena: NDArray[np.uint8]
) -> Generator[None, None, list[tuple[float, float]]]:
    """``(bytes, ns per read)``."""
    base = bench.kernels.host.address(arena)
    start = -(-base // LINE) * LINE
    words = arena[start - base : start - base + LATENCY_BYTES[-1]].view(np.uint32)
    bench.load(micro.latency_module())
    found = []
    for size in LATENCY_BYTES:
        words[:: LINE // 4][: size // LINE] = start + LINE * _cycle(size // LINE)
        each_ms = yield from bench.best_ms(_Task(left=start, right=start, out=start + LINE - 4))
        found.append((float(size), 1e6 * each_ms / 64))
    return found


def _cycle(n: int) -> NDArray[np.uint32]:
    """Where each of ``n`` lines points, so that a walk visits all of them in shuffled order."""
    order = np.random.default_rng(n).permutation(n)
    following = np.empty(n, np.uint32)
    following[order] = np.roll(order, -1)
    return following


def _copies(
    bench: _Bench, arena: NDArray[np.uint8]
) -> Generator[None, None, list[tuple[float, float]]]:
    """``(bytes, bytes read and written per ms)``."""
    base = bench.kernels.host.address(arena)
    bench.load(micro.copy_module())
    found = []
    for size in COPY_BYTES:
        task = _Task(left=base, right=base, out=base + COPY_BYTES[-1], size=size)
        each_ms = yield from bench.best_ms(task)
        found.append((float(size), 2 * size / each_ms))
    return found


def _far(bench: _Bench) -> Generator[None, None, tuple[float, float]]:
    """Bytes per ms of reading and of copying what no cache holds; 0 where memory has no room."""
    try:
        arena = bench.kernels.host.empty(FAR_BYTES + LINE)
    except MemoryError:
        return 0.0, 0.0
    base = bench.kernels.host.address(arena)
    base = -(-base // LINE) * LINE
    for start in range(0, FAR_BYTES, FAR_PART_BYTES):
        # Memory that nobody has written to may be one page of zeros.
        arena[start : start + FAR_PART_BYTES] = 0
        yield
    parts = range(base, base + FAR_BYTES, FAR_PART_BYTES)
    half = len(parts) // 2
    # Sums go to a part that is not read before all others were.
    reads = [_Task(left=part, right=part, out=base, size=FAR_PART_BYTES) for part in parts]
    copies = [
        _Task(left=source, right=source, out=target, size=FAR_PART_BYTES)
        for source, target in zip(parts[:half], parts[half:], strict=True)
    ]
    bench.load(micro.read_module())
    reading = yield from bench.in_turn_ms(reads)
    bench.load(micro.copy_module())
    copying = yield from bench.in_turn_ms(copies)
    return FAR_PART_BYTES / reading, 2 * FAR_PART_BYTES / copying


class _Bench:
    """Runs one micro-benchmark at a time and times it."""

    def __init__(self, kernels: WasmKernels, clock: Callable[[], float]) -> None:
        self.kernels = kernels
        self._clock = clock
        self._tick_ms = clock_tick_ms(clock)
        self._window_ms = max(WINDOW_MS, TICKS * self._tick_ms)
        self._warm_ms = 0.0
        self._words = kernels.host.placed(np.zeros(_WORDS, np.uint32))
        self._words[RECORD_FIELDS["slot"] // 4] = MICRO_SLOT

    def load(self, module: bytes) -> None:
        """Compiles a benchmark in place of the one before."""
        assert self.kernels.driver is not None  # its table must exist before a kernel enters it
        self.kernels.host.load(MICRO_SLOT, module)
        self._warm_ms = 0.0

    def best_ms(self, task: _Task) -> Generator[None, None, float]:
        """One repetition at its best; each step is a window or the warming up [ms]."""
        self._set(task)
        times = 1
        while True:
            spent = self._run(times)
            self._warm_ms += spent
            if self._warm_ms >= WARM_MS and (spent >= self._window_ms or times >= _MOST_TIMES):
                break
            if spent < self._window_ms and times < _MOST_TIMES:
                times = self._more(times, spent)
            yield
        # The last one may still have run slow code for a part.
        times = max(1, ceil(times * min(1.0, self._window_ms / max(spent, 1e-3))))
        found = []
        for _ in range(WINDOWS):
            yield
            spent = self._run(times)
            if spent < self._window_ms / 2 and times < _MOST_TIMES:
                # The one before was held up: its share was too small, and a clock may stand still.
                times = self._more(times, spent)
                yield
                spent = self._run(times)
            found.append(max(spent, self._tick_ms / 2) / times)
        return min(found)

    def in_turn_ms(self, tasks: Sequence[_Task]) -> Generator[None, None, float]:
        """One of many alike tasks, each at its turn: the median of windows [ms]."""
        yield from self.best_ms(replace(tasks[0], size=LINE * 256))
        found: list[float] = []
        number, most = 0, 4 * len(tasks)
        while number < len(tasks) or len(found) < WINDOWS:
            yield
            spent, first, start = 0.0, number, self._clock()
            while spent < self._window_ms and number - first < most:
                self._set(tasks[number % len(tasks)])
                self._run(1)
                number += 1
                spent = 1e3 * (self._clock() - start)
            found.append(max(spent, self._tick_ms / 2) / (number - first))
        return median(found)

    def _more(self, times: int, spent: float) -> int:
        """Repetitions for a window, after some took ``spent`` [ms].

        What a clock shows may be a tick too little; taken as more, no window gets much too long.
        """
        share = 1.1 * self._window_ms / (spent + self._tick_ms)
        return min(_MOST_TIMES, 64 * times, max(times + 1, ceil(times * share)))

    def _set(self, task: _Task) -> None:
        for name in ("left", "right", "out"):
            self._words[RECORD_FIELDS[name] // 4] = getattr(task, name)
        self._words[RECORD_FIELDS["column_stop"] // 4] = task.size

    def _run(self, times: int) -> float:
        self._words[RECORD_FIELDS["row_stop"] // 4] = times
        place = self.kernels.host.address(self._words)
        start = self._clock()
        self.kernels.run(place, 0, 1, 0.0, float("inf"))
        return 1e3 * (self._clock() - start)
