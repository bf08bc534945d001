"""When rates are measured: at first, soon again, and now and then.

A measurement is made on a worker, beside whatever else the machine does. Estimates go by the median
of the last few, so that a bad moment does not stay. All but the first wait until nobody else wants
a worker: a job that came just after one would wait for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorloom_worker.execution.pool import Pool

__all__ = ["Measurements"]

SOON = 10.0
AGAIN = 600.0
"""Rates older than this are measured once more when they are asked for: soon while they are few,
later now and then [s]."""

LAST = 5
"""So many measurements count."""

IDLE_SECONDS = 1.0
"""How long the workers have had nothing to do when a later measurement begins [s]."""

MOST_WAIT = 5.0
"""The first one is waited for so long: workers may be busy for hours [s]."""


_Rates = TypeVar("_Rates")


class Measurements(Generic[_Rates]):
    """The rates of the workers, by number type.

    Args:
        pool: Who measures.
        measured: Measures one type, on a worker.
        median_of: Several measurements as one.
        clock: Tells their age [s].
    """

    def __init__(
        self,
        pool: Pool,
        measured: Callable[[str], _Rates],
        median_of: Callable[[Sequence[_Rates]], _Rates],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._pool = pool
        self._measured = measured
        self._median_of = median_of
        self._clock = clock
        self._several: dict[str, deque[_Rates]] = {}
        self._rates: dict[str, _Rates] = {}
        self._at: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def any(self) -> bool:
        """Whether there are rates of some type."""
        return bool(self._rates)

    def of(self, dtype: str) -> _Rates | None:
        """The rates of a type, if they were measured."""
        return self._rates.get(dtype)

    def version(self, dtype: str) -> float | None:
        """Another number whenever they have changed."""
        return self._at.get(dtype)

    async def ready(self, dtype: str) -> None:
        """Waits for the rates of a type, but not for long; old ones are measured once more."""
        if dtype not in self._rates:
            await asyncio.wait({self.begin(dtype)}, timeout=MOST_WAIT)
            return
        age = self._clock() - self._at[dtype]
        if age > (SOON if len(self._several[dtype]) < LAST else AGAIN):
            self.begin(dtype, priority=-10)

    def begin(self, dtype: str, priority: int = 10) -> asyncio.Task[None]:
        """Measures a type once more, unless that is under way.

        Args:
            dtype: Which.
            priority: Before or after what else there is to do; below 0 when there is nothing.
        """
        running = self._running.get(dtype)
        if running is None or running.done():
            running = asyncio.create_task(self._once(dtype, priority), name=f"rates of {dtype}")
            self._running[dtype] = running
        return running

    async def _once(self, dtype: str, priority: int) -> None:
        if priority < 0:
            await self._until_idle()
        found = await self._pool.call(self._measured, dtype, priority=priority)
        several = self._several.setdefault(dtype, deque(maxlen=LAST))
        several.append(found)
        self._rates[dtype] = self._median_of(several)
        self._at[dtype] = self._clock()

    async def _until_idle(self) -> None:
        """Returns when nobody has wanted a worker for a while, from now on.

        Who has just asked for rates is about to begin a job. Half a second on one of its workers
        was up to a sixth of what it took.
        """
        asked = monotonic()
        left = IDLE_SECONDS
        while left > 0:
            await asyncio.sleep(left)
            left = IDLE_SECONDS - min(monotonic() - asked, self._pool.idle_seconds)

    async def close(self) -> None:
        """Gives up what is under way."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
