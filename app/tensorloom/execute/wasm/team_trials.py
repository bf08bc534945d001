"""What all threads gain on a shape: its kernel alone and shared out, in turns.

Both run in the page's own engine, on numbers of their own, timed outside Python. The best turn of
each counts, and what gains less than a free processor gives is looked at again: who else works on
the machine meanwhile must not decide for all later runs.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.execute.oracle import GUARD, filled
from tensorloom.kernels.lone import lone_step
from tensorloom.kernels.wasm.compiled import compiled
from tensorloom.kernels.wasm.shares import FLOP_PER_THREAD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tensorloom.execute.wasm.page_engine import LoadedProgram, PageEngine
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.compiled import Compiled
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.schedule import Schedule

    Pause = Callable[[], Awaitable[None]]

__all__ = ["LEAST_FLOP", "MOST_MS", "TIE", "TeamTrials", "fits"]

LEAST_FLOP = 2 * FLOP_PER_THREAD
"""Smaller kernels are never shared out."""

MOST_BYTES = 128 << 20
"""Operands of larger shapes are not made twice for a comparison."""

MOST_MS = 60.0
"""Runs that take longer are not compared: what threads cost is nothing beside them [ms]."""

TIE = 1.05
"""While others hold the second core both are alike; threads gain as soon as it is free again."""

WARM_MS = 10.0
"""Before anything counts: engines put optimised code in place meanwhile [ms]."""

WINDOW_MS = 3.0
"""Long beside the clock of an isolated page, which ticks in 0.005 ms."""

TURNS, MORE_TURNS, APART_S = 4, 4, 0.01
CLEAR_TURNS, CLEAR, GAIN = 2, 0.65, 0.8
"""Of the time alone: below the first two turns are enough, above the second four are not."""

_MOST_RUNS = 1 << 14


def fits(spec: KernelSpec) -> bool:
    """Whether a kernel's operands are small enough to be made for a comparison."""
    return lone_step(spec).peak_bytes <= MOST_BYTES


class TeamTrials:
    """Compares threads on one page.

    Args:
        engine: The page's engine.
        features: What it can do.
    """

    def __init__(self, engine: PageEngine, features: WasmFeatures) -> None:
        self._engine = engine
        self._features = features

    @property
    def count(self) -> int:
        """Threads, the calling one included; 1 where the page is not isolated."""
        return self._engine.most_threads

    async def gain(self, spec: KernelSpec, way: Schedule, pause: Pause, threads: int) -> float:
        """How many times as fast a kernel is on some threads; 1 where it is not shared out.

        Args:
            spec: The kernel; ``fits``.
            way: How it runs.
            pause: Lets others have their turn; what it raises ends the comparison.
            threads: How many, the calling one included.

        Raises:
            UnsupportedKernel: ``wasm-refused``: no helpers, or no room.
        """
        step = lone_step(spec)
        many = compiled(step, self._features, [way], threads=threads)
        if not any(shared for _, _, shared, _ in many.groups):
            return 1.0
        alone = compiled(step, self._features, [way])
        with ExitStack() as held:
            runs = [await self._ready(made, pause, held) for made in (alone, many)]
            found = await _compared(runs[0], runs[1], pause)
        # More is no gain of theirs: others held up the kernel alone, each time.
        return min(found, float(threads))

    async def _ready(self, made: Compiled, pause: Pause, held: ExitStack) -> _Runs:
        await pause()
        loaded = await self._engine.load(made)
        held.callback(loaded.release)
        for number in range(made.inputs):
            array = np.empty(made.elements[number] + GUARD, made.dtype)
            filled(array, 1 + number)
            loaded.write(number, array[:-GUARD])
        return _Runs(loaded)


class _Runs:
    """A loaded program and how often a window repeats it."""

    def __init__(self, loaded: LoadedProgram) -> None:
        self._loaded = loaded
        self._count = 1

    async def warm(self, pause: Pause) -> None:
        """Runs it until it is fast, and finds how often to repeat it."""
        warm = 0.0
        while True:
            await pause()
            spent = self._loaded.spent_ms(self._count)
            warm += spent
            if warm >= WARM_MS and (spent >= WINDOW_MS or self._count == _MOST_RUNS):
                break
            if spent < WINDOW_MS:
                wanted = ceil(1.1 * self._count * WINDOW_MS / max(spent, 1e-3))
                self._count = min(_MOST_RUNS, 16 * self._count, wanted)
        each = max(spent / self._count, 1e-6)
        self._count = min(_MOST_RUNS, max(1, ceil(WINDOW_MS / each)))

    async def window(self, pause: Pause) -> float:
        """One run [ms]."""
        await pause()
        return self._loaded.spent_ms(self._count) / self._count


async def _compared(alone: _Runs, together: _Runs, pause: Pause) -> float:
    """The time alone over the time together."""
    pair = alone, together
    for runs in pair:
        await runs.warm(pause)
    times: tuple[list[float], list[float]] = [], []
    for turn in range(TURNS + MORE_TURNS):
        if turn >= CLEAR_TURNS:
            share = min(times[1]) / max(min(times[0]), 1e-9)
            if share < (CLEAR if turn < TURNS else GAIN):
                break
        if turn >= TURNS:
            await asyncio.sleep(APART_S)
        for runs, found in zip(pair, times, strict=True):
            found.append(await runs.window(pause))
    return max(min(times[0]), 1e-9) / max(min(times[1]), 1e-9)
