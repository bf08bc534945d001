"""Known kernels and what threads gain on them: each is run alone and on all threads, in turns."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.doubts import CLEAR_GAIN, MOST_TIMES
from tensorloom.execute.kept_kernels import KeptKernels
from tensorloom.execute.known_kernels import flop
from tensorloom.execute.wasm.rates import CYCLES_PER_MS
from tensorloom.execute.wasm.team_trials import LEAST_FLOP, MOST_MS, fits
from tensorloom.kernels.wasm.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.kernel_store import KernelStore
    from tensorloom.execute.tuned_shape import Place
    from tensorloom.execute.turn import Pause
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.execute.wasm.team_trials import TeamTrials
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.schedule import Schedule
    from tensorloom.tune.database import Entry

__all__ = ["MOST_SHAPES", "ComparedKernels"]

MOST_SHAPES = 200
_MOST_REPORTED = 20


class ComparedKernels(KeptKernels):
    """Kept kernels with the page's threads.

    Args:
        kernels: The WASM engine.
        store: Where everything is kept.
        engine: Browser engine and its major version.
        clock: Seconds.
        gpu: The GPU's device, where there is one.
        team: What measures threads, where the page has any.

    Attributes:
        report: What went wrong, in words.
        spent_ms: Time spent on measuring [ms].
    """

    def __init__(
        self,
        kernels: WasmKernels,
        *,
        store: KernelStore,
        engine: str,
        clock: Callable[[], float],
        gpu: GpuDevice | None = None,
        team: TeamTrials | None = None,
    ) -> None:
        threads = 1 if team is None else team.count
        super().__init__(kernels, store=store, engine=engine, clock=clock, gpu=gpu, threads=threads)
        self._team = team
        self.report: list[str] = []
        self.spent_ms = 0.0
        self._looks: Counter[tuple[str, int]] = Counter()

    async def cleared(self) -> None:
        """As for ``KeptKernels``; threads may be compared again."""
        self._looks.clear()
        await super().cleared()

    def _is_doubtful(self, spec: KernelSpec, threads: int) -> bool:
        """Whether threads are to be compared, or compared again."""
        gain = self.gain(spec, threads)
        if gain is not None and gain >= CLEAR_GAIN:
            return False
        return self._looks[spec.name, threads] < (1 if gain == 1 else MOST_TIMES)

    async def _compare(self, spec: KernelSpec, way: Schedule, pause: Pause, threads: int) -> None:
        """Measures what threads gain, where there may be any doubt."""
        if self._team is None or threads == 1 or flop(spec) < LEAST_FLOP or not fits(spec):
            return
        if way.cycles > CYCLES_PER_MS * MOST_MS:
            return
        start = self._clock()
        try:
            gain = await self._team.gain(spec, way, pause, threads)
        except UnsupportedKernel as error:
            self._reported([f"Threads were not compared: {error.message}"])
            self._team, self.threads = None, 1
        else:
            if len(self._gains) >= MOST_SHAPES:
                del self._gains[next(iter(self._gains))]
            # Who else works on the machine can hide a gain, not make one.
            self._gains[spec.name, threads] = max(gain, self.gain(spec, threads) or 0.0)
            self._looks[spec.name, threads] += 1
        self.spent_ms += 1e3 * (self._clock() - start)

    def _reported(self, lines: Iterable[str]) -> None:
        self.report += lines
        del self.report[:-_MOST_REPORTED]

    async def _with_gain(self, spec: KernelSpec, entry: Entry, pause: Pause) -> Entry:
        """What is in the database of a shape, with what all threads gain on it."""
        way = self.schedule_for(spec, least=0) or schedule(spec, relaxed=self._relaxed)
        await self._compare(spec, way, pause, self.threads)
        gain = self._gains.get((spec.name, self.threads))
        return entry if gain is None else replace(entry, threads=self.threads, gain=gain)

    def _gain_to_keep(
        self, spec: KernelSpec, backend: Place, *, candidate: str
    ) -> tuple[int, float]:
        """Threads and their gain; a page without any leaves what is known of the candidate."""
        gain = None if backend == "webgpu" else self.gain(spec, self.threads)
        if gain is not None:
            return self.threads, gain
        entry = self.database.get(self.key(spec, backend))
        if self._team is None and entry is not None and entry.candidate == candidate:
            return entry.threads, entry.gain
        return 1, 1.0
