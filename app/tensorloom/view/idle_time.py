"""What is done while nobody wants anything.

Programs are made ready for their next run, which is timed, backends are measured, then kernels
tuned.

It takes turns with everything else at the lock of runs, and lets go as soon as somebody comes. What
goes wrong here goes wrong unasked, so the page is told, as of every other error.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from tensorloom.errors import Cancelled, TensorloomError
from tensorloom.execute.feedback import COARSEST_TICK_MS
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.rates import COARSE_TICK_MS
from tensorloom.view.records import error_notice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from tensorloom.execute.backend import Backend, BackendName, Result
    from tensorloom.view.kernels import KernelDesk

__all__ = ["MEASUREMENTS", "IdleTime", "giving_way", "seems_first"]

REST_S = 0.006
"""Between two runs that are measured: after 1 ms Python's part is as quick as in a row, after 6 ms
as slow as after 20 (Chromium 156, 2 cores) [s]."""

MEASUREMENTS = 3
"""A backend is measured after so many results: others on the machine disturb some of them."""

WORTH_A_GPU_MS = 5.0
"""Runs from which a GPU may be faster: sending work there and back takes some milliseconds [ms]."""

AGAIN_MS = 100.0
"""What should take longer than this is not run once more only to be timed [ms]."""

Notice = dict[str, object]
Latest = tuple["Mapping[BackendName, Backend]", "Result | None"]


def giving_way(
    idle: Callable[[], bool], *, rest_s: float = 0.0
) -> Callable[..., Coroutine[Any, Any, None]]:
    """A pulse or a pause of work that nobody waits for: it ends once somebody wants something.

    Args:
        idle: Whether nobody does.
        rest_s: How long to sleep each time [s].
    """

    async def look(*_: object) -> None:
        await asyncio.sleep(rest_s)
        if not idle():
            raise Cancelled("superseded", "Somebody wants something.")

    return look


def seems_first(result: Result) -> bool:
    """Whether what should be short took much longer, as first runs do: they compile."""
    return result.predicted_ms <= AGAIN_MS and result.ms > 2 * result.predicted_ms


class IdleTime:
    """Uses the time after results.

    Args:
        kernels: What tunes.
        lock: Whoever computes holds it.
        idle: Whether nobody wants anything.
        latest: What backends there are, and the last value.
        time_again: Runs what took long once more, where that was because it had to be made ready.
        notify: Takes notices for the page.

    Attributes:
        measured: How often each backend was measured.
        tick_ms: How fine the clock is [ms].
    """

    def __init__(
        self,
        kernels: KernelDesk,
        lock: asyncio.Lock,
        idle: Callable[[], bool],
        latest: Callable[[], Latest],
        time_again: Callable[[], Awaitable[None]],
        notify: Callable[[Notice], None],
    ) -> None:
        self._kernels, self._lock, self._idle = kernels, lock, idle
        self._latest, self._time_again, self._notify = latest, time_again, notify
        self._task: asyncio.Task[None] | None = None
        self.measured: Counter[BackendName] = Counter()
        self.tick_ms = COARSEST_TICK_MS

    def go_on(self) -> None:
        """Goes on with it, soon, unless that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._guarded())

    async def _guarded(self) -> None:
        try:
            await self._use()
        except Exception as error:  # noqa: BLE001  # nobody waits for this task
            self._notify(error_notice(error))

    async def _use(self) -> None:
        """Measures backends, then tunes; until then predictions use typical rates.

        Programs are made ready before and after.
        """
        # Whoever waits for a result finds a worker that has slept; so does what is measured.
        pause = giving_way(self._idle, rest_s=REST_S)
        backends, result = self._latest()
        await self._make_ready(backends)
        try:
            await self._time_again()
        except Cancelled:
            return
        for name in self._to_measure(backends, result):
            try:
                async with self._lock:
                    await backends[name].measure(pause=pause)
                self.measured[name] += 1
            except Cancelled:
                return
            except TensorloomError:
                # A device that cannot now says so when somebody wants it; typical rates stay.
                self.measured[name] = MEASUREMENTS
        await self._kernels.tune(self._lock, self._idle)
        if self._idle():
            # With the kernels that were found.
            await self._make_ready(backends)

    async def _make_ready(self, backends: Mapping[BackendName, Backend]) -> None:
        """What ran will run again, by a drag, and then nobody is to wait for new code."""
        wasm = backends.get("wasm")
        if isinstance(wasm, WasmBackend):
            async with self._lock:
                wasm.make_ready()

    def _to_measure(
        self, backends: Mapping[BackendName, Backend], result: Result | None
    ) -> list[BackendName]:
        """Backends whose rates matter after a result: where it ran, and what might be faster.

        The page's own engine counts always, a GPU only beside runs long enough to send it any:
        compiling its samples takes a second where it is simulated.
        """
        if result is None or result.backend == "worker" or self.tick_ms > COARSE_TICK_MS:
            return []
        wanted: list[BackendName] = ["wasm", result.backend]
        gpu = backends.get("webgpu")
        if gpu is not None and result.ms >= WORTH_A_GPU_MS and result.dtype in gpu.dtypes:
            wanted.append("webgpu")
        here = [name for name in dict.fromkeys(wanted) if name in backends]
        return [name for name in here if self.measured[name] < MEASUREMENTS]
